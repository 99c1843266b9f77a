"""The figures of a fold as ``results.json`` holds them: which there are, what they are called, how they read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from syper_data.metrics.error_rates import RULE_OF_3

MARK = "\N{DAGGER}"
LEGEND = f"{MARK} fewer than 30 errors are expected at this FMR or FPIR (rule of 30): read it with its interval"

Figures = Mapping[str, Any]  # what FoldFigures.to_dict gives, JSON-ready


@dataclass(frozen=True)
class Figure:
    """One row of a table. ``key`` is that of :func:`~syper_data.benchmarking.folds.over_folds`.

    ``value`` is None where the comparisons don't support it or it is not finite, ``low`` and ``high`` where there
    is no interval.
    ``unit``: ``rate`` (a share, less is better), ``share``, ``area`` or ``distance``. ``support`` is that of
    :func:`~syper_data.metrics.error_rates.support`, None for figures without a target rate.
    """

    key: str
    name: str
    unit: str
    value: float | None
    low: float | None = None
    high: float | None = None
    support: str | None = None

    @property
    def text(self) -> str:
        """As a person reads it: ``2.31 % [1.80, 2.95]``, marked where few comparisons carry it."""
        if self.value is None:
            return "not supported" if "@" in self.key else "not defined"
        text = plain(self.value, self.unit)
        if self.low is not None and self.high is not None:
            ends = [plain(end, self.unit).removesuffix("\xa0%") for end in (self.low, self.high)]
            text += f" [{ends[0]}, {ends[1]}]"
        return marked(text, self.support)


def figures_of(figures: Figures) -> dict[str, Figure]:
    """Every figure of one model on one fold by its key, in the order of a table."""
    return {figure.key: figure for figure in _figures(figures)}


def plain(value: float, unit: str) -> str:
    """A figure: rates and shares in percent, others as numbers."""
    if unit in ("area", "distance"):
        return f"{value:.{4 if unit == 'area' else 2}f}"
    shown = 100 * value
    return f"{shown:.{2 if shown >= 0.1 or shown == 0 else 3}f}\xa0%"


def marked(text: str, support: str | None) -> str:
    """A figure that only the rule of 3 supports carries the mark of :data:`LEGEND`."""
    return f"{text}\xa0{MARK}" if support == RULE_OF_3 else text


def target_text(value: float) -> str:
    """A target rate in percent, as short as it can be: ``0.1 %``."""
    return f"{100 * value:g}\xa0%"


def _figures(figures: Figures) -> Iterator[Figure]:
    verification, searched = figures["verification"], figures["identification"]
    yield _figure("eer", "EER", "rate", verification["eer"])
    for entry in verification["at"]:
        target = float(entry["point"]["target"])
        yield _figure(
            f"fnmr@{target:g}", f"FNMR at FMR ≤ {target_text(target)}", "rate", entry["fnmr"], entry["point"]
        )
    yield _figure("auc", "AUC", "area", verification["auc"])
    yield _figure("d_prime", "d\N{PRIME}", "distance", verification["d_prime"])
    if figures["accuracy"] is not None:
        yield Figure("accuracy", "Accuracy", "share", figures["accuracy"]["mean"])
    if searched is not None:
        for rank in (1, 5):
            if searched[f"rank{rank}"] is not None:
                yield _figure(f"rank{rank}", f"Rank-{rank} identification", "share", searched[f"rank{rank}"])
        for entry in searched["at"]:
            target = float(entry["target"])
            yield _figure(
                f"fnir@{target:g}", f"FNIR at FPIR ≤ {target_text(target)}", "rate", entry["fnir"], entry
            )
    yield Figure("fta", "Failure to acquire", "rate", figures["fta"]["rate"])


def _figure(
    key: str, name: str, unit: str, estimate: Mapping[str, Any] | None, point: Mapping[str, Any] | None = None
) -> Figure:
    values = estimate or {}
    support = None if point is None else point["support"]
    return Figure(key, name, unit, values.get("value"), values.get("low"), values.get("high"), support)
