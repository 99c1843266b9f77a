"""How far apart two sets of feature vectors are: Fréchet and kernel distance, precision and recall.

Every function takes float arrays [n, d], one row an image, and computes in float64. None draws a
random number without a seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.metrics.intervals import Z95, Floats, Proportion, proportion

Features = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]

_BLOCK_ROWS = 1024  # rows of a distance matrix that are in memory at once


@dataclass(frozen=True)
class KernelDistance:
    """``mean`` and ``std`` over the subsets; ``low`` and ``high`` bound the mean at 95 %.

    The subsets overlap, so their spread is not the sampling error. ``standard_error`` joins the
    delete-one jackknife over the images of both sets (of the same statistic on all images) with
    what the number of subsets leaves to chance, ``std`` / sqrt(subsets).
    """

    mean: float
    std: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True)
class Manifolds:
    """Precision, recall, density and coverage of a generated set against a real one."""

    precision: Proportion
    recall: Proportion
    density: float
    coverage: Proportion


def check_features(features: Any, where: str) -> Features:
    """Any array -> float64 [n, d].

    Raises:
        InputError: not two-dimensional, empty, not numbers, or a value that is not finite (the row
            is named).
    """
    array = np.asarray(features)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiu":
        raise InputError(f"{where}: features are numbers [n, d], not {array.dtype} {list(array.shape)}")
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise InputError(f"{where}, row {int(np.flatnonzero(bad)[0])}: a feature is not finite")
    return array.astype(np.float64)


def frechet_distance(real: Features, generated: Features) -> float:
    """Fréchet distance of two Gaussians fitted to the sets (Dowson & Landau 1982; Heusel et al. 2017).

    |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2), covariances over n - 1. With the centred sets
    written A = Q1 R1 and B = Q2 R2, the last trace is the sum of the singular values of R1 R2^T: no
    matrix square root is taken and nothing is clipped, also where there are fewer rows than
    columns. The figure falls with n: compare at equal n only.
    """
    _same_width(real, generated)
    for name, features in (("real", real), ("generated", generated)):
        if len(features) < 2:
            raise UsageError(f"Fréchet distance: {len(features)} {name} rows, at least 2 are needed")
    difference = real.mean(0) - generated.mean(0)
    first, second = _triangle(real), _triangle(generated)
    traces = float((first * first).sum() + (second * second).sum())
    common = float(np.linalg.svdvals(first @ second.T).sum())
    return float(difference @ difference) + traces - 2 * common


def kernel_distance(
    real: Features, generated: Features, *, subsets: int = 100, subset_size: int = 500, seed: int = 0
) -> KernelDistance:
    """Unbiased squared MMD with the kernel (x.y / d + 1)^3, mean over random subsets ("KID").

    Bińkowski et al. 2018. Each subset draws ``subset_size`` rows of either set without
    replacement, from ``numpy.random.default_rng(seed)``. Below zero is possible: it is unbiased.

    Raises:
        UsageError: a set has fewer rows than a subset, or nonsensical numbers.
    """
    _same_width(real, generated)
    if subsets < 1 or subset_size < 2:
        raise UsageError(f"kernel distance: {subsets} subsets of {subset_size}; at least 1 of 2 are needed")
    for name, features in (("real", real), ("generated", generated)):
        if len(features) < subset_size:
            raise UsageError(
                f"kernel distance: {len(features)} {name} rows are fewer than a subset of {subset_size}; "
                "take more images or a smaller --subset-size"
            )
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        x = real[rng.choice(len(real), subset_size, replace=False)]
        y = generated[rng.choice(len(generated), subset_size, replace=False)]
        values.append(_mmd(x, y))
    mean, std = float(np.mean(values)), float(np.std(values))
    error = math.hypot(_jackknife_error(real, generated), std / math.sqrt(subsets))
    return KernelDistance(mean, std, error, mean - Z95 * error, mean + Z95 * error)


def precision_recall(real: Features, generated: Features, *, k: int = 3, coverage_k: int = 5) -> Manifolds:
    """Improved precision and recall (Kynkäänniemi et al. 2019); density and coverage (Naeem et al. 2020).

    A set's manifold is the union of balls around its points, each reaching to the point's k-th
    nearest other point. Precision: the share of generated points in the real manifold; recall: the
    share of real points in the generated one. Density and coverage take ``coverage_k``. All four
    depend on n: the sets must be of one size. The intervals are over the points judged; the
    manifold is taken as given.

    Raises:
        UsageError: sets of different sizes, or of fewer than k + 2 points.
    """
    _same_width(real, generated)
    if len(real) != len(generated):
        raise UsageError(f"precision and recall: {len(real)} real and {len(generated)} generated rows: not equal")
    need = max(k, coverage_k) + 2
    if len(real) < need:
        raise UsageError(
            f"precision and recall: {len(real)} images a side, at least {need} are needed for k = {k}"
        )
    real_radii = neighbour_distances(real, real, (k, coverage_k), same=True)
    generated_radius = neighbour_distances(generated, generated, (k,), same=True)[:, 0]
    n = len(real)
    inside_generated, covered = np.zeros(n, bool), np.zeros(n, bool)
    inside_real, balls = np.zeros(n, bool), np.zeros(n, np.int64)
    for start in range(0, n, _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        d = pairwise_distances(real[rows], generated)  # [real, generated]
        inside_generated[rows] = (d <= generated_radius[None]).any(1)
        inside_real |= (d <= real_radii[rows, :1]).any(0)
        within = d <= real_radii[rows, 1:]
        covered[rows] = within.any(1)
        balls += within.sum(0)
    return Manifolds(
        precision=proportion(inside_real),
        recall=proportion(inside_generated),
        density=float(balls.mean() / coverage_k),
        coverage=proportion(covered),
    )


def neighbour_distances(queries: Features, points: Features, ks: tuple[int, ...], *, same: bool = False) -> Floats:
    """Euclidean distance of every query to its k-th nearest point, for each k -> [queries, len(ks)].

    ``same`` says that both are one set: a row is then not its own neighbour (an equal row is).
    """
    out = np.empty((len(queries), len(ks)))
    for start in range(0, len(queries), _BLOCK_ROWS):
        d = pairwise_distances(queries[start : start + _BLOCK_ROWS], points)
        if same:
            np.fill_diagonal(d[:, start:], np.inf)
        d.partition([k - 1 for k in ks], axis=1)
        out[start : start + _BLOCK_ROWS] = d[:, [k - 1 for k in ks]]
    return out


def nearest(queries: Features, points: Features, count: int = 1) -> tuple[Indices, Floats]:
    """The ``count`` nearest points of every query, nearest first: row numbers and distances [n, count]."""
    indices = np.empty((len(queries), count), np.int64)
    found = np.empty((len(queries), count))
    for start in range(0, len(queries), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        d = pairwise_distances(queries[rows], points)
        indices[rows] = np.argsort(d, axis=1, kind="stable")[:, :count]
        found[rows] = np.take_along_axis(d, indices[rows], 1)
    return indices, found


def pairwise_distances(x: Features, y: Features) -> Floats:
    """Euclidean distances of every row of ``x`` to every row of ``y`` [len(x), len(y)]."""
    centre = y.mean(0)  # keeps the products small, so that differences of squares lose little
    x, y = x - centre, y - centre
    squared = (x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2 * (x @ y.T)
    d: Floats = np.asarray(np.sqrt(np.maximum(squared, 0)))
    return d


def _same_width(a: Features, b: Features) -> None:
    if a.shape[1] != b.shape[1]:
        raise UsageError(f"features of {a.shape[1]} and {b.shape[1]} dimensions can't be compared")


def _triangle(x: Features) -> Features:
    """R of the QR decomposition of the centred rows over sqrt(n - 1): R^T R is the covariance."""
    r: Features = np.asarray(np.linalg.qr((x - x.mean(0)) / math.sqrt(len(x) - 1), mode="r"))
    return r


def _kernel(x: Features, y: Features) -> Floats:
    k: Floats = np.asarray((x @ y.T / x.shape[1] + 1) ** 3)
    return k


def _mmd(x: Features, y: Features) -> float:
    m, n = len(x), len(y)
    kxx, kyy = _kernel(x, x), _kernel(y, y)
    within_x = (kxx.sum() - np.trace(kxx)) / (m * (m - 1))
    within_y = (kyy.sum() - np.trace(kyy)) / (n * (n - 1))
    return float(within_x + within_y - 2 * _kernel(x, y).mean())


def _row_sums(x: Features, y: Features, *, same: bool = False) -> Floats:
    """Sums of the kernel over ``y`` for every row of ``x``, without the row itself if ``same``."""
    out = np.empty(len(x))
    for start in range(0, len(x), _BLOCK_ROWS):
        k = _kernel(x[start : start + _BLOCK_ROWS], y)
        if same:
            np.fill_diagonal(k[:, start:], 0)
        out[start : start + _BLOCK_ROWS] = k.sum(1)
    return out


def _jackknife_error(real: Features, generated: Features) -> float:
    """Standard error of the unbiased squared MMD on all rows: leave out each row of either set."""
    variance = 0.0
    for own, other in ((real, generated), (generated, real)):
        n = len(own)
        if n < 3:
            return math.inf
        within, cross = _row_sums(own, own, same=True), _row_sums(own, other)
        left_out = (within.sum() - 2 * within) / ((n - 1) * (n - 2))
        left_out -= 2 * (cross.sum() - cross) / ((n - 1) * len(other))
        variance += (n - 1) / n * float(np.square(left_out - left_out.mean()).sum())
    return math.sqrt(variance)
