"""The figures of a set of comparisons with intervals over people: EER, FNMR at FMR, AUC, d'."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from syper_data.errors import UsageError
from syper_data.metrics.error_rates import OperatingPoint, Scores
from syper_data.metrics.intervals import Estimate, estimate, subject_weights
from syper_data.metrics.pairs import PairScores


@dataclass(frozen=True)
class FnmrAtFmr:
    """An operating point and the interval of its FNMR; None where the point is not supported."""

    point: OperatingPoint
    fnmr: Estimate | None


@dataclass(frozen=True)
class Verification:
    """Figures and what they rest on; intervals: percentile bootstrap over people, both sides of a pair."""

    eer: Estimate
    auc: Estimate
    d_prime: Estimate
    at: tuple[FnmrAtFmr, ...]
    mated: int
    nonmated: int
    independent: int
    subjects: int
    identities: int
    drawn: float
    repeats: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: finite numbers, None where there is none."""
        found: dict[str, Any] = _finite(asdict(self))
        return found


def verification(
    pairs: PairScores, *, targets: tuple[float, ...] = (0.01, 0.001), repeats: int = 500, seed: int = 0
) -> Verification:
    """EER, AUC, d' and FNMR at each target FMR, with 95 % intervals that resample people.

    A resample weighs a mated comparison with its person's count, a non-mated one with the product of
    both people's. In each the threshold for a target FMR is found anew.

    Raises:
        UsageError: fewer than two people, or no mated or no non-mated comparison.
    """
    if pairs.subjects < 2 or not len(pairs.mated) or not len(pairs.nonmated):
        raise UsageError(
            f"{pairs.subjects} people give {len(pairs.mated)} mated and {len(pairs.nonmated)} non-mated "
            "comparisons: error rates need both; take people with at least two images of an eye"
        )
    scores = Scores(pairs.mated, pairs.nonmated)
    points = [scores.operating_point(t, pairs.independent) for t in targets]
    supported = [p.target for p in points if p.threshold is not None]
    resampled: dict[Any, list[float]] = {name: [] for name in ("eer", "auc", "d_prime", *supported)}
    for weights in subject_weights(pairs.subjects, repeats, seed):
        mated, nonmated = weights[pairs.mated_subject], weights[pairs.first] * weights[pairs.second]
        if not mated.any() or not nonmated.any():
            continue
        sample = scores.weighted(mated, nonmated)
        resampled["eer"].append(sample.equal_error_rate().value)
        resampled["auc"].append(sample.auc())
        resampled["d_prime"].append(sample.d_prime())
        for target in supported:
            resampled[target].append(sample.fnmr_at(target))
    return Verification(
        eer=estimate(scores.equal_error_rate().value, resampled["eer"]),
        auc=estimate(scores.auc(), resampled["auc"]),
        d_prime=estimate(scores.d_prime(), resampled["d_prime"]),
        at=tuple(FnmrAtFmr(p, None if p.fnmr is None else estimate(p.fnmr, resampled[p.target])) for p in points),
        mated=len(pairs.mated),
        nonmated=len(pairs.nonmated),
        independent=pairs.independent,
        subjects=pairs.subjects,
        identities=pairs.identities,
        drawn=pairs.drawn,
        repeats=repeats,
        seed=seed,
    )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
