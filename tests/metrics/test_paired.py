"""p values of paired differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from syper_data.metrics.paired import mcnemar, paired


def test_the_p_value_counts_resamples_on_the_other_side_of_zero() -> None:
    first = np.array([0.5, *([0.6] * 95), *([0.4] * 4)])
    found = paired("eer", first, np.full(100, 0.45), seed=0)
    assert found.p == pytest.approx(2 * 5 / 100)
    assert (found.first, found.second, found.repeats) == (0.5, 0.45, 99)
    assert found.difference.value == pytest.approx(0.05)


def test_resamples_without_a_figure_do_not_count() -> None:
    found = paired("eer", np.array([1.0, math.nan, 2.0]), np.zeros(3), seed=0)
    assert found.p == 1
    assert math.isnan(paired("eer", np.ones(1), np.zeros(1), seed=0).p)


def test_a_true_null_is_rejected_about_as_often_as_said() -> None:
    rng, rejected = np.random.default_rng(0), 0
    for _ in range(300):
        people = rng.normal(size=40)
        means = [people.mean(), *(people[rng.integers(0, 40, 40)].mean() for _ in range(199))]
        rejected += paired("x", np.array(means), np.zeros(200), seed=0).p < 0.05
    assert 5 <= rejected <= 30


def test_the_exact_test_equals_the_sum_of_binomials_and_is_one_where_nothing_differs() -> None:
    for a, b in ((0, 1), (3, 9), (40, 10), (7, 7)):
        right = np.array([True] * a + [False] * b)
        n, k = a + b, min(a, b)
        expected = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
        assert mcnemar(right, ~right).p == pytest.approx(expected, rel=1e-10)
    assert mcnemar(np.ones(5, bool), np.ones(5, bool)).p == 1
