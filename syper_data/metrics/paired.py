"""Is the difference of two systems on the same comparisons more than chance?

:func:`paired` resamples people, the same ones for both systems, so that what makes a person hard for both
cancels out. :func:`mcnemar` tests right-or-wrong decisions, exactly, where decisions are independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from syper_data.metrics.intervals import Bools, Estimate, Floats, estimate


@dataclass(frozen=True)
class PairedDifference:
    """First minus second ``figure``, its 95 % interval over people and two-sided ``p`` value of no difference."""

    figure: str
    first: float
    second: float
    difference: Estimate
    p: float
    repeats: int
    seed: int
    exact: McNemar | None = None


@dataclass(frozen=True)
class McNemar:
    """Decisions that only the first (``first_only``) or only the second system had right, and the exact
    two-sided ``p`` of the sign test on them; it takes comparisons as independent."""

    first_only: int
    second_only: int
    p: float


def paired(
    figure: str, first: Floats, second: Floats, *, seed: int, exact: McNemar | None = None
) -> PairedDifference:
    """Figures [1 + repeats] of two systems: of the comparisons, then of each resample.

    p = 2 (1 + min(differences <= 0, differences >= 0)) / (1 + repeats), at most 1 (Davison & Hinkley 1997,
    section 4.4, both tails): the level at which the percentile interval would just hold zero. It can't be
    less than 2 / (1 + repeats).
    """
    difference = np.asarray(first) - np.asarray(second)
    drawn = difference[1:][~np.isnan(difference[1:])]
    tail = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    p = min(1.0, 2 * (1 + tail) / (1 + len(drawn))) if len(drawn) else math.nan
    found = estimate(float(difference[0]), drawn)
    return PairedDifference(figure, float(first[0]), float(second[0]), found, p, len(first) - 1, seed, exact)


def mcnemar(first_right: Bools, second_right: Bools) -> McNemar:
    """The exact binomial test of McNemar (1947) on the decisions [n] in which the systems differ."""
    a = int((first_right & ~second_right).sum())
    b = int((~first_right & second_right).sum())
    n = a + b
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(min(a, b) + 1)]
    tail = sum(math.exp(x - n * math.log(2)) for x in logs)
    return McNemar(a, b, min(1.0, 2 * tail))
