"""Worker processes on this machine, spoken to in JSON lines over their standard streams.

Plain subprocesses rather than ``multiprocessing``: the caller's ``__main__`` is never imported
again, so the Python API works from scripts and notebooks without a guard. A worker watches its
standard input and ends at once when the parent is gone, however it died.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import syper_data
from syper_data import errors
from syper_data.errors import SyperError

Task = dict[str, Any]
Result = dict[str, Any]

_LOOK_AGAIN_MS = 200  # how long a worker's end can go unnoticed while its child holds the pipe

_RUN = (
    "import sys, runpy; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def module_command(module: str) -> list[str]:
    """The command that runs one of our modules in a new process of this Python.

    It imports this very copy of the toolkit, and nothing from the current folder, which
    ``python -m`` would search first: a ``torch.py`` lying there is not ours to execute.
    """
    root = Path(syper_data.__file__).resolve().parent.parent
    return [sys.executable, "-P", "-c", _RUN, str(root), module]


class _Worker:
    def __init__(self, index: int, job: str, setup: dict[str, Any], threads: int) -> None:
        self.index = index
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in stop)
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [*module_command("syper_data.execution.worker"), job, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self.listener: threading.Thread | None = None
        self.send({"setup": setup})

    def listen(self, hear: Callable[[str | None], None]) -> None:
        """Call ``hear`` with every answer, from a thread of its own, and with None at the end."""
        self.listener = threading.Thread(target=self._listen, args=(hear,), daemon=True)
        self.listener.start()

    def _listen(self, hear: Callable[[str | None], None]) -> None:
        assert self.process.stdout is not None
        for line in _lines(self.process.stdout.fileno(), lambda: self.process.poll() is not None):
            hear(line)
        hear(None)

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its death is noticed on the reading side
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        if self.listener is not None:  # a stream that a thread reads can't be closed
            self.listener.join()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def last_words(self) -> str:
        self.log.seek(0)
        lines = self.log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""


def _lines(descriptor: int, ended: Callable[[], bool]) -> Iterator[str]:
    """The lines that come through a pipe, until it closes or its writer has ended.

    The writer is watched besides the pipe, since a process that it forked may hold the other end
    open for as long as it likes (OpenVINO's telemetry does). What was written is still read.
    """
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    rest = bytearray()
    while True:
        last = ended()  # asked before looking, so that nothing can come between the two
        if not poller.poll(0 if last else _LOOK_AGAIN_MS):
            if last:
                return
            continue
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            return
        rest += piece
        if b"\n" in piece:
            *whole, rest = rest.split(b"\n")
            yield from (line.decode("utf-8") for line in whole)


class WorkerPool:
    """Workers that all hold the same job; tasks go to whichever is free."""

    def __init__(self, job: str, setup: dict[str, Any], *, workers: int, threads: int) -> None:
        self._answers: queue.Queue[tuple[_Worker, str | None]] = queue.Queue()
        self._workers: list[_Worker] = []
        try:
            for index in range(workers):
                worker = _Worker(index, job, setup, threads)
                self._workers.append(worker)
                worker.listen(partial(self._hear, worker))
        except BaseException:
            self.close()
            raise

    def _hear(self, worker: _Worker, line: str | None) -> None:
        self._answers.put((worker, line))

    def run(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Yield each task's result as it is done, in any order.

        Raises:
            SyperError: a task failed (with its own message), or a worker died.
        """
        waiting = iter(tasks)
        busy = 0
        for worker in self._workers:
            busy += self._feed(worker, waiting)
        while busy:
            worker, line = self._answers.get()
            if line is None:
                raise self._death(worker)
            answer = json.loads(line)
            if "error" in answer:
                raise _rebuild(answer["error"], answer["message"])
            if "progress" in answer:
                yield answer
                continue
            busy -= 1
            busy += self._feed(worker, waiting)
            yield answer

    @staticmethod
    def _feed(worker: _Worker, waiting: Iterator[Task]) -> int:
        task = next(waiting, None)
        if task is None:
            return 0
        worker.send({"task": task})
        return 1

    @staticmethod
    def _death(worker: _Worker) -> SyperError:
        code = worker.process.wait()
        if code < 0:
            hint = " (out of memory?)" if code == -9 else ""
            cause = f"was killed by signal {-code}{hint}"
        else:
            cause = f"ended with code {code}: {worker.last_words()}"
        return SyperError(f"worker {worker.index} {cause}; run the same command again to continue")

    def close(self) -> None:
        """End every worker now; unfinished tasks leave nothing under a final name."""
        for worker in self._workers:
            worker.stop()
        self._workers = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_pool(job: str, setup: dict[str, Any], *, workers: int, threads: int) -> WorkerPool:
    """Start ``workers`` processes of ``threads`` threads each on ``job`` (``"module:function"``).

    ``function(setup)`` is called once in each and returns the function that handles a task:
    ``handle(task, progress) -> result``; ``progress(n)`` reports work inside a task.
    """
    return WorkerPool(job, setup, workers=workers, threads=threads)


def _rebuild(kind: str, message: str) -> SyperError:
    cls = getattr(errors, kind, SyperError)
    return cls(message) if isinstance(cls, type) and issubclass(cls, SyperError) else SyperError(message)
