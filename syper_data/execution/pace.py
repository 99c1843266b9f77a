"""How long a run still takes, and when to say so; it knows no clock and is told the time."""

from __future__ import annotations

_WARM = 1  # first steps that allocate, compile and penalise: slower than those that follow
_STEPS = 3  # made before anything is said
_SOONEST, _LATEST = 5.0, 600.0  # seconds of silence; they double in between


class Pace:
    """The pace of this process's steps towards ``length``; ``reached`` counts in its unit, the run's work.

    Times are seconds on any clock that only goes forward.
    """

    def __init__(self, length: float, reached: float, now: float) -> None:
        self.length, self._started = length, now
        self._steps = 0
        self._from = self._last = (reached, now)
        self._silent_until = now + _SOONEST

    def step(self, reached: float, now: float) -> None:
        """A step ended."""
        self._steps += 1
        self._last = (reached, now)
        if self._steps <= _WARM:
            self._from = self._last

    @property
    def seconds_left(self) -> float | None:
        """The estimate, by the mean pace without the first step; None before there is one, and at the end."""
        (before, started), (reached, now) = self._from, self._last
        if reached <= before or reached >= self.length:
            return None
        return (self.length - reached) * (now - started) / (reached - before)

    @property
    def due(self) -> bool:
        """Whether it is time to say something: early at first, then ever more seldom."""
        return self._steps >= _STEPS and self._last[1] >= self._silent_until and self.seconds_left is not None

    def said(self) -> None:
        """Something was said of how far the run is."""
        now = self._last[1]
        self._silent_until = now + min(max(now - self._started, _SOONEST), _LATEST)
