"""Typicality: real people's density sets the threshold, and what is far from everybody is below it."""

from __future__ import annotations

import numpy as np
import pytest

from simulated_people import DIM, People, embeddings
from syper_data.errors import InputError, UsageError
from syper_data.filtering.embedding_set import EmbeddingSet
from syper_data.filtering.typicality import typicality

NAMES = [f"p{i}" for i in range(300)]


def real(count: int = 300, images: int = 2) -> EmbeddingSet:
    return EmbeddingSet.of(People().images(NAMES[:count], images), "reference")


def synthetic(vectors: object) -> EmbeddingSet:
    return EmbeddingSet.of(embeddings(vectors), "synthetic")


def slow_density(queries: np.ndarray, people: np.ndarray, own: list[np.ndarray], k: int) -> list[float]:
    found = []
    for query, mine in zip(queries, own, strict=True):
        similar = sorted((float(query @ other) for i, other in enumerate(people) if i not in mine), reverse=True)
        found.append(float(np.mean(similar[:k])))
    return found


def test_score_and_threshold_are_those_of_the_definition() -> None:
    reference = real(60)
    vectors = reference.gather(np.arange(len(reference)))
    queries = synthetic(np.random.default_rng(0).normal(size=(10, DIM)))
    found = typicality(queries, reference, neighbours=3, rate=0.05)
    mine = queries.gather(np.arange(10))
    np.testing.assert_allclose(found.score, slow_density(mine, vectors, [np.array([])] * 10, 3), atol=1e-6)
    own = [np.flatnonzero(reference.people == person) for person in reference.people]
    among = sorted(slow_density(vectors, vectors, own, 3))
    assert found.threshold == pytest.approx(among[6], abs=1e-6)
    assert sum(value < found.threshold - 1e-7 for value in among) == 6


def test_what_is_far_from_all_real_people_is_untypical() -> None:
    centre = np.full(DIM, 3.0)
    people = People()
    names = [name for name in NAMES for _ in range(2)]
    near = np.stack([people.eye(name) for name in names]) + centre
    reference = EmbeddingSet.of(embeddings(near, subjects=names), "reference")
    inside = np.random.default_rng(1).normal(size=(200, DIM)) + centre
    outside = np.random.default_rng(2).normal(size=(20, DIM)) - centre
    found = typicality(synthetic(np.concatenate([inside, outside])), reference, rate=0.01)
    assert (found.score[200:] < found.threshold).all()
    assert (found.score[:200] < found.threshold).mean() < 0.05
    assert found.to_dict()["rejected"] == int((found.score < found.threshold).sum())


def test_a_reference_without_people_or_too_small_is_refused() -> None:
    queries = synthetic(np.random.default_rng(0).normal(size=(3, DIM)))
    unnamed = EmbeddingSet.of(embeddings(np.random.default_rng(1).normal(size=(300, DIM))), "reference")
    with pytest.raises(InputError, match="whose it is"):
        typicality(queries, unnamed)
    with pytest.raises(UsageError, match=r"too few for a false-rejection rate of 0.005 \(at least 200\)"):
        typicality(queries, real(50))
