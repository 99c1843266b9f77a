"""The blocked search against a full sort of all similarities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from syper_data.errors import InputError, UsageError
from syper_data.filtering import search as module
from syper_data.filtering.search import ArrayBlocks, count_at_least, search


def unit(n: int, d: int = 16, seed: int = 0) -> Any:
    x = np.random.default_rng(seed).normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def slow(queries: Any, reference: Any, k: int, own: Any = None) -> tuple[Any, Any]:
    similarity = queries.astype(np.float64) @ reference.astype(np.float64).T
    if own is not None:
        similarity[own] = -np.inf
    order = np.argsort(-similarity.astype(np.float32), axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(similarity, order, 1)


@pytest.mark.parametrize(("query_rows", "reference_rows"), [(9, 1), (7, 13), (64, 50), (1000, 1000), (30, 4)])
@pytest.mark.parametrize("k", [1, 5])
def test_the_search_finds_what_a_full_sort_finds_whatever_the_blocks(
    query_rows: int, reference_rows: int, k: int
) -> None:
    queries, reference = unit(60), unit(130, seed=1)
    found = search(
        ArrayBlocks(queries), ArrayBlocks(reference), k, query_rows=query_rows, reference_rows=reference_rows
    )
    rows, similarity = slow(queries, reference, k)
    assert (found.rows == rows).all()
    assert (found.similarity == similarity.astype(np.float32)).all()


@pytest.mark.parametrize("d", [512, 100])
def test_results_are_the_same_to_the_bit_for_all_blocks_and_threads(d: int) -> None:
    queries, reference = ArrayBlocks(unit(300, d)), ArrayBlocks(unit(700, d, seed=1))
    first = search(queries, reference, 6)
    before = torch.get_num_threads()
    for threads, query_rows, reference_rows in ((1, 37, 111), (2, 300, 64), (1, 1, 700)):
        other = search(
            queries, reference, 6, threads=threads, query_rows=query_rows, reference_rows=reference_rows
        )
        assert (other.rows == first.rows).all()
        assert (other.similarity == first.similarity).all()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("reference_rows", [3, 10, 100])
def test_of_equal_references_the_lowest_rows_are_named(reference_rows: int) -> None:
    reference = np.repeat(unit(4), 10, axis=0)[np.random.default_rng(0).permutation(40)]
    found = search(ArrayBlocks(reference), ArrayBlocks(reference), 4, reference_rows=reference_rows)
    for i, rows in enumerate(found.rows):
        assert rows.tolist() == np.flatnonzero((reference == reference[i]).all(1))[:4].tolist()


@pytest.mark.parametrize("reference_rows", [4, 9, 1000])
def test_rows_of_the_own_group_are_not_compared(reference_rows: int) -> None:
    vectors = unit(90)
    people = np.random.default_rng(2).integers(0, 12, 90)
    people[:20] = 3  # a person that fills whole blocks
    found = search(
        ArrayBlocks(vectors), ArrayBlocks(vectors), 3, query_groups=people, reference_groups=people,
        query_rows=17, reference_rows=reference_rows,
    )  # fmt: skip
    rows, _ = slow(vectors, vectors, 3, people[:, None] == people[None])
    assert (found.rows == rows).all()


def test_where_too_few_can_be_compared_the_rest_is_empty() -> None:
    vectors = unit(3)
    groups = np.array([0, 0, 1])
    found = search(ArrayBlocks(vectors), ArrayBlocks(vectors), 5, query_groups=groups, reference_groups=groups)
    assert found.rows[0].tolist() == [2, -1, -1, -1, -1]
    assert found.similarity[0, 1] == -np.inf
    assert sorted(found.rows[2, :2].tolist()) == [0, 1]


class Watched:
    """Blocks that remember how large they were asked for."""

    def __init__(self, vectors: Any) -> None:
        self.inner, self.largest, self.reads = ArrayBlocks(vectors), 0, 0

    def __len__(self) -> int:
        return len(self.inner)

    @property
    def where(self) -> str:
        return "watched"

    @property
    def dim(self) -> int:
        return self.inner.dim

    def blocks(self, rows: int) -> Iterator[tuple[int, Any]]:
        self.reads += 1
        for start, block in self.inner.blocks(rows):
            self.largest = max(self.largest, len(block))
            yield start, block


def test_memory_is_one_block_of_similarities_and_the_reference_is_read_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    empty = torch.empty

    def watched_empty(size: int) -> torch.Tensor:
        asked.append(size)
        return empty(size)

    monkeypatch.setattr(module.torch, "empty", watched_empty)
    queries, reference = Watched(unit(50)), Watched(unit(400, seed=1))
    search(queries, reference, 2, query_rows=20, reference_rows=30)
    assert (queries.largest, reference.largest, reference.reads) == (20, 30, 2)
    assert asked == [600]


def test_comparisons_at_or_above_a_threshold_are_counted() -> None:
    vectors = unit(40, 4)
    groups = np.arange(40) // 2
    similarity = vectors @ vectors.T
    other = groups[:, None] != groups[None]
    found = count_at_least(
        ArrayBlocks(vectors), ArrayBlocks(vectors), 0.5, query_groups=groups, reference_groups=groups,
        query_rows=7, reference_rows=9,
    )  # fmt: skip
    assert found == (int(((similarity >= 0.5) & other).sum()), int(other.sum()))


def test_the_search_agrees_with_faiss() -> None:
    faiss = pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    queries, reference = unit(64, 128), unit(500, 128, seed=1)
    similarity, rows = faiss.knn(queries, reference, 5, metric=faiss.METRIC_INNER_PRODUCT)
    found = search(ArrayBlocks(queries), ArrayBlocks(reference), 5)
    assert (found.rows == rows).all()
    assert np.allclose(found.similarity, similarity, atol=1e-6)


def test_an_empty_side_and_other_dimensions_are_refused() -> None:
    full, empty = ArrayBlocks(unit(3)), ArrayBlocks(np.empty((0, 16), np.float32))
    with pytest.raises(UsageError, match="the reference is empty"):
        search(full, empty)
    with pytest.raises(UsageError, match="no embeddings to search with"):
        search(empty, full)
    with pytest.raises(UsageError, match="16 and 8 dimensions"):
        search(full, ArrayBlocks(unit(3, 8)))
    with pytest.raises(UsageError, match="neighbours is 0"):
        search(full, full, 0)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "is not finite"), (np.inf, "is not finite"), (3.0, "has norm")]
)
def test_a_broken_vector_is_named_by_its_row(value: float, message: str) -> None:
    vectors = unit(20)
    vectors[17, 3] = value
    with pytest.raises(InputError, match=rf"gallery, row 17: the embedding {message}"):
        search(ArrayBlocks(unit(2)), ArrayBlocks(vectors, "gallery"), reference_rows=4)
    with pytest.raises(InputError, match="float32"):
        search(ArrayBlocks(unit(2)), ArrayBlocks(np.zeros((2, 16), np.int64)))
