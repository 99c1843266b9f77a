"""Distances of feature sets against the slow obvious formulas, and against cases known by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from syper_data.errors import InputError, UsageError
from syper_data.metrics.distances import (
    Features,
    check_features,
    frechet_distance,
    kernel_distance,
    nearest,
    neighbour_distances,
    precision_recall,
)


def sets(n: int = 40, m: int = 40, d: int = 6, shift: float = 0.5, seed: int = 0) -> tuple[Features, Features]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) @ np.diag(1 + np.arange(d) / d) + shift


def kernel(x: Features, y: Features) -> float:
    return float((sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3)


def slow_mmd(x: Features, y: Features) -> float:
    """Gretton et al. 2012, equation 3: the unbiased estimate, pair by pair."""
    m, n = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i, j in itertools.permutations(range(m), 2)) / (m * (m - 1))
    yy = sum(kernel(y[i], y[j]) for i, j in itertools.permutations(range(n), 2)) / (n * (n - 1))
    xy = sum(kernel(a, b) for a in x for b in y) / (m * n)
    return xx + yy - 2 * xy


def distance(a: Features, b: Features) -> float:
    return math.dist(a.tolist(), b.tolist())


def radius(points: Features, i: int, k: int) -> float:
    return sorted(distance(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]


def test_frechet_of_two_gaussians_on_a_line_is_the_textbooks() -> None:
    real, generated = np.array([[-1.0], [0.0], [1.0]]), np.array([[1.0], [3.0], [5.0]])  # sd 1 and 2, 3 apart
    assert frechet_distance(real, generated) == pytest.approx(3**2 + (2 - 1) ** 2, abs=1e-12)


@pytest.mark.parametrize(("n", "m", "d"), [(50, 70, 5), (8, 9, 30)])  # full rank, and fewer rows than columns
def test_frechet_equals_the_formula_with_a_matrix_square_root(n: int, m: int, d: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    real, generated = sets(n, m, d)
    c1, c2 = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    root = linalg.sqrtm(c1) @ c2 @ linalg.sqrtm(c1)
    expected = ((real.mean(0) - generated.mean(0)) ** 2).sum() + np.trace(c1 + c2)
    expected -= 2 * np.sqrt(np.maximum(np.linalg.eigvalsh((root + root.T).real / 2), 0)).sum()
    assert frechet_distance(real, generated) == pytest.approx(expected, rel=1e-5)


def test_frechet_of_a_set_and_itself_is_zero_also_where_the_covariance_is_singular() -> None:
    real, _ = sets(10, 10, 64)
    assert abs(frechet_distance(real, real[::-1])) < 1e-9


def test_the_kernel_distance_of_all_rows_equals_the_sum_over_pairs() -> None:
    real, generated = sets(12, 12, 4)
    found = kernel_distance(real, generated, subsets=1, subset_size=12)
    assert found.mean == pytest.approx(slow_mmd(real, generated), rel=1e-9)


def test_the_kernel_distance_is_the_mean_over_seeded_subsets() -> None:
    real, generated = sets(20, 25, 4)
    found = kernel_distance(real, generated, subsets=7, subset_size=10, seed=3)
    rng, values = np.random.default_rng(3), []
    for _ in range(7):
        i, j = rng.choice(20, 10, replace=False), rng.choice(25, 10, replace=False)
        values.append(slow_mmd(real[i], generated[j]))
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9)
    assert found.std == pytest.approx(np.std(values), rel=1e-9)
    assert found == kernel_distance(real, generated, subsets=7, subset_size=10, seed=3)
    assert found != kernel_distance(real, generated, subsets=7, subset_size=10, seed=4)


def test_the_standard_error_is_the_jackknife_made_by_leaving_images_out() -> None:
    real, generated = sets(7, 9, 3)
    total = 0.0
    for n, left in (
        (7, [slow_mmd(np.delete(real, i, 0), generated) for i in range(7)]),
        (9, [slow_mmd(real, np.delete(generated, i, 0)) for i in range(9)]),
    ):
        total += (n - 1) / n * float(np.square(np.array(left) - np.mean(left)).sum())
    found = kernel_distance(real, generated, subsets=2, subset_size=7)
    error = math.sqrt(total + found.std**2 / 2)
    assert found.standard_error == pytest.approx(error, rel=1e-8)
    assert (found.low, found.high) == pytest.approx(
        (found.mean - 1.96 * error, found.mean + 1.96 * error), rel=1e-3
    )


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """The truth: E (x.y/2 + 1)^3 over independent pairs, from the moments of Gaussians with unit
    covariance in two dimensions; with s = x.y, E s = m.m', E s^2 and E s^3 below."""

    def expected(a: float, b: float) -> float:  # means (a, a) and (b, b); s = s1 + s2, both alike
        m1 = a * b
        m2 = (a * a + 1) * (b * b + 1)
        m3 = (a**3 + 3 * a) * (b**3 + 3 * b)
        first, second, third = 2 * m1, 2 * m2 + 2 * m1 * m1, 2 * m3 + 6 * m2 * m1
        return third / 8 + 3 * second / 4 + 3 * first / 2 + 1

    truth = expected(0, 0) + expected(1, 1) - 2 * expected(0, 1)
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        found = kernel_distance(rng.normal(size=(80, 2)), rng.normal(size=(80, 2)) + 1, subsets=1, subset_size=80)
        inside += found.low <= truth <= found.high
    assert 50 <= inside <= 60


