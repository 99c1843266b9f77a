"""Intervals at 95 %: of shares, of shares over clustered cases, of anything by the bootstrap.

Images of one person are not independent of each other: a share over images is as certain as the number
of *people* allows. :func:`clustered_proportion` and the weights of :func:`subject_weights` say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import UsageError

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Codes = np.ndarray[Any, np.dtype[np.int64]]

Z95 = 1.959963984540054  # the 97.5 % point of the standard normal distribution
QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class Proportion:
    """A share of ``n`` cases, with its Wilson interval at 95 %."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class ClusteredProportion(Proportion):
    """A share of ``n`` cases that come from ``clusters`` independent ones; ``effective`` cases count."""

    clusters: int
    effective: float


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; ``low`` and ``high`` hold the value."""

    value: float
    low: float
    high: float


def proportion(cases: Bools) -> Proportion:
    """The share of true cases with the Wilson (1927) score interval at 95 %."""
    n = len(cases)
    p = float(cases.mean())
    return Proportion(p, *wilson(p, n), n)


def wilson(p: float, n: float) -> tuple[float, float]:
    """The Wilson (1927) score interval at 95 % of a share ``p`` of ``n`` cases; it holds ``p``."""
    z2 = Z95 * Z95
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half))


def clustered_proportion(cases: Bools, clusters: Codes) -> ClusteredProportion:
    """The share of true cases [n] where those of one cluster (one person's images) hang together.

    Wilson's interval at the effective number of cases: n over the design effect, the ratio of the
    linearised between-cluster variance to p (1 - p) / n (Korn & Graubard 1998 do so with the exact
    interval). Between the number of clusters and n; where all cases or none are true, and nothing can be
    estimated, the number of clusters. One cluster gives [0, 1].
    """
    if not len(cases):
        raise UsageError("the share of no cases has no interval")
    n, p = len(cases), float(cases.mean())
    codes = np.unique(clusters, return_inverse=True)[1]
    count = int(codes.max()) + 1
    if count == 1 and n > 1:
        return ClusteredProportion(p, 0.0, 1.0, n, 1, 1.0)
    deviations = np.bincount(codes, cases - p)
    effective = float(count)
    if 0 < p < 1 and count > 1:
        variance = count / (count - 1) * float(np.square(deviations).sum()) / (n * n)
        effective = p * (1 - p) / variance if variance > 0 else float(n)
    effective = min(max(effective, float(count)), float(n))
    return ClusteredProportion(p, *wilson(p, effective), n, count, effective)


def bootstrap_interval(
    values: Floats, statistic: Any = np.median, *, repeats: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap at 95 % of ``statistic(values, axis=1)`` over independent values [n]."""
    rows = np.random.default_rng(seed).integers(0, len(values), (repeats, len(values)))
    low, high = np.quantile(statistic(values[rows], axis=1), QUANTILES)
    return float(low), float(high)


def subject_weights(subjects: int, repeats: int, seed: int = 0) -> Iterator[Floats]:
    """How often each of ``subjects`` people is in a resample of as many people, ``repeats`` times.

    A case weighs what its subject weighs; a comparison of two people the product of both weights (both
    sides are resampled), a comparison within one person that person's weight once: two copies of one
    person in a resample are not compared with each other.
    """
    rng = np.random.default_rng(seed)
    shares = np.full(subjects, 1 / subjects)
    for _ in range(repeats):
        yield rng.multinomial(subjects, shares).astype(np.float64)


def estimate(value: float, resampled: Floats | list[float]) -> Estimate:
    """A figure with the percentile interval of its resampled values; those that are NaN don't count. An end
    may be infinite."""
    values = np.asarray(resampled, np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return Estimate(value, math.nan, math.nan)
    if np.isfinite(values).all():
        low, high = np.quantile(values, QUANTILES)
    else:  # between a number and infinity lies nothing to interpolate
        low, high = np.quantile(values, QUANTILES, method="inverted_cdf")
    return Estimate(value, min(value, float(low)), max(value, float(high)))
