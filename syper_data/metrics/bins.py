"""Where to cut a great many scores into bins: narrow in the tail, where error rates are read.

Cuts decide how much has to be looked at a second time, never a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError
from syper_data.metrics.intervals import Codes

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Floats32 = np.ndarray[Any, np.dtype[np.float32]]

SAMPLE = 2_000_000  # non-mated scores that the cuts are taken from
TOP = 100_000  # and so many of the highest, all of them


@dataclass(frozen=True)
class ScoreBlock:
    """Some comparisons: ``score`` [m], whether ``mated`` [m], and the two people's codes [m]."""

    score: Floats32
    mated: Bools
    first: Codes
    second: Codes


Blocks = Callable[[], Iterator[ScoreBlock]]  # the same blocks at each call


@dataclass(frozen=True)
class Bins:
    """Bin k holds scores in [edges[k], edges[k + 1]); -inf comes first, +inf last. ``single`` [bins]: all
    scores of the bin are known to be equal, so that its edges say everything."""

    edges: Floats32
    single: Bools

    @property
    def count(self) -> int:
        """How many bins there are."""
        return len(self.single)

    def of(self, scores: Floats32) -> Codes:
        """The bin of each score."""
        found: Codes = np.searchsorted(self.edges, scores, "right") - 1
        return found


@dataclass(frozen=True)
class Survey:
    """The bins, all mated scores in ascending order with their people, and how many others there are."""

    bins: Bins
    mated: Floats32
    mated_subject: Codes
    nonmated: int


def survey(blocks: Blocks, bins: int) -> Survey:
    """One pass over all comparisons (:class:`ScoreBlock`)."""
    mated, people, sample, stride, count = [], [], [np.empty(0, np.float32)], 1, 0
    top = np.empty(0, np.float32)
    for block in blocks():
        _check(block)
        mated.append(block.score[block.mated])
        people.append(block.first[block.mated])
        other = block.score[~block.mated]
        sample.append(other[-count % stride :: stride])  # every stride-th of all, across blocks
        count += len(other)
        if sum(map(len, sample)) > SAMPLE:
            sample, stride = [np.concatenate(sample)[::2]], 2 * stride
        top = np.concatenate([top, other])
        if len(top) > TOP:
            top = np.partition(top, len(top) - TOP)[-TOP:]
    scores = np.concatenate([np.empty(0, np.float32), *mated])
    order = np.argsort(scores, kind="stable")
    subject = np.concatenate([np.empty(0, np.int64), *people])[order]
    whole = stride == 1
    cut = _cut(scores[order], np.sort(np.concatenate(sample)), np.sort(top), count, bins, whole)
    return Survey(cut, scores[order], subject, count)


def _cut(mated: Floats32, sample: Floats32, top: Floats32, count: int, bins: int, whole: bool) -> Bins:
    if whole:
        distinct = np.union1d(mated, sample)
        if len(distinct) <= bins:
            edges = np.concatenate([[-np.inf], distinct, [np.inf]]).astype(np.float32)
            return Bins(edges, np.ones(len(edges) - 1, bool))
    quarter = bins // 4
    tail = np.geomspace(1 / max(2, count), 0.5, bins - 2 * quarter)
    exact = tail * count < len(top)
    chosen = [
        mated[_places(np.linspace(0, 1, quarter), len(mated))],
        sample[_places(np.concatenate([np.linspace(0, 1, quarter), tail[~exact]]), len(sample))],
        top[_places(tail[exact] * count / max(1, len(top)), len(top))],
    ]
    values = np.unique(np.concatenate(chosen))
    # a score that is met at several places has many comparisons, and gets a bin of its own
    often = np.unique(np.concatenate([x[1:][x[1:] == x[:-1]] for x in map(np.sort, chosen)]))
    edges = np.unique(np.concatenate([values, np.nextafter(often, np.float32(np.inf))]))
    edges = np.concatenate([[-np.inf], edges, [np.inf]]).astype(np.float32)
    return Bins(edges, edges[1:] == np.nextafter(edges[:-1], np.float32(np.inf)))


def _places(shares: Any, count: int) -> Codes:
    """Rows, in ascending order of score, above which ``shares`` of ``count`` scores lie."""
    if not count:
        return np.empty(0, np.int64)
    found: Codes = np.unique((count - 1 - (np.asarray(shares) * (count - 1)).astype(np.int64)).clip(0))
    return found


def _check(block: ScoreBlock) -> None:
    """Refuse scores that are not finite and mated comparisons of two people."""
    bad = ~np.isfinite(block.score)
    if bad.any():
        raise InputError(f"the score of comparison {int(np.flatnonzero(bad)[0])} of a block is not finite")
    wrong = block.mated & (block.first != block.second)
    if wrong.any():
        raise InputError(f"comparison {int(np.flatnonzero(wrong)[0])} of a block is mated, but shows two people")
