"""Error rates against values counted by hand, slow loops, and properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syper_data.errors import InputError, UsageError
from syper_data.metrics.error_rates import RULE_OF_3, RULE_OF_30, Scores, support

MATED, NONMATED = [0.4, 0.6, 0.8], [0.1, 0.3, 0.5]
few_levels = st.lists(st.integers(0, 6), min_size=1, max_size=25)


def slow_fmr(nonmated: list[float], t: float) -> float:
    return sum(s >= t for s in nonmated) / len(nonmated)


def slow_fnmr(mated: list[float], t: float) -> float:
    return sum(s < t for s in mated) / len(mated)


def test_the_rates_are_those_counted_by_hand() -> None:
    scores = Scores(MATED, NONMATED)
    assert scores.fmr(0.3) == pytest.approx(2 / 3)  # a score equal to the threshold matches
    assert scores.fnmr(0.6) == pytest.approx(1 / 3)
    found = scores.equal_error_rate()
    assert found.value == pytest.approx(1 / 3)
    assert (found.threshold, found.fmr, found.fnmr) == (0.5, pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert scores.auc() == pytest.approx(8 / 9)
    assert scores.d_prime() == pytest.approx(0.3 / math.sqrt(0.08 / 3))


def test_the_equal_error_rate_lies_where_the_det_line_crosses_the_diagonal() -> None:
    scores = Scores([1, 2, 2, 2], [0, 1, 1, 1])
    # at t = 1: FMR 3/4, FNMR 0; at t = 2: FMR 0, FNMR 1/4; the line between crosses at 3/16
    assert scores.equal_error_rate().value == pytest.approx(3 / 16)


def test_separated_scores_have_no_error_and_equal_ones_are_chance() -> None:
    apart = Scores([0.9, 0.8], [0.1, 0.2])
    assert (apart.equal_error_rate().value, apart.auc(), apart.fnmr_at(0.0)) == (0, 1, 0)
    alike = Scores([0.5, 0.5], [0.5, 0.5])
    assert (alike.equal_error_rate().value, alike.auc(), alike.d_prime()) == (0.5, 0.5, 0)
    assert alike.threshold_at(0.0) == math.inf
    assert alike.fnmr_at(0.0) == 1


@settings(deadline=None)
@given(few_levels, few_levels, st.floats(0, 1))
def test_the_threshold_is_the_lowest_that_keeps_the_fmr(
    mated: list[float], nonmated: list[float], target: float
) -> None:
    scores = Scores(mated, nonmated)
    candidates = [*sorted({*mated, *nonmated}), math.inf]
    allowed = [t for t in candidates if slow_fmr(nonmated, t) <= target + 1e-8]
    t = scores.threshold_at(target)
    assert t == allowed[0]
    assert scores.fmr(t) == pytest.approx(slow_fmr(nonmated, t))
    assert scores.fnmr_at(target) == pytest.approx(slow_fnmr(mated, t))


@settings(deadline=None)
@given(few_levels, few_levels)
def test_rates_equal_slow_loops_and_a_monotone_transform_changes_nothing(
    mated: list[float], nonmated: list[float]
) -> None:
    scores, other = Scores(mated, nonmated), Scores(np.exp(mated), np.exp(nonmated))
    curve = scores.det()
    assert curve.fmr.tolist() == pytest.approx([slow_fmr(nonmated, t) for t in curve.thresholds])
    assert curve.fnmr.tolist() == pytest.approx([slow_fnmr(mated, t) for t in curve.thresholds])
    assert (np.diff(curve.fmr) >= 0).all()
    assert (np.diff(curve.fnmr) <= 0).all()
    wins = sum((m > n) + (m == n) / 2 for m in mated for n in nonmated)
    assert scores.auc() == pytest.approx(wins / len(mated) / len(nonmated))
    eer = scores.equal_error_rate()
    assert other.equal_error_rate().value == pytest.approx(eer.value)
    assert other.auc() == pytest.approx(scores.auc())
    assert min(eer.fmr, eer.fnmr) - 1e-12 <= eer.value <= eer.fnmr + 1e-12


@settings(deadline=None)
@given(few_levels, few_levels, st.integers(0, 1000))
def test_a_weight_is_a_number_of_repetitions(mated: list[float], nonmated: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 3, len(mated)), rng.integers(0, 3, len(nonmated))
    first[0] = second[0] = 1
    weighted = Scores(mated, nonmated).weighted(first.astype(float), second.astype(float))
    repeated = Scores(np.repeat(mated, first), np.repeat(nonmated, second))
    assert weighted.auc() == pytest.approx(repeated.auc())
    assert weighted.d_prime() == pytest.approx(repeated.d_prime())
    assert weighted.fnmr_at(0.3) == pytest.approx(repeated.fnmr_at(0.3))
    assert weighted.equal_error_rate().value == pytest.approx(repeated.equal_error_rate().value)


def test_no_rate_is_given_that_the_comparisons_cannot_support() -> None:
    rng = np.random.default_rng(0)
    scores = Scores(rng.normal(2, 1, 500), rng.normal(0, 1, 2999))
    refused = scores.operating_point(0.001)
    assert (refused.threshold, refused.fmr, refused.fnmr) == (None, None, None)
    assert "at least 3,000 are needed (rule of 3)" in refused.note
    few = scores.operating_point(0.002)
    assert few.support == RULE_OF_3
    assert few.fmr is not None
    assert few.fmr <= 0.002
    assert scores.operating_point(0.02).support == RULE_OF_30
    assert scores.operating_point(0.02, independent=100).threshold is None
    assert support(0.01, 300)[0] == RULE_OF_3
    assert support(0.01, 299)[0] == "none"
    assert support(0.01, 3000)[0] == RULE_OF_30
    with pytest.raises(UsageError, match="between 0 and 1"):
        scores.operating_point(1.0)


def test_a_thinned_det_curve_keeps_its_ends_and_order() -> None:
    rng = np.random.default_rng(0)
    scores = Scores(rng.normal(2, 1, 4000), rng.normal(0, 1, 9000))
    curve = scores.det(100)
    assert 50 < len(curve.thresholds) <= 104
    assert (curve.fmr[0], curve.fnmr[0], curve.fmr[-1], curve.fnmr[-1]) == (0, 1, 1, 0)
    assert (np.diff(curve.thresholds) < 0).all()
    assert (curve.fmr[1:-1] > 0).sum() > 40


def test_d_prime_of_two_gaussians_is_their_distance() -> None:
    rng = np.random.default_rng(1)
    assert Scores(rng.normal(3, 2, 40000), rng.normal(0, 2, 40000)).d_prime() == pytest.approx(1.5, abs=0.03)


def test_d_prime_is_below_zero_where_mated_scores_are_the_lower_ones() -> None:
    mated, nonmated = np.array([0.1, 0.2, 0.4]), np.array([0.3, 0.8, 0.9, 0.9])
    right, wrong = Scores(nonmated, mated).d_prime(), Scores(mated, nonmated).d_prime()
    assert wrong == pytest.approx(-right)
    assert wrong < 0
    assert (Scores([1.0], [0.0]).d_prime(), Scores([0.0], [1.0]).d_prime()) == (math.inf, -math.inf)


@pytest.mark.parametrize("bad", [[], [[1.0]], ["a"]])
def test_what_is_no_list_of_scores_is_refused(bad: object) -> None:
    with pytest.raises(InputError, match="non-mated scores are numbers"):
        Scores([1.0], bad)


def test_a_score_that_is_not_finite_is_named() -> None:
    with pytest.raises(InputError, match=r"^mated score 1 is not finite$"):
        Scores([1.0, math.nan], [0.0])
