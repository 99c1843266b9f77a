"""One recognizer over several folds: mean and standard deviation of each figure, with how many folds gave it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from syper_data.benchmarking.figures import FoldFigures
from syper_data.errors import UsageError


@dataclass(frozen=True)
class OverFolds:
    """``deviation`` is the sample standard deviation over ``n`` folds (None for one); folds share people
    and so are not independent: it is no standard error."""

    mean: float
    deviation: float | None
    n: int


def over_folds(figures: Sequence[FoldFigures]) -> dict[str, OverFolds]:
    """Figure (``eer``, ``auc``, ``d_prime``, ``fta``, ``fnmr@0.001``, ``rank1``, ``rank5``, ``fnir@0.01``,
    ``accuracy``) -> its mean over the folds that give it; figures that no fold gives are left out."""
    if not figures:
        raise UsageError("no fold was measured")
    values: dict[str, list[float]] = {}
    for fold in figures:
        for name, value in fold_values(fold).items():
            values.setdefault(name, []).append(value)
    return {
        name: OverFolds(statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None, len(found))
        for name, found in values.items()
    }


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
