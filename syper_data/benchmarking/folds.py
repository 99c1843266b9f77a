"""One recognizer over several folds: mean and standard deviation of each figure, with how many folds gave it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from syper_data.benchmarking.figures import FoldFigures
from syper_data.errors import UsageError
from syper_data.metrics.error_rates import RULE_OF_3, RULE_OF_30


@dataclass(frozen=True)
class OverFolds:
    """``deviation`` is the sample standard deviation over ``n`` folds (None for one); folds share people
    and so are not independent: it is no standard error. ``support`` is the weakest of the folds that give the
    figure (:func:`syper_data.metrics.error_rates.support`), None where the figure has no target rate."""

    mean: float
    deviation: float | None
    n: int
    support: str | None = None


def over_folds(figures: Sequence[FoldFigures]) -> dict[str, OverFolds]:
    """Figure (``eer``, ``auc``, ``d_prime``, ``fta``, ``fnmr@0.001``, ``rank1``, ``rank5``, ``fnir@0.01``,
    ``accuracy``) -> its mean over the folds that give it; figures that no fold gives are left out."""
    if not figures:
        raise UsageError("no fold was measured")
    values: dict[str, list[float]] = {}
    supports: dict[str, set[str]] = {}
    for fold in figures:
        support = _supports(fold)
        for name, value in fold_values(fold).items():
            values.setdefault(name, []).append(value)
            if name in support:
                supports.setdefault(name, set()).add(support[name])
    return {name: _over(found, supports.get(name)) for name, found in values.items()}


def _over(found: Sequence[float], supports: set[str] | None) -> OverFolds:
    deviation = statistics.stdev(found) if len(found) > 1 else None
    weakest = None if supports is None else RULE_OF_3 if RULE_OF_3 in supports else RULE_OF_30
    return OverFolds(statistics.fmean(found), deviation, len(found), weakest)


def _supports(figures: FoldFigures) -> dict[str, str]:
    """Which rule supports each of a fold's figures at a target rate."""
    found = {f"fnmr@{a.point.target:g}": a.point.support for a in figures.verification.at}
    if figures.identification is not None:
        found |= {f"fnir@{a.target:g}": a.support for a in figures.identification.at}
    return found


def fold_values(figures: FoldFigures) -> dict[str, float]:
    """The figures of one fold by name."""
    verification, searched = figures.verification, figures.identification
    found = {
        "eer": verification.eer.value,
        "auc": verification.auc.value,
        "d_prime": verification.d_prime.value,
        "fta": figures.fta.rate,
    }
    found |= {f"fnmr@{a.point.target:g}": a.point.fnmr for a in verification.at if a.point.fnmr is not None}
    if searched is not None:
        for name, rank in (("rank1", searched.rank1), ("rank5", searched.rank5)):
            if rank is not None:
                found[name] = rank.value
        found |= {f"fnir@{a.target:g}": a.fnir.value for a in searched.at if a.fnir is not None}
    if figures.accuracy is not None:
        found["accuracy"] = figures.accuracy.mean
    return found
