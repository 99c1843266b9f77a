"""Scores of folds against every comparison made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_folds import drawn_fold, drawn_vectors, unit
from syper_data.benchmarking import scoring
from syper_data.benchmarking.scoring import FAILED, acquired_scores, score_fold, search_fold, template_vectors
from syper_data.errors import InputError, UsageError
from syper_data.protocols.protocol import ListedComparisons


def test_a_score_is_the_cosine_of_two_templates_in_the_order_of_the_fold() -> None:
    fold = drawn_fold(5, 3)
    vectors = drawn_vectors(fold.identity)
    found = score_fold(fold, vectors)
    probe, reference, mated = (np.concatenate(x) for x in zip(*fold.comparisons.blocks(fold), strict=True))
    assert (found.probe == probe).all()
    assert (found.reference == reference).all()
    assert (found.mated == mated).all()
    expected = [
        float(vectors[i].astype(float) @ vectors[j].astype(float)) for i, j in zip(probe, reference, strict=True)
    ]
    assert found.score == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("full", "matrix"), [(0, 1), (10**6, 10**9), (10**6, 7000)], ids=["fetched", "one", "tiles"]
)
def test_listed_comparisons_score_the_same_whichever_way_is_cheaper(
    full: int, matrix: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    vectors = drawn_vectors(np.arange(300))
    probe, reference = rng.integers(0, 300, 2000), rng.integers(0, 250, 2000)
    monkeypatch.setattr(scoring, "_FULL", full)
    monkeypatch.setattr(scoring, "_MATRIX", matrix)
    expected = (vectors[probe].astype(float) * vectors[reference]).sum(axis=1)
    assert scoring._cosines(vectors, probe, reference) == pytest.approx(expected, abs=1e-6)


def test_listed_comparisons_come_in_the_order_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_LISTED", 70)
    monkeypatch.setattr(scoring, "BLOCK", 30)
    rng = np.random.default_rng(0)
    probe, reference = rng.integers(0, 12, 200), rng.integers(12, 24, 200)
    fold = drawn_fold(12, 2, eyes=1, comparisons=ListedComparisons(probe, reference, probe // 2 == reference // 2))
    vectors = drawn_vectors(fold.identity)
    found = score_fold(fold, vectors)
    assert (found.probe == probe).all()
    assert (found.reference == reference).all()
    assert found.score == pytest.approx((vectors[probe] * vectors[reference]).sum(axis=1), abs=1e-6)


def test_a_template_averages_frames_within_media_then_media() -> None:
    a, b, c = np.eye(3, dtype=np.float32)
    fold = replace(
        drawn_fold(1, 4, eyes=1), identity=np.array([0, 1]), subject=np.array([0, 1]),
        members=np.array([0, 1, 2, 3]), starts=np.array([0, 3, 4]), media=np.array([7, 7, 2, 0]),
    )  # fmt: skip
    templates = template_vectors(fold, np.stack([a, b, c, c]))
    assert templates[0] == pytest.approx(unit((0.5 * (a + b) + c)[None])[0])  # two frames of one video, one still
    assert templates[1] == pytest.approx(c)


def test_a_template_fails_only_where_all_of_its_images_did() -> None:
    a, b, _ = np.eye(3, dtype=np.float32)
    lost = np.full(3, np.nan, np.float32)
    fold = replace(
        drawn_fold(1, 4, eyes=1), identity=np.array([0, 1, 0]), subject=np.array([0, 1, 0]),
        members=np.array([0, 1, 2, 3]), starts=np.array([0, 2, 3, 4]),
    )  # fmt: skip
    templates = template_vectors(fold, np.stack([lost, a, lost, b]))
    assert templates[0] == pytest.approx(a)
    assert np.isnan(templates[1]).all()
    scores = score_fold(fold, np.stack([lost, a, lost, b]))
    assert scores.failed_templates.tolist() == [1]
    assert scores.failed_images.tolist() == [0, 2]
    failed = (scores.probe == 1) | (scores.reference == 1)
    assert (scores.score[failed] == FAILED).all()
    assert (scores.score[~failed] >= -1).all()


def test_acquired_comparisons_are_those_of_a_fold_without_the_failed_images() -> None:
    fold = drawn_fold(5, 3, searches=True)
    vectors = drawn_vectors(fold.identity)
    vectors[[4, 17]] = np.nan
    found = score_fold(fold, vectors)
    kept = acquired_scores(found)
    assert not np.isin(np.concatenate([kept.probe, kept.reference]), [4, 17]).any()
    lost = np.isin(found.probe, [4, 17]) | np.isin(found.reference, [4, 17])
    assert len(kept.score) == len(found.score) - lost.sum()
    assert (kept.score == found.score[~lost]).all()
    assert (kept.mated == found.mated[~lost]).all()
    assert kept.searches is None
    assert not len(kept.failed_templates)
    assert not len(kept.failed_images)


def test_a_search_leaves_out_the_other_eye_unless_both_eyes_count_as_one() -> None:
    """Person 0 has the eyes 0 and 1 among the references; the probe of eye 0 looks more like eye 1."""
    fold = drawn_fold(3, 2, searches=True)
    fold = replace(fold, identification=type(fold.identification)(np.array([1]), np.array([0, 2, 4])))  # type: ignore[misc]
    vectors = drawn_vectors(fold.identity)
    vectors[1] = unit(0.6 * vectors[2][None] + 0.5 * vectors[4][None] + 0.1 * vectors[0][None])[0]
    strict, both = search_fold(fold, vectors), search_fold(fold, vectors, both_eyes=True)
    assert strict is not None
    assert both is not None
    order = np.argsort(-(vectors[[0, 2, 4]] @ vectors[1]))
    assert order[0] == 1
    assert strict.rank.tolist() == [2]  # behind eye 2 of the other person, not behind the own other eye
    assert both.rank.tolist() == [1]
    one_eye = drawn_fold(3, 2, eyes=1, searches=True)
    assert search_fold(one_eye, drawn_vectors(one_eye.identity), both_eyes=True) is None


def test_searches_in_blocks_equal_one_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    fold = drawn_fold(10, 3, searches=True)
    vectors = drawn_vectors(fold.identity, spread=1.5)
    whole = search_fold(fold, vectors)
    monkeypatch.setattr(scoring, "_MATRIX", 5 * 16 * 4)
    parts = search_fold(fold, vectors)
    assert whole is not None
    assert parts is not None
    assert parts.rank.tolist() == whole.rank.tolist()
    assert parts.mated.tolist() == whole.mated.tolist()
    assert parts.nonmated_top == pytest.approx(whole.nonmated_top)


def test_a_failed_search_misses_at_every_rank_and_threshold() -> None:
    fold = drawn_fold(10, 2, eyes=1, searches=True)
    vectors = drawn_vectors(fold.identity, spread=0.1)
    vectors[1] = np.nan  # the probe of person 0
    vectors[2] = np.nan  # the only reference of person 1
    found = search_fold(fold, vectors)
    assert found is not None
    assert found.rank[:3].tolist() == [9, 9, 1]
    assert found.mated_score[:2].tolist() == [-np.inf, -np.inf]
    assert found.fnir(-np.inf) == 2 / 8
    assert found.cmc(8)[-1] == 6 / 8


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda v: v[:-1], "72 images need float vectors"),
        (lambda v: 2 * v, "image 0.png has length 2; it must be of unit length"),
        (lambda v: np.where(np.arange(v.size).reshape(v.shape) == 40, np.nan, v), "image 2.png holds NaN"),
        (lambda v: np.where(np.arange(v.size).reshape(v.shape) == 40, np.inf, v), "image 2.png holds NaN or inf"),
        (lambda v: np.where(np.arange(len(v))[:, None] == 3, 0, v), "image 3.png has length 0"),
    ],
)
def test_vectors_that_are_not_as_they_must_be_are_refused_by_the_name_of_the_image(spoil, text: str) -> None:  # type: ignore[no-untyped-def]
    fold = drawn_fold()
    with pytest.raises(InputError, match=text):
        score_fold(fold, spoil(drawn_vectors(fold.identity)))


def test_more_comparisons_than_memory_may_hold_are_refused_with_the_way_out() -> None:
    fold = drawn_fold()
    with pytest.raises(UsageError, match=r"more than 100 comparisons.*use blocked_figures"):
        score_fold(fold, drawn_vectors(fold.identity), most=100)
    empty = drawn_fold(comparisons=ListedComparisons(*(np.zeros(0, np.int64),) * 2, np.zeros(0, bool)))
    with pytest.raises(InputError, match="has no comparison"):
        score_fold(empty, drawn_vectors(empty.identity))


def test_comparisons_and_searches_of_templates_that_are_not_there_are_refused() -> None:
    rows, far = np.array([0, 1]), np.array([2, 24])
    listed = drawn_fold(12, 2, eyes=1, comparisons=ListedComparisons(rows, far, np.array([False, False])))
    vectors = drawn_vectors(listed.identity)
    with pytest.raises(InputError, match="reference names row 24, but there are 24"):
        score_fold(listed, vectors)
    before = replace(listed, comparisons=ListedComparisons(rows - 1, rows, np.array([False, False])))
    with pytest.raises(InputError, match="probe names row -1"):
        score_fold(before, vectors)
    searched = drawn_fold(12, 2, eyes=1, searches=True)
    wrong = replace(searched, identification=type(searched.identification)(rows, far))  # type: ignore[misc]
    with pytest.raises(InputError, match="gallery names row 24"):
        score_fold(wrong, vectors)
