"""Weighted counts of comparisons against a loop over them."""

from __future__ import annotations

import numpy as np
import pytest

from syper_data.metrics.pair_weights import PairSums


@pytest.mark.parametrize("most_cells", [2**20, 0], ids=["quadratic forms", "rows of products"])
@pytest.mark.parametrize("kind", [np.int64, np.int16])
def test_counts_and_powers_are_those_of_a_loop(most_cells: int, kind: type) -> None:
    rng = np.random.default_rng(0)
    n, people, bins = 900, 7, 5
    weights = rng.integers(0, 4, (6, people)).astype(float)
    first, second, k = (rng.integers(0, high, n).astype(kind) for high in (people, people, bins))
    x, counted = rng.normal(size=n), rng.random(n) < 0.8
    sums = PairSums(weights, bins, most_cells=most_cells)
    for rows in (slice(0, 300), slice(300, None)):
        sums.add(k[rows], first[rows], second[rows], x[rows], counted[rows])
    product = weights[:, first] * weights[:, second]
    expected = np.stack([product[:, k == b].sum(axis=1) for b in range(bins)], axis=1)
    assert (sums.counts() == expected).all()
    powers = [(product * counted * x**p).sum(axis=1) for p in range(3)]
    assert sums.moments() == pytest.approx(np.array(powers), rel=1e-4, abs=1e-3)


def test_counts_stay_whole_where_single_precision_would_round() -> None:
    sums = PairSums(np.array([[1.0, 2**13 + 1]]), 1)
    rows = np.ones(3, np.int64)
    sums.add(np.zeros(3, np.int64), rows, rows, np.zeros(3), np.ones(3, bool))
    assert sums.counts()[0, 0] == 3 * (2**13 + 1) ** 2 > 2**24
