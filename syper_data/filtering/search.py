"""Exact nearest neighbours of L2-normalised vectors: blocked on both sides, memory bounded.

A block of similarities is one float32 matrix product; of it only what exceeds a query's worst candidate
so far is looked at, so nearly all time goes into the product (decision 0013 compares it with faiss).
What is found is computed again in float64 at the end: block sizes and threads can't change the result.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from syper_data.errors import InputError, UsageError

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Rows = np.ndarray[Any, np.dtype[np.int64]]
Similarities = np.ndarray[Any, np.dtype[np.float32]]

QUERY_ROWS, REFERENCE_ROWS = 1024, 1024  # 4 MB of similarities, which stay in the cache
MARGIN = 8  # candidates beyond k that are computed again, more than rounding can displace
_WAITING = 4  # candidates a query that wait before they are put in order
_PAIRS = 16384  # pairs that are computed again at once
_UNIT = 1e-3  # how far a norm may be from 1


class VectorBlocks(Protocol):
    """Vectors that are read in blocks of rows: an array, a memory map, a file. ``where`` names them."""

    @property
    def where(self) -> str:
        """What messages call them."""

    def __len__(self) -> int: ...

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def blocks(self, rows: int) -> Iterator[tuple[int, Vectors]]:
        """First row and vectors [<= rows, dim] of each block, in order; may be called again."""


@dataclass(frozen=True)
class ArrayBlocks:
    """An array or memory map [n, d]."""

    vectors: Any
    where: str = "vectors"

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def blocks(self, rows: int) -> Iterator[tuple[int, Vectors]]:
        """First row and vectors of each block."""
        for start in range(0, len(self.vectors), rows):
            yield start, self.vectors[start : start + rows]


@dataclass(frozen=True)
class Neighbours:
    """The nearest reference rows of every query, nearest first, equal ones by row; [n, k] each.

    Where fewer than k rows could be compared, the row is -1 and the similarity -inf.
    """

    rows: Rows
    similarity: Similarities  # cosine, [-1, 1]


def check_unit(vectors: Any, where: str, start: int = 0) -> Vectors:
    """Any array -> float32 [n, d], contiguous, every row finite and of norm 1.

    Raises:
        InputError: it is not; the row is named.
    """
    array = np.asarray(vectors)
    if array.ndim != 2 or array.dtype.kind != "f":
        raise InputError(f"{where}: embeddings are float32 [n, d], not {array.dtype} {list(array.shape)}")
    array = np.require(array, np.float32, ["C", "W"])  # torch wants to be able to write
    norms = np.sqrt(np.einsum("ij,ij->i", array, array))
    wrong = ~(np.abs(norms - 1) <= _UNIT)  # a NaN is wrong, too
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        what = f"has norm {norms[row]:.3g}, not 1" if np.isfinite(norms[row]) else "is not finite"
        raise InputError(f"{where}, row {start + row}: the embedding {what}; make the embeddings again")
    return array


def search(
    queries: VectorBlocks,
    reference: VectorBlocks,
    k: int = 1,
    *,
    query_groups: Rows | None = None,
    reference_groups: Rows | None = None,
    threads: int = 1,
    query_rows: int = QUERY_ROWS,
    reference_rows: int = REFERENCE_ROWS,
) -> Neighbours:
    """The ``k`` most similar reference rows of every query, exactly.

    With groups [n] and [m] (int64 codes), a query is not compared with reference rows of its own group:
    its own row, its own person. Memory: for every thread a block of similarities (``query_rows`` x
    ``reference_rows``) and of queries, one or two blocks of the reference, k + 8 candidates a query; the
    reference is read twice, the queries once for each of its blocks.

    Raises:
        UsageError: an empty side, other dimensions, k below 1.
        InputError: a vector is not finite or not of norm 1.
    """
    _require(queries, reference, k)
    keep = min(k + MARGIN, len(reference))
    best = np.full((len(queries), keep), -np.inf, np.float32)
    rows = np.full((len(queries), keep), -1, np.int64)

    waiting: dict[int, list[tuple[Rows, Rows, Similarities]]] = {}  # by first query row

    def improve(first: int, start: int, similarity: Similarities) -> None:
        size, mine = len(similarity), waiting.setdefault(first, [])
        query, column, value = _candidates(similarity, best[first : first + size])
        mine.append((query, column + start, value))
        if sum(len(part[0]) for part in mine) >= _WAITING * size:
            _merge(best[first : first + size], rows[first : first + size], mine)

    blocks = _Blocks(queries, reference, threads, query_rows, reference_rows)
    blocks.visit(improve, query_groups, reference_groups)
    for first, left in waiting.items():
        _merge(best[first : first + query_rows], rows[first : first + query_rows], left)
    exact = blocks.exact(rows)
    order = np.lexsort((rows, -exact), axis=1)[:, :k]
    found = Neighbours(np.take_along_axis(rows, order, 1), np.take_along_axis(exact, order, 1))
    if keep < k:
        wide = ((0, 0), (0, k - keep))
        return Neighbours(
            np.pad(found.rows, wide, constant_values=-1), np.pad(found.similarity, wide, constant_values=-np.inf)
        )
    return found


def count_at_least(
    queries: VectorBlocks,
    reference: VectorBlocks,
    threshold: float,
    *,
    query_groups: Rows | None = None,
    reference_groups: Rows | None = None,
    threads: int = 1,
    query_rows: int = QUERY_ROWS,
    reference_rows: int = REFERENCE_ROWS,
) -> tuple[int, int]:
    """Comparisons with similarity >= threshold, and comparisons in all, without those within a group."""
    _require(queries, reference, 1)

    def count(first: int, start: int, similarity: Similarities) -> tuple[int, int]:
        return int((similarity >= threshold).sum()), similarity.size - int(np.isneginf(similarity).sum())

    blocks = _Blocks(queries, reference, threads, query_rows, reference_rows)
    counts = blocks.visit(count, query_groups, reference_groups)
    return sum(c[0] for c in counts), sum(c[1] for c in counts)


def _require(queries: VectorBlocks, reference: VectorBlocks, k: int) -> None:
    if not len(reference):
        raise UsageError("the reference is empty: there is nothing to search")
    if not len(queries):
        raise UsageError("there are no embeddings to search with")
    if queries.dim != reference.dim:
        raise UsageError(f"embeddings of {queries.dim} and {reference.dim} dimensions can't be compared")
    if k < 1:
        raise UsageError(f"neighbours is {k}: at least 1")


@dataclass(frozen=True)
class _Blocks:
    """The blocks of a search. Different queries are worked on at once, each by one thread."""

    queries: VectorBlocks
    reference: VectorBlocks
    threads: int
    query_rows: int
    reference_rows: int

    def visit(
        self, visitor: Callable[[int, int, Similarities], Any], query_groups: Rows | None, groups: Rows | None
    ) -> list[Any]:
        """What ``visitor`` returns of every block: first query row, first reference row, similarities [q, r],
        -inf within a group. The array is overwritten afterwards."""
        local = threading.local()
        size = min(self.query_rows, len(self.queries)) * min(self.reference_rows, len(self.reference))

        def one(first: int, some: Vectors, start: int, columns: torch.Tensor, own: _Grouped | None) -> Any:
            if not hasattr(local, "room"):
                local.room = torch.empty(size)
            similarity = local.room[: len(some) * columns.shape[1]].view(len(some), columns.shape[1])
            torch.mm(torch.from_numpy(some), columns, out=similarity)
            values: Similarities = similarity.numpy()
            if own is not None and query_groups is not None:
                own.exclude(values, query_groups[first : first + len(some)])
            return visitor(first, start, values)

        def tasks() -> Iterator[Callable[[], Any]]:
            for start, block in self.reference.blocks(self.reference_rows):
                columns = torch.from_numpy(check_unit(block, self.reference.where, start)).T
                own = None if groups is None else _Grouped(groups[start : start + len(block)])
                for first, some in self.queries.blocks(self.query_rows):
                    if start == 0:
                        check_unit(some, self.queries.where, first)
                    yield partial(one, first, np.require(some, np.float32, ["C", "W"]), start, columns, own)

        return self._run(tasks(), len(range(0, len(self.queries), self.query_rows)))

    def exact(self, rows: Rows) -> Similarities:
        """The similarity of every query to its candidates [n, keep], summed in float64."""
        found = np.full(rows.shape, -np.inf, np.float32)

        def one(first: int, some: Vectors, start: int, block: Vectors) -> None:
            mine = rows[first : first + len(some)]
            query, place = np.nonzero((mine >= start) & (mine < start + len(block)))
            for a in range(0, len(query), _PAIRS):
                q, p = query[a : a + _PAIRS], place[a : a + _PAIRS]
                products = np.multiply(some[q], block[mine[q, p] - start], dtype=np.float64)
                found[first + q, p] = products.sum(axis=1)

        def tasks() -> Iterator[Callable[[], Any]]:
            for start, block in self.reference.blocks(self.reference_rows):
                for first, some in self.queries.blocks(self.query_rows):
                    yield partial(one, first, some, start, block)

        self._run(tasks(), len(range(0, len(self.queries), self.query_rows)))
        return found

    def _run(self, tasks: Iterator[Callable[[], Any]], stride: int) -> list[Any]:
        """Results in order, ``threads`` tasks at once. Tasks of the same queries are ``stride`` apart, so that no
        two of them run at once."""
        ahead = min(self.threads, stride)
        results: list[Any] = []
        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(ahead, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                waiting: deque[Future[Any]] = deque()
                for task in tasks:
                    if len(waiting) >= ahead:
                        results.append(waiting.popleft().result())
                    waiting.append(pool.submit(task))
                results += [future.result() for future in waiting]
        finally:
            torch.set_num_threads(before)
        return results


class _Grouped:
    """The columns of a block by group."""

    def __init__(self, groups: Rows) -> None:
        self.order = np.argsort(groups, kind="stable")
        self.groups = groups[self.order]

    def exclude(self, similarity: Similarities, query_groups: Rows) -> None:
        """Set the similarities within a group to -inf."""
        low = np.searchsorted(self.groups, query_groups, "left")
        count = np.searchsorted(self.groups, query_groups, "right") - low
        if not count.any():
            return
        rows = np.repeat(np.arange(len(count)), count)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        similarity[rows, self.order[np.repeat(low, count) + within]] = -np.inf


def _candidates(similarity: Similarities, best: Similarities) -> tuple[Rows, Rows, Similarities]:
    """Query, column and value of what may belong among the best, whose last column is the worst."""
    worst, keep = best[:, -1:], best.shape[1]
    mask = similarity > worst  # an equal one of an earlier row stays
    if similarity.shape[1] > keep and np.isneginf(worst).any():
        mask &= similarity >= torch.from_numpy(similarity).topk(keep, dim=1).values[:, -1:].numpy()
    flat = np.flatnonzero(mask)  # torch's nonzero took seven times as long
    query, column = np.divmod(flat, similarity.shape[1])
    return query, column, similarity.ravel()[flat]


def _merge(best: Similarities, rows: Rows, waiting: list[tuple[Rows, Rows, Similarities]]) -> None:
    """Put the best of old and waiting candidates into ``best`` and ``rows``, best first, equal ones by row."""
    if not waiting:
        return
    query, row, value = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
    waiting.clear()
    if not len(query):
        return
    touched = np.unique(query)
    keep = best.shape[1]
    owner = np.concatenate([np.repeat(touched, keep), query])
    values, numbers = np.concatenate([best[touched].ravel(), value]), np.concatenate([rows[touched].ravel(), row])
    order = np.lexsort((numbers, -values, owner))
    starts = np.searchsorted(owner[order], touched)
    chosen = order[starts[:, None] + np.arange(keep)]
    best[touched], rows[touched] = values[chosen], numbers[chosen]
