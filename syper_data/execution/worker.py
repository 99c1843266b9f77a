"""A worker process: reads tasks as JSON lines, writes results as JSON lines.

Started by :mod:`syper_data.execution.local` only, with the job ``MODULE:FUNCTION`` and the number of
threads as arguments.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from importlib import import_module
from typing import Any

from syper_data.errors import SyperError


def main() -> None:
    """Serve tasks until standard input closes; then end at once, in the middle of work or not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library's print can't corrupt the answers
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(messages,), daemon=True).start()

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    job, threads = sys.argv[1], int(sys.argv[2])
    try:
        import torch

        from syper_data.execution.memory import keep_freed_memory

        keep_freed_memory()
        torch.set_num_threads(threads)
        module, function = job.split(":")
        handle = getattr(import_module(module), function)(messages.get()["setup"])
        while True:
            task = messages.get()["task"]
            answer({"task": task, "result": handle(task, lambda n: answer({"progress": n}))})
    except SyperError as error:
        answer({"error": type(error).__name__, "message": str(error)})
    except MemoryError:
        answer({"error": "SyperError", "message": "out of memory in a worker; use fewer --workers"})


def _listen(messages: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        messages.put(json.loads(line))
    os._exit(1)  # the parent is gone


if __name__ == "__main__":
    main()
