"""Which comparisons of a fold are written down: a stated number, drawn with a seed.

The bits come from PCG64, whose raw stream numpy never changes, and images are ordered by their labels; so the
same pairs are drawn on every machine and whatever the order of the source's rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from syper_data.errors import UsageError
from syper_data.protocols.protocol import Bools, Fold, ListedComparisons, Rows
from syper_data.protocols.table import ImageTable, Rule, comparisons

_WORDS = 2**64


def draw(
    fold: Fold, table: ImageTable, rule: Rule, *, mated: int | None, non_mated: int | None, seed: int
) -> ListedComparisons:
    """``mated`` and ``non_mated`` comparisons (None: all) of those that the rule allows, each at most once,
    in the order in which the rule gives them.

    Raises:
        UsageError: more are asked for than there are.
    """
    there = [0, 0]
    for _, _, same in comparisons(fold, table, rule):
        there[1] += int(same.sum())
        there[0] += len(same) - int(same.sum())
    chosen: list[Rows] = []
    for option, wanted, count, word in (
        ("--non-mated", non_mated, there[0], "non-mated"),
        ("--mated", mated, there[1], "mated"),
    ):
        if wanted is not None and wanted > count:
            raise UsageError(f"{option} is {wanted}: fold {fold.name} has {count} {word} comparisons")
        which = count if wanted is None else wanted
        chosen.append(draw_numbers(count, which, (seed, *fold.name.encode("utf-8"), len(chosen))))
    return _taken(fold, table, rule, chosen)


def draw_numbers(count: int, wanted: int, seed: tuple[int, ...]) -> Rows:
    """``wanted`` distinct numbers of 0..count - 1, ascending.  # int64 [wanted]"""
    if wanted > count // 2:  # draw those to leave out
        keep = np.ones(count, bool)
        keep[_distinct(count, count - wanted, seed)] = False
        return np.flatnonzero(keep)
    return _distinct(count, wanted, seed)


def _distinct(count: int, wanted: int, seed: tuple[int, ...]) -> Rows:
    bits = np.random.PCG64(np.random.SeedSequence(seed))
    found = np.zeros(0, np.int64)
    while len(found) < wanted:
        raw: np.ndarray[Any, np.dtype[np.uint64]] = np.atleast_1d(bits.random_raw(2 * (wanted - len(found)) + 8))
        fair = raw[raw <= np.uint64(_WORDS - 1 - _WORDS % count)]  # every remainder equally often
        fresh = np.concatenate([found, (fair % np.uint64(count)).astype(np.int64)])
        _, first = np.unique(fresh, return_index=True)
        found = fresh[np.sort(first)][:wanted]  # in the order drawn
    return np.sort(found)


def _taken(fold: Fold, table: ImageTable, rule: Rule, chosen: list[Rows]) -> ListedComparisons:
    """The comparisons with these ranks among the non-mated (0) and the mated (1)."""
    seen = [0, 0]
    kept: list[tuple[Rows, Rows, Bools]] = []
    for probe, reference, same in comparisons(fold, table, rule):
        take = np.zeros(len(same), bool)
        for kind in (0, 1):
            places = np.flatnonzero(same == bool(kind))
            low, high = np.searchsorted(chosen[kind], (seen[kind], seen[kind] + len(places)))
            take[places[chosen[kind][low:high] - seen[kind]]] = True
            seen[kind] += len(places)
        kept.append((probe[take], reference[take], same[take]))
    if not kept:
        return ListedComparisons(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool))
    probe, reference, same = (np.concatenate(column) for column in zip(*kept, strict=True))
    return ListedComparisons(probe, reference, same)
