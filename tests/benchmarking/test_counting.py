"""Who is in a fold's comparisons, and how many of them are independent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_folds import drawn_fold
from syper_data.benchmarking import counting
from syper_data.benchmarking.counting import distinct_pairs, labels
from syper_data.protocols.protocol import ListedComparisons


@pytest.mark.parametrize("bits", [2**32, 0])
def test_pairs_of_codes_are_counted_once_whatever_their_order_and_block(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_BITS", bits)
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 40, 900), rng.integers(0, 40, 900)
    blocks = [(a[i : i + 100], b[i : i + 100]) for i in range(0, 900, 100)]
    expected = {frozenset(pair) for pair in zip(a.tolist(), b.tolist(), strict=True)}
    assert distinct_pairs(blocks, 40) == len(expected)


def test_repeated_and_failed_comparisons_are_no_independent_ones() -> None:
    fold = drawn_fold(4, 2, eyes=1)  # images 0, 1 | 2, 3 | 4, 5 | 6, 7
    listed = ListedComparisons(
        np.array([0, 1, 2, 0, 4]), np.array([2, 3, 0, 1, 2]), np.array([False, False, False, True, False])
    )
    fold = replace(fold, comparisons=listed)
    found = labels(fold, lambda: listed.blocks(fold, 2), np.array([4]), 1)
    assert found.independent == 1  # three times persons 0 and 1; the other one failed
    assert found.person.tolist() == [0, 0, 1, 1, 2, -1, -1, -1]
    assert (found.people, found.identities) == (3, 3)
    assert (found.fta.nonmated, found.fta.failed_nonmated, found.fta.mated, found.fta.failed_mated) == (4, 1, 1, 0)
    assert (found.fta.images, found.fta.failed_images, found.fta.rate) == (8, 1, 1 / 8)
