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
_MEASURED_SECONDS = 5.0  # of work, before a rate is believed


def in_words(seconds: float) -> str:
    """A time to wait, as exact as an estimate is: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(10 * round(minutes / 10), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


class ProgressLine:
    """Call :meth:`update` with what is done of how much; rate and time left are worked out.

    The time before the first update, in which processes start and networks are read, says nothing of the rate.
    """

    def __init__(self, what: str, unit: str, quiet: bool) -> None:
        self._what, self._unit, self._quiet = what, unit, quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._started = time.monotonic()
        self._last_line = self._last_update = self._started
        self._phase = what
        self._first: tuple[int, float] | None = None  # done, when

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
            self._phase, self._started, self._task, self._first = what, self._last_update, None, None
        self._last_update = now
        self._first = self._first or (done, now)
        rate = self._rate(done, total, now)
        text = "" if rate is None else f"{rate:.1f} {self._unit}/s"
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(self._phase, total=total, rate=text)
            self._bar.update(self._task, completed=done, total=total, rate=text)
        elif not self._quiet and (now - self._last_line >= _LOG_EVERY_SECONDS or done == total):
            self._last_line = now
            said = [f"{self._phase}: {done} of {total} {self._unit}", *([text] if text else [])]
            if rate and done < total:
                said.append(f"about {in_words((total - done) / rate)} left")
            print(", ".join(said), file=sys.stderr, flush=True)

    def _rate(self, done: int, total: int, now: float) -> float | None:
        """Done a second: of everything at the end, else since the first update; None while too little is known."""
        before, at = self._first or (0, now)
        if done == total:
            return done / max(now - self._started, 1e-9)
        return (done - before) / (now - at) if now - at >= _MEASURED_SECONDS else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
