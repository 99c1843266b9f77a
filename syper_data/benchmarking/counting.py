"""What a fold's comparisons are, before any score: who is in them, how many are independent, which failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.metrics.intervals import Codes
from syper_data.protocols.protocol import Bools, Fold, Rows

MOST_BITS = 2**32  # distinct pairs of identities are marked in one bit each up to so many (512 MiB)

Listed = tuple[Any, Any, Bools]  # probe, reference, mated


@dataclass(frozen=True)
class FailureToAcquire:
    """Images and templates that could not be acquired, and the comparisons that suffer. ``rate`` is the
    share of images (the failure-to-acquire rate of ISO/IEC 19795-1)."""

    images: int
    failed_images: int
    rate: float
    templates: int
    failed_templates: int
    mated: int
    failed_mated: int
    nonmated: int
    failed_nonmated: int


@dataclass(frozen=True)
class Labels:
    """Codes 0.. of the people in the comparisons for every template, and the counts of the comparisons.

    ``independent``: distinct pairs of identities with a non-mated comparison that has a score.
    """

    person: Codes  # [t]; -1: in no comparison
    people: int
    identities: int
    independent: int
    fta: FailureToAcquire


def labels(
    fold: Fold, comparisons: Callable[[], Iterator[Listed]], failed_templates: Rows, failed_images: int
) -> Labels:
    """One pass over the comparisons."""
    failed = np.zeros(fold.templates, bool)
    failed[failed_templates] = True
    used = np.zeros(fold.templates, bool)
    counts = np.zeros((2, 2), np.int64)  # mated, failed
    eyes = np.unique(fold.identity, return_inverse=True)[1]

    def scored_pairs() -> Iterable[tuple[Any, Any]]:
        for probe, reference, mated in comparisons():
            used[probe] = True
            used[reference] = True
            lost = failed[probe] | failed[reference]
            counts.flat[:] += np.bincount(2 * mated + lost, minlength=4)
            kept = ~mated & ~lost
            yield eyes[probe[kept]], eyes[reference[kept]]

    independent = distinct_pairs(scored_pairs(), int(eyes.max()) + 1)
    person = np.full(fold.templates, -1, np.int64)
    person[used] = np.unique(fold.subject[used], return_inverse=True)[1]
    images = len(fold.images)
    fta = FailureToAcquire(
        images=images,
        failed_images=failed_images,
        rate=failed_images / images,
        templates=fold.templates,
        failed_templates=len(failed_templates),
        mated=int(counts[1].sum()),
        failed_mated=int(counts[1, 1]),
        nonmated=int(counts[0].sum()),
        failed_nonmated=int(counts[0, 1]),
    )
    return Labels(person, int(person.max()) + 1, len(np.unique(eyes[used])), independent, fta)


def distinct_pairs(pairs: Iterable[tuple[Any, Any]], codes: int) -> int:
    """How many distinct unordered pairs of codes 0.. < ``codes`` there are."""
    total = codes * (codes + 1) // 2
    marked = np.zeros(total // 8 + 1, np.uint8) if total <= MOST_BITS else None
    keys = np.empty(0, np.int64)
    for a, b in pairs:
        low, high = np.minimum(a, b), np.maximum(a, b)
        key = np.unique(high * (high + 1) // 2 + low)
        if marked is None:
            keys = np.union1d(keys, key)
        else:
            np.bitwise_or.at(marked, key >> 3, (1 << (key & 7)).astype(np.uint8))
    return len(keys) if marked is None else int(np.bitwise_count(marked).sum(dtype=np.int64))
