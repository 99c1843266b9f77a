"""Figures with intervals over people."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from syper_data.errors import UsageError
from syper_data.metrics.error_rates import Scores
from syper_data.metrics.pairs import PairScores, all_pairs
from syper_data.metrics.verification import verification


def scores_of(people: int, images: int, seed: int, spread: float = 0.8, d: int = 12) -> PairScores:
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(people, d)), images, 0)
    vectors = centres + spread * rng.normal(size=centres.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.repeat(np.arange(people), images)
    return all_pairs(vectors.astype(np.float32), labels, labels)


def test_the_figures_are_those_of_the_scores_and_their_intervals_hold_them() -> None:
    pairs = scores_of(30, 4, seed=0)
    found = verification(pairs, targets=(0.05, 0.0001), repeats=100)
    scores = Scores(pairs.mated, pairs.nonmated)
    assert found.eer.value == scores.equal_error_rate().value
    assert found.eer.low < found.eer.value < found.eer.high
    assert found.auc.value == scores.auc()
    assert found.at[0].fnmr is not None
    assert found.at[0].fnmr.value == scores.fnmr_at(0.05)
    assert found.at[1].fnmr is None  # 435 pairs of eyes
    assert found.independent == 435
    assert found == verification(pairs, targets=(0.05, 0.0001), repeats=100)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["at"][1]["point"]["support"] == "none"


def test_ten_copies_of_every_image_do_not_narrow_the_interval() -> None:
    """An interval over comparisons would shrink tenfold."""
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(25, 10))
    labels = np.arange(25)
    one = np.repeat(vectors, 2, 0) + 0.9 * rng.normal(size=(50, 10))
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    many = np.repeat(one, 5, 0).astype(np.float32)
    narrow = verification(all_pairs(many, np.repeat(labels, 10), np.repeat(labels, 10)), repeats=100)
    wide = verification(all_pairs(one.astype(np.float32), np.repeat(labels, 2), np.repeat(labels, 2)), repeats=100)
    width = narrow.auc.high - narrow.auc.low
    assert width > 0.5 * (wide.auc.high - wide.auc.low)


def test_the_interval_over_people_covers_the_truth() -> None:
    truth = verification(scores_of(500, 2, seed=99), repeats=2, targets=()).auc.value
    inside = 0
    for seed in range(40):
        found = verification(scores_of(40, 3, seed), repeats=60, targets=()).auc
        inside += found.low <= truth <= found.high
    assert inside >= 34


def test_sets_without_mated_or_nonmated_comparisons_are_refused() -> None:
    pairs = scores_of(5, 2, seed=0)
    with pytest.raises(UsageError, match="0 mated and 40 non-mated"):
        verification(replace(pairs, mated=pairs.mated[:0], mated_subject=pairs.mated_subject[:0]))
    with pytest.raises(UsageError, match="at least two images of an eye"):
        verification(scores_of(1, 3, seed=0))
