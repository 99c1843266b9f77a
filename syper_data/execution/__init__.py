"""Where work runs: local processes now; a cluster engine later, behind the same three functions.

:func:`open_pool` starts workers on one *job* (a function named ``module:function`` and its
JSON-ready setup), :meth:`WorkerPool.run` feeds them tasks and yields results as they come,
:meth:`WorkerPool.close` ends them. A task's result depends on the task alone, never on the worker.
``team`` is for training, where several processes take one step together.
"""

from syper_data.execution.local import WorkerPool, module_command, open_pool

__all__ = ["WorkerPool", "module_command", "open_pool"]
