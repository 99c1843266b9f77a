"""Two recognizers on the same comparisons."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from drawn_folds import drawn_fold, drawn_vectors
from syper_data.benchmarking.figures import figures
from syper_data.benchmarking.paired import paired_difference
from syper_data.benchmarking.scoring import score_fold
from syper_data.errors import UsageError
from syper_data.metrics.error_rates import Scores
from syper_data.metrics.intervals import subject_weights
from syper_data.metrics.paired import mcnemar

FOLD = drawn_fold(30, 3, eyes=1, searches=True)
GOOD = score_fold(FOLD, drawn_vectors(FOLD.identity, spread=0.8))
BAD = score_fold(FOLD, drawn_vectors(FOLD.identity, spread=1.4))


@pytest.mark.parametrize("figure", ["eer", "auc", "d_prime", "fnmr@0.01", "rank1", "rank5"])
def test_a_clear_difference_is_found_and_none_is_found_with_itself(figure: str) -> None:
    found = paired_difference(FOLD, BAD, GOOD, figure=figure, repeats=99)
    worse = 1 if figure in ("eer", "fnmr@0.01") else -1
    assert worse * found.difference.value > 0
    assert found.difference.value == pytest.approx(found.first - found.second)
    if figure != "rank5":
        assert found.p == pytest.approx(2 / 100)
        assert found.difference.low * found.difference.high > 0
    same = paired_difference(FOLD, GOOD, GOOD, figure=figure, repeats=99)
    assert (same.difference.value, same.p) == (0, 1)


def test_the_interval_is_that_of_differences_on_the_same_resamples() -> None:
    found = paired_difference(FOLD, BAD, GOOD, figure="eer", repeats=20, seed=4)
    m = GOOD.mated
    slow = []
    for w in subject_weights(30, 20, 4):
        a, b = FOLD.subject[GOOD.probe], FOLD.subject[GOOD.reference]
        weights = w[a[m]], w[a[~m]] * w[b[~m]]
        values = [Scores(s.score[m], s.score[~m]).weighted(*weights).equal_error_rate().value for s in (BAD, GOOD)]
        slow.append(values[0] - values[1])
    assert found.difference.low == pytest.approx(min(found.difference.value, np.quantile(slow, 0.025)), abs=1e-12)
    assert found.difference.high == pytest.approx(np.quantile(slow, 0.975), abs=1e-12)
    alone = figures(FOLD, BAD, repeats=20, seed=4).verification.eer
    assert found.first == alone.value


def test_pairing_narrows_the_interval_of_two_like_recognizers() -> None:
    vectors = drawn_vectors(FOLD.identity, spread=1.0)
    near = score_fold(FOLD, drawn_vectors(FOLD.identity, spread=1.02))
    one = score_fold(FOLD, vectors)
    found = paired_difference(FOLD, one, near, figure="auc", repeats=99)
    alone = figures(FOLD, one, repeats=99).verification.auc
    assert found.difference.high - found.difference.low < 0.7 * (alone.high - alone.low)


def test_accuracy_is_compared_by_bootstrap_and_by_the_exact_test() -> None:
    rows = np.random.default_rng(0).permutation(len(GOOD.score))
    fold = replace(FOLD, parts=tuple(np.array_split(rows, 10)))
    found = paired_difference(fold, GOOD, BAD, figure="accuracy", repeats=49)
    assert found.exact is not None
    n = len(rows)
    assert found.difference.value == pytest.approx((found.exact.first_only - found.exact.second_only) / n)


def test_the_exact_test_is_the_binomial_one() -> None:
    a = np.array([True] * 9 + [False] * 2 + [True] * 50)
    b = np.array([False] * 9 + [True] * 2 + [True] * 50)
    found = mcnemar(a, b)
    expected = 2 * sum(math.comb(11, k) for k in range(3)) / 2**11
    assert (found.first_only, found.second_only, found.p) == (9, 2, pytest.approx(expected, rel=1e-12))
    assert mcnemar(a, a).p == 1


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match="must be one of eer, auc"):
        paired_difference(FOLD, GOOD, BAD, figure="speed")
    with pytest.raises(UsageError, match="must be one of eer, auc"):
        paired_difference(FOLD, GOOD, BAD, figure="fnmr@low")
    with pytest.raises(UsageError, match=r"fnmr@1e-06: 435 independent comparisons can't support"):
        paired_difference(FOLD, GOOD, BAD, figure="fnmr@1e-06")
    with pytest.raises(UsageError, match="no parts"):
        paired_difference(FOLD, GOOD, BAD, figure="accuracy")
    shorter = replace(
        BAD, probe=BAD.probe[1:], reference=BAD.reference[1:], mated=BAD.mated[1:], score=BAD.score[1:]
    )
    with pytest.raises(UsageError, match="not of the same comparisons"):
        paired_difference(FOLD, GOOD, shorter)
