"""Intervals against published ones, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syper_data.errors import UsageError
from syper_data.metrics.intervals import (
    bootstrap_interval,
    clustered_proportion,
    estimate,
    proportion,
    subject_weights,
)


def test_wilsons_interval_is_the_published_one() -> None:
    found = proportion(np.array([True] * 81 + [False] * 182))  # Newcombe 1998, table I: 81 of 263
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    none = proportion(np.zeros(10, bool))
    assert (none.value, none.low) == (0, 0)
    assert 0.2 < none.high < 0.3


@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_an_interval_holds_its_value(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, n))
    found = proportion(np.arange(n) < count)
    assert 0 <= found.low <= found.value == count / n <= found.high <= 1


def test_the_bootstrap_of_a_median_holds_it_and_is_seeded() -> None:
    values = np.random.default_rng(0).normal(size=300)
    low, high = bootstrap_interval(values)
    assert low < np.median(values) < high
    assert (low, high) == bootstrap_interval(values)
    assert 0.1 < high - low < 0.5  # 1.96 x 1.25 / sqrt(300), both sides: 0.28


def test_a_share_of_cases_that_are_all_their_own_cluster_is_wilsons() -> None:
    cases = np.arange(263) < 81
    found, plain = clustered_proportion(cases, np.arange(263)), proportion(cases)
    assert found.effective == pytest.approx(263, rel=0.01)
    assert (found.low, found.high) == (pytest.approx(plain.low, abs=1e-3), pytest.approx(plain.high, abs=1e-3))


def test_cases_that_repeat_their_cluster_count_once() -> None:
    """Ten images a person, all alike: as uncertain as one image a person."""
    people = np.arange(50) < 20
    found = clustered_proportion(np.repeat(people, 10), np.repeat(np.arange(50), 10))
    plain = proportion(people)
    assert (found.n, found.clusters) == (500, 50)
    assert found.effective == pytest.approx(50, rel=0.03)
    assert (found.low, found.high) == (pytest.approx(plain.low, abs=5e-3), pytest.approx(plain.high, abs=5e-3))


def test_a_share_of_none_or_all_is_as_uncertain_as_the_number_of_people() -> None:
    clusters = np.repeat(np.arange(20), 5)
    none = clustered_proportion(np.zeros(100, bool), clusters)
    assert (none.value, none.low, none.effective) == (0, 0, 20)
    assert none.high == pytest.approx(proportion(np.zeros(20, bool)).high)
    assert clustered_proportion(np.ones(100, bool), clusters).low == pytest.approx(1 - none.high)
    lone = clustered_proportion(np.ones(100, bool), np.zeros(100, np.int64))
    assert (lone.low, lone.high) == (0, 1)
    with pytest.raises(UsageError, match="no cases"):
        clustered_proportion(np.zeros(0, bool), np.zeros(0, np.int64))


def test_the_clustered_interval_holds_the_truth_where_wilsons_over_images_does_not() -> None:
    rng, inside, naive = np.random.default_rng(0), 0, 0
    for _ in range(300):
        chance = rng.beta(0.4, 3.6, 40)  # mean 0.1, very different from person to person
        cases = rng.random((40, 12)) < chance[:, None]
        found = clustered_proportion(cases.ravel(), np.repeat(np.arange(40), 12))
        plain = proportion(cases.ravel())
        inside += found.low <= 0.1 <= found.high
        naive += plain.low <= 0.1 <= plain.high
    assert inside >= 0.91 * 300
    assert naive < 0.85 * 300


def test_the_weights_are_seeded_resamples_of_all_subjects() -> None:
    first, again = list(subject_weights(7, 50, seed=1)), list(subject_weights(7, 50, seed=1))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert {w.sum() for w in first} == {7.0}
    assert not all((a == b).all() for a, b in zip(first, subject_weights(7, 50, seed=2), strict=True))


def test_an_estimate_holds_its_value_and_skips_what_could_not_be_computed() -> None:
    found = estimate(5.0, [1.0, math.nan, 2.0])
    assert (found.low, found.high) == (pytest.approx(1.025), 5.0)
    assert math.isnan(estimate(5.0, [math.nan]).low)


def test_an_end_of_an_interval_may_be_infinite_and_nothing_else_is_made_of_that(
    recwarn: pytest.WarningsRecorder,
) -> None:
    found = estimate(2.0, [1.0, 2.0, 3.0, *[math.inf] * 3])
    assert (found.low, found.high) == (1.0, math.inf)
    assert estimate(2.0, [1.0] * 90 + [3.0] * 9 + [math.inf]).high == 3.0
    assert not list(recwarn)