def test_the_kernel_distance_of_one_distribution_is_zero_on_average() -> None:
    rng, values = np.random.default_rng(5), []
    for _ in range(200):
        values.append(
            kernel_distance(rng.normal(size=(20, 5)), rng.normal(size=(20, 5)), subsets=1, subset_size=20).mean
        )
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(200)
    assert min(values) < 0


@pytest.mark.parametrize("k", [1, 3])
def test_precision_recall_density_and_coverage_equal_the_definitions(k: int) -> None:
    real, generated = sets(30, 30, 3, 1.0)
    found = precision_recall(real, generated, k=k, coverage_k=4)

    def inside(point: Features, points: Features, k: int) -> list[bool]:
        return [distance(point, p) <= radius(points, i, k) for i, p in enumerate(points)]

    assert found.precision.value == np.mean([any(inside(g, real, k)) for g in generated])
    assert found.recall.value == np.mean([any(inside(r, generated, k)) for r in real])
    assert found.density == pytest.approx(np.mean([sum(inside(g, real, 4)) / 4 for g in generated]))
    covered = [any(distance(r, g) <= radius(real, i, 4) for g in generated) for i, r in enumerate(real)]
    assert found.coverage.value == np.mean(covered)
    assert 0 < found.precision.value < 1
    assert 0 < found.recall.value < 1


def test_few_repeated_images_have_precision_but_no_recall() -> None:
    real, _ = sets(200, 200, 4)
    collapsed = np.repeat(real[:1], 200, 0) + 1e-6 * np.arange(200)[:, None]
    found = precision_recall(real, collapsed)
    assert found.precision.value == 1
    assert found.recall.value < 0.02
    assert found.coverage.value < 0.1


def test_a_set_against_itself_is_whole_over_several_blocks_of_rows() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(1500, 2))
    found = precision_recall(real, real[rng.permutation(1500)])
    assert found.precision.value == found.recall.value == found.coverage.value == 1


def test_neighbours_over_several_blocks_equal_a_full_sort() -> None:
    rng = np.random.default_rng(1)
    points, queries = rng.normal(size=(1100, 3)), rng.normal(size=(1050, 3))
    full = np.linalg.norm(queries[:, None] - points[None], axis=2)
    indices, found = nearest(queries, points, 3)
    assert (indices == np.argsort(full, 1)[:, :3]).all()
    assert np.allclose(found, np.sort(full, 1)[:, :3])
    assert np.allclose(neighbour_distances(queries, points, (1, 4)), np.sort(full, 1)[:, [0, 3]])
    own = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert np.allclose(neighbour_distances(points, points, (1, 3), same=True), np.sort(own, 1)[:, [1, 3]])


def test_too_few_rows_are_refused_with_the_number_that_is_needed() -> None:
    real, generated = sets(10, 10)
    with pytest.raises(UsageError, match=r"10 real rows are fewer than a subset of 11"):
        kernel_distance(real, generated, subset_size=11)
    with pytest.raises(UsageError, match=r"9 generated rows are fewer than a subset of 10"):
        kernel_distance(real, generated[:9], subset_size=10)
    with pytest.raises(UsageError, match=r"4 images a side, at least 7 are needed for k = 3"):
        precision_recall(real[:4], generated[:4])
    with pytest.raises(UsageError, match=r"10 real and 9 generated"):
        precision_recall(real, generated[:9])
    with pytest.raises(UsageError, match="1 generated rows"):
        frechet_distance(real, generated[:1])
    with pytest.raises(UsageError, match="6 and 5 dimensions"):
        frechet_distance(real, generated[:, :5])
    with pytest.raises(UsageError, match="0 subsets"):
        kernel_distance(real, generated, subsets=0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_feature_that_is_not_finite_is_named_by_file_and_row(value: float) -> None:
    features = np.zeros((5, 3), np.float32)
    features[3, 1] = value
    with pytest.raises(InputError, match=r"real.npy, row 3: a feature is not finite"):
        check_features(features, "real.npy")


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((0, 3)), np.array([["a"]]), np.zeros((2, 2, 2))])
def test_what_is_no_table_of_numbers_is_refused(array: object) -> None:
    with pytest.raises(InputError, match=r"features are numbers \[n, d\]"):
        check_features(array, "here")


def test_features_become_float64() -> None:
    found = check_features(np.ones((2, 3), np.float32), "here")
    assert found.dtype == np.float64
    assert found.shape == (2, 3)
