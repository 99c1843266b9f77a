"""Accuracy over parts, against values counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syper_data.errors import InputError, UsageError
from syper_data.metrics.view2 import accuracy, best_threshold


def test_each_part_is_decided_by_the_threshold_of_the_others() -> None:
    score = np.array([0.9, 0.1, 0.8, 0.3, 0.4, 0.2])
    mated = np.array([True, False, True, False, True, False])
    found, right = accuracy(score, mated, [np.array([0, 1]), np.array([2, 3]), np.array([4, 5])])
    assert found.thresholds == (0.4, 0.4, 0.8)
    assert found.parts == (1, 1, 0.5)
    assert right.tolist() == [True, True, True, True, False, True]
    assert found.mean == pytest.approx(5 / 6)
    assert found.standard_error == pytest.approx(np.std([1, 1, 0.5], ddof=1) / math.sqrt(3))
    assert found.comparisons == 6


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 4), st.booleans()), min_size=1, max_size=30))
def test_the_threshold_is_the_lowest_with_fewest_errors(cases: list[tuple[int, bool]]) -> None:
    score, mated = np.array([c[0] for c in cases], float), np.array([c[1] for c in cases])
    candidates = [*sorted({s for s in score.tolist() if s > -2}), math.inf]
    wrong = [sum((s >= t) != m for s, m in cases) for t in candidates]
    assert best_threshold(score, mated, -2.0) == candidates[wrong.index(min(wrong))]


def test_a_failed_comparison_never_matches() -> None:
    score, mated = np.array([-2.0, -2.0, 0.5, 0.4]), np.array([True, True, True, True])
    found, right = accuracy(score, mated, [np.array([0, 2]), np.array([1, 3])], failed=-2.0)
    assert right.tolist() == [False, True, False, False]
    assert found.mean == 0.25


def test_parts_that_share_comparisons_or_have_none_are_refused() -> None:
    score, mated = np.arange(4.0), np.array([True, False, True, False])
    with pytest.raises(UsageError, match=r"at least two parts with comparisons, not \[4\]"):
        accuracy(score, mated, [np.arange(4)])
    with pytest.raises(UsageError, match=r"not \[4, 0\]"):
        accuracy(score, mated, [np.arange(4), np.arange(0)])
    with pytest.raises(UsageError, match="share"):
        accuracy(score, mated, [np.arange(3), np.arange(2, 4)])
    with pytest.raises(UsageError, match="beyond the 4 there are"):
        accuracy(score, mated, [np.arange(3), np.arange(3, 5)])
    score[2] = math.nan
    with pytest.raises(InputError, match="comparison 2 is not finite"):
        accuracy(score, mated, [np.arange(2), np.arange(2, 4)])
