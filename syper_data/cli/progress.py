"""Progress of long work: a bar on a terminal, a line now and then in a log, nothing when quiet."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

_LOG_EVERY_SECONDS = 10.0


class ProgressLine:
    """Call :meth:`update` with what is done of how much; rate and time left are worked out."""

    def __init__(self, what: str, unit: str, quiet: bool) -> None:
        self._what, self._unit, self._quiet = what, unit, quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._started = time.monotonic()
        self._last_line = self._last_update = self._started
        self._phase = what

    def __enter__(self) -> ProgressLine:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
        return self

    def update(self, done: int, total: int, what: str | None = None) -> None:
        """Show ``done`` of ``total``; another ``what`` begins a new count."""
        now = time.monotonic()
        if what is not None and what != self._phase:
            # its first update comes after its first work, which began where the last phase ended
            self._phase, self._started, self._task = what, self._last_update, None
        self._last_update = now
        rate = done / max(now - self._started, 1e-9)
        text = f"{rate:.1f} {self._unit}/s"
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(self._phase, total=total, rate=text)
            self._bar.update(self._task, completed=done, total=total, rate=text)
        elif not self._quiet and (now - self._last_line >= _LOG_EVERY_SECONDS or done == total):
            self._last_line = now
            left = (total - done) / rate if rate > 0 else 0.0
            line = f"{self._phase}: {done} of {total} {self._unit}, {text}, {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
