"""Paired timing: the contestants take turns, so that a drifting machine drifts for all of them."""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the reference formulations live with the tests


def alternate(contestants: dict[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Median seconds of each, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


class Parts:
    """A report of progress that adds up the seconds of each part of a long command."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, what: str, done: int, total: int) -> None:
        """What was worked on since the last report."""
        now = time.perf_counter()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self._last
        self._last = now


def machine() -> str:
    """One line on the machine and the versions."""
    import torch

    from syper_data.sampling.environment import cpu_capability

    name = next((x.split(":")[1].strip() for x in cpu_lines() if x.startswith("model name")), platform.machine())
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{name}, {cpu_count()} cores, {cpu_capability()}, {versions}"


def cpu_lines() -> list[str]:
    """``/proc/cpuinfo``, where there is one."""
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def cpu_count() -> int:
    """Cores this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
