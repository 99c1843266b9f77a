"""The synthetic set against itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulated_people import People, embeddings, names
from syper_data.filtering import distinct
from syper_data.filtering.auditor import SearchSettings
from syper_data.filtering.distinct import duplicates, label_figures
from syper_data.filtering.embedding_set import EmbeddingSet

SETTINGS = SearchSettings()


def slow_duplicates(vectors: Any, threshold: float) -> list[int]:
    similarity, found = vectors @ vectors.T, []
    for i in range(len(vectors)):
        kept = [j for j in range(i) if found[j] < 0 and similarity[i, j] >= threshold]
        found.append(max(kept, key=lambda j: similarity[i, j]) if kept else -1)
    return found


@pytest.mark.parametrize("block", [4, 7, 1024])
def test_duplicates_are_those_of_a_loop_over_the_images_whatever_the_blocks(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distinct, "_BLOCK", block)
    who = People(0, noise=0.5)
    given = who.images([f"p{i % 25}" for i in np.random.default_rng(0).integers(0, 25, 80)])
    found = duplicates(EmbeddingSet.of(given, "synthetic"), 0.7, SETTINGS, fpir=0.01, references=40)
    assert found is not None
    expected = slow_duplicates(given.vectors, 0.7)
    assert found.duplicate_of.tolist() == expected
    assert 10 < sum(x >= 0 for x in expected) < 70
    similarity = given.vectors @ given.vectors.T - 3 * np.eye(80)
    assert found.like_another.value == (similarity.max(1) >= 0.7).mean()
    assert (found.nearest == similarity.argmax(1)).all()
    assert found.expected == pytest.approx(0.01 * 79 / 40)
    assert found.to_dict()["duplicates"] == sum(x >= 0 for x in expected)


def test_a_single_image_has_no_duplicates() -> None:
    assert duplicates(EmbeddingSet.of(People().images(["a"]), "synthetic"), 0.5, SETTINGS) is None


def test_labels_whose_identities_hold_are_consistent_and_unique() -> None:
    who = People(0, noise=0.2)
    labels = list(np.repeat(np.arange(12), 5))
    good = embeddings(who.images(names("p", 12), 5).vectors, labels=labels)
    found = label_figures(EmbeddingSet.of(good, "synthetic"), 0.75, SETTINGS)
    assert found is not None
    assert found.consistent is not None
    assert (found.labels, found.unique.value) == (12, 1)
    assert found.consistent.value > 0.95
    assert (found.consistent.n, found.consistent.clusters) == (120, 12)
    assert found.median_to_centre > 0.9
    mixed = np.random.default_rng(0).permutation(60)
    shuffled = embeddings(good.vectors[mixed], labels=labels)
    broken = label_figures(EmbeddingSet.of(shuffled, "synthetic"), 0.75, SETTINGS)
    assert broken is not None
    assert broken.consistent is not None
    assert broken.consistent.value < 0.3


def test_two_labels_of_one_identity_are_not_unique() -> None:
    who = People(0, noise=0.2)
    same = embeddings(who.images(["a", "a", "b", "c"], 3).vectors, labels=[0] * 3 + [1] * 3 + [2] * 3 + [3] * 3)
    found = label_figures(EmbeddingSet.of(same, "synthetic"), 0.8, SETTINGS)
    assert found is not None
    assert found.unique.value == 0.5


def test_a_set_without_labels_has_no_label_figures() -> None:
    assert label_figures(EmbeddingSet.of(People().images(names("p", 4)), "synthetic"), 0.5, SETTINGS) is None
    one = embeddings(People().images(names("p", 4)).vectors, labels=[0] * 4)
    assert label_figures(EmbeddingSet.of(one, "synthetic"), 0.5, SETTINGS) is None
