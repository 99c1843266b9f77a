"""What the published code computes, beside the strict figures and never in their place."""

from __future__ import annotations

import numpy as np
import pytest

from drawn_folds import drawn_fold, drawn_vectors
from syper_data.benchmarking.figures import figures
from syper_data.benchmarking.paper_compat import LABEL, paper_compat_figures, roc_points
from syper_data.benchmarking.scoring import FoldScores, score_fold
from syper_data.errors import UsageError


def test_the_nearest_fmr_may_lie_above_the_target_where_the_strict_one_never_does() -> None:
    score = np.array([0.9, 0.8, 0.5, 0.7, 0.4, 0.3, 0.2, 0.1])
    mated = np.array([True, True, True, False, False, False, False, False])
    rows, none = np.zeros(8, np.int32), np.zeros(0, np.int64)
    found = paper_compat_figures(FoldScores(rows, rows, mated, score, none, none), (0.15, 0.05))
    assert (found.at[0].fmr, found.at[0].fnmr) == (0.2, pytest.approx(1 / 3))
    assert found.at[0].fmr > found.at[0].target
    assert (found.at[1].fmr, found.at[1].fnmr) == (0, 1)  # the first of equals is where nothing matches at all


def test_both_eyes_among_the_references_raise_the_hit_rate() -> None:
    """The two eyes of a person look alike here, so that either helps to find the person."""
    fold = drawn_fold(20, 2, searches=True)
    vectors = drawn_vectors(fold.subject, spread=1.6)
    found = figures(fold, score_fold(fold, vectors), repeats=5, paper_compat=True)
    assert found.paper_compat is not None
    assert found.identification is not None
    assert found.identification.rank1 is not None
    assert found.paper_compat.label == LABEL
    assert found.paper_compat.rank1_both_eyes is not None
    assert found.paper_compat.rank1_both_eyes > found.identification.rank1.value
    assert figures(fold, score_fold(fold, vectors), repeats=5).paper_compat is None


def test_one_kind_of_comparison_is_refused() -> None:
    with pytest.raises(UsageError, match="3 of 3 comparisons are mated"):
        roc_points(np.arange(3.0), np.ones(3, bool))
