"""Figures of folds: against a slow reference, in blocks as in memory, failures counted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drawn_folds import drawn_fold, drawn_vectors
from syper_data.benchmarking.figures import blocked_figures, figures
from syper_data.benchmarking.folds import fold_values, over_folds
from syper_data.benchmarking.scoring import FAILED, FoldScores, score_fold
from syper_data.errors import InputError, UsageError
from syper_data.metrics.error_rates import Scores
from syper_data.protocols.protocol import AllComparisons, Fold, ListedComparisons

TARGETS = (0.1, 0.01, 1e-6)


def measured(fold: Fold, vectors: Any, **more: Any) -> tuple[FoldScores, Any]:
    scores = score_fold(fold, vectors)
    return scores, figures(fold, scores, targets=TARGETS, repeats=30, **more)


def test_the_figures_are_those_of_the_scores() -> None:
    fold = drawn_fold(searches=True)
    scores, found = measured(fold, drawn_vectors(fold.identity))
    plain = Scores(scores.score[scores.mated], scores.score[~scores.mated])
    v = found.verification
    assert v.eer.value == pytest.approx(plain.equal_error_rate().value, abs=1e-12)
    assert v.auc.value == pytest.approx(plain.auc(), abs=1e-12)
    assert v.d_prime.value == pytest.approx(plain.d_prime(), abs=1e-9)
    assert v.at[0].point.fnmr == pytest.approx(plain.fnmr_at(0.1), abs=1e-12)
    assert v.at[2].point.fnmr is None
    assert (v.subjects, v.identities, v.mated) == (12, 24, 24 * 3)
    assert v.independent == 24 * 23 // 2 - 12  # pairs of eyes of two people
    assert v.eer.low <= v.eer.value <= v.eer.high
    assert found.fta.rate == 0
    assert found.acquired is None
    assert found.det.fmr[0] == 0
    assert found.det.fmr[-1] == 1
    assert (found.det.fnmr_low <= found.det.fnmr).all()
    assert found.distribution.mated.sum() == v.mated
    assert found.distribution.nonmated.sum() == v.nonmated
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["identification"]["rank1"]["value"] == found.identification.rank1.value


def test_failures_count_as_errors_and_stand_beside_the_figures_without_them() -> None:
    fold = drawn_fold(20, 3, eyes=1)
    vectors = drawn_vectors(fold.identity, spread=0.7)
    _, whole = measured(fold, vectors)
    vectors[::10] = np.nan
    scores, found = measured(fold, vectors)
    kept = scores.score > FAILED
    alone = Scores(scores.score[kept & scores.mated], scores.score[kept & ~scores.mated])
    assert (found.fta.failed_images, found.fta.failed_templates, found.fta.rate) == (6, 6, 0.1)
    assert found.fta.failed_mated == (~kept & scores.mated).sum()
    assert found.fta.failed_nonmated == (~kept & ~scores.mated).sum()
    assert (found.verification.mated, found.verification.nonmated) == (60, 1710)  # none dropped
    share = found.fta.failed_mated / 60
    assert found.verification.at[0].point.fnmr >= share
    assert found.acquired.eer == pytest.approx(alone.equal_error_rate().value, abs=1e-12)
    assert found.acquired.at[0].fnmr == pytest.approx(alone.fnmr_at(0.1), abs=1e-12)
    assert found.verification.d_prime.value == pytest.approx(alone.d_prime(), abs=1e-9)
    assert found.verification.d_prime.value == pytest.approx(whole.verification.d_prime.value, rel=0.3)
    assert found.distribution.mated.sum() == 60 - found.fta.failed_mated


def test_a_network_that_says_the_opposite_has_a_d_prime_below_zero_in_every_resample() -> None:
    fold = drawn_fold(12, 3)
    scores, found = measured(fold, drawn_vectors(fold.identity, spread=0.5))
    turned = figures(fold, replace(scores, score=-scores.score), repeats=30, seed=1).verification.d_prime
    assert turned.value == pytest.approx(-found.verification.d_prime.value)
    assert turned.low <= turned.value <= turned.high < 0


def test_where_every_image_of_the_mated_comparisons_failed_all_of_them_are_errors() -> None:
    fold = drawn_fold(10, 2, eyes=1)
    vectors = drawn_vectors(fold.identity)
    vectors[::2] = np.nan
    _, found = measured(fold, vectors)
    assert found.verification.at[0].point.fnmr == 1
    assert math.isnan(found.verification.d_prime.value)
    assert found.acquired is None
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("failures", [False, True])
def test_block_by_block_gives_the_figures_of_the_scores_in_memory(failures: bool) -> None:
    fold = drawn_fold(25, 4, searches=True, comparisons=AllComparisons(group=np.tile([0, 0, 1, 1], 50)))
    vectors = drawn_vectors(fold.identity)
    if failures:
        vectors[::17] = np.nan
    _, whole = measured(fold, vectors)
    blocked = blocked_figures(fold, vectors, targets=TARGETS, repeats=30)
    assert blocked.to_dict() == whole.to_dict()


def test_a_target_that_the_comparisons_cannot_bear_has_no_figure() -> None:
    fold = drawn_fold(4, 2, eyes=1)
    _, found = measured(fold, drawn_vectors(fold.identity))
    assert [a.point.fnmr for a in found.verification.at] == [None] * 3  # 6 pairs of people
    assert "at least 30 are needed (rule of 3)" in found.verification.at[0].point.note
    assert fold_values(found).keys() == {"eer", "auc", "d_prime", "fta"}


def test_view_2_is_measured_over_its_parts() -> None:
    fold = drawn_fold(10, 4, eyes=1)
    rows = np.random.default_rng(0).permutation(sum(fold.counts()))
    fold = replace(fold, parts=tuple(np.array_split(rows, 10)))
    scores, found = measured(fold, drawn_vectors(fold.identity))
    shares = []
    for part in fold.parts or ():
        others = np.setdiff1d(rows, part)
        wrong = {t: ((scores.score[others] >= t) != scores.mated[others]).sum() for t in scores.score[others]}
        t = min(t for t, n in wrong.items() if n == min(wrong.values()))
        shares.append(((scores.score[part] >= t) == scores.mated[part]).mean())
    assert found.accuracy.mean == pytest.approx(np.mean(shares))
    assert found.accuracy.standard_error == pytest.approx(np.std(shares, ddof=1) / math.sqrt(10))
    with pytest.raises(UsageError, match="needs the scores in memory"):
        blocked_figures(fold, drawn_vectors(fold.identity))


def test_folds_give_mean_and_sample_deviation_and_how_many_they_are() -> None:
    fold = drawn_fold(searches=True)
    few = drawn_fold(3, 2, eyes=1)
    found = [measured(fold, drawn_vectors(fold.identity, seed))[1] for seed in (1, 2)]
    found.append(measured(few, drawn_vectors(few.identity, 3, spread=2))[1])
    over = over_folds(found)
    values = [f.verification.eer.value for f in found]
    assert (over["eer"].mean, over["eer"].n) == (pytest.approx(np.mean(values)), 3)
    assert over["eer"].deviation == pytest.approx(np.std(values, ddof=1))
    assert over["fnmr@0.1"].n == 2  # three people can't bear it
    assert over_folds(found[2:])["eer"].deviation is None
    with pytest.raises(UsageError, match="no fold"):
        over_folds([])


def test_one_kind_of_comparison_and_scores_that_are_no_numbers_are_refused() -> None:
    fold = drawn_fold(6, 2, eyes=1)
    scores = score_fold(fold, drawn_vectors(fold.identity))
    rows = np.flatnonzero(scores.mated)
    only = ListedComparisons(scores.probe[rows], scores.reference[rows], scores.mated[rows])
    mated = replace(fold, comparisons=only)
    with pytest.raises(UsageError, match="6 mated and 0 non-mated"):
        figures(mated, score_fold(mated, drawn_vectors(fold.identity)))
    scores.score[5] = np.nan
    with pytest.raises(InputError, match="score of comparison 5 of a block is not finite"):
        figures(fold, scores)


def test_equal_scores_are_chance() -> None:
    fold = drawn_fold(8, 3, eyes=1)
    vectors = np.tile(drawn_vectors(np.zeros(1, int)), (24, 1))
    scores, found = measured(fold, vectors)
    assert len(np.unique(scores.score)) == 1
    v = found.verification
    assert (v.eer.value, v.auc.value, v.d_prime.value) == (0.5, 0.5, 0)
