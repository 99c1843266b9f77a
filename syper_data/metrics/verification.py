"""The figures of a set of comparisons with intervals over people: EER, FNMR at FMR, AUC, d'."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import UsageError
from syper_data.metrics.bins import ScoreBlock
from syper_data.metrics.curves import Curves
from syper_data.metrics.error_rates import NONE, OperatingPoint, support
from syper_data.metrics.intervals import Estimate, estimate
from syper_data.metrics.pairs import PairScores
from syper_data.metrics.record import json_ready

BLOCK = 2_000_000  # comparisons that are worked on at once


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
        found: dict[str, Any] = json_ready(self)
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
    sound = supported(targets, pairs.independent)
    curves = Curves(pair_blocks(pairs), pairs.subjects, repeats=repeats, seed=seed, targets=sound)
    return verification_of(
        curves, targets=targets, independent=pairs.independent, subjects=pairs.subjects,
        identities=pairs.identities, drawn=pairs.drawn, seed=seed,
    )  # fmt: skip


def verification_of(
    curves: Curves, *, targets: tuple[float, ...], independent: int, subjects: int, identities: int,
    drawn: float = 1.0, seed: int = 0,
) -> Verification:  # fmt: skip
    """The figures of ``curves``, whose own targets are those of ``targets`` that are :func:`supported`."""
    return Verification(
        eer=_estimate(curves.eer()),
        auc=_estimate(curves.auc()),
        d_prime=_estimate(curves.d_prime()),
        at=tuple(_at(curves, t, independent) for t in targets),
        mated=curves.mated,
        nonmated=curves.nonmated,
        independent=independent,
        subjects=subjects,
        identities=identities,
        drawn=drawn,
        repeats=curves.repeats,
        seed=seed,
    )


def supported(targets: tuple[float, ...], independent: int) -> tuple[float, ...]:
    """Those of ``targets`` that so many independent non-mated comparisons bear (rule of 3)."""
    for target in targets:
        if not 0 < target < 1:
            raise UsageError(f"a target FMR lies between 0 and 1, not {target}")
    return tuple(t for t in targets if support(t, independent)[0] != NONE)


def pair_blocks(pairs: PairScores) -> Any:
    """The comparisons of ``pairs`` as blocks for :class:`syper_data.metrics.curves.Curves`."""

    def blocks() -> Iterator[ScoreBlock]:
        n = len(pairs.mated)
        yield ScoreBlock(pairs.mated, np.ones(n, bool), pairs.mated_subject, pairs.mated_subject)
        for start in range(0, len(pairs.nonmated), BLOCK):
            rows = slice(start, start + BLOCK)
            score = pairs.nonmated[rows]
            yield ScoreBlock(score, np.zeros(len(score), bool), pairs.first[rows], pairs.second[rows])

    return blocks


def _at(curves: Curves, target: float, independent: int) -> FnmrAtFmr:
    rule, note = support(target, independent)
    if rule == NONE:
        return FnmrAtFmr(OperatingPoint(target, None, None, None, independent, rule, note), None)
    threshold, fmr, fnmr = curves.threshold_at(target)
    point = OperatingPoint(target, threshold, fmr, fnmr, independent, rule, note)
    return FnmrAtFmr(point, _estimate(curves.fnmr_at(target)))


def _estimate(figures: Any) -> Estimate:
    value = float(figures[0])
    return Estimate(value, math.nan, math.nan) if math.isnan(value) else estimate(value, figures[1:])
