"""Sums over comparisons, weighted by both people's weights, for many resamples at once.

A comparison of persons a and b weighs ``weights[a] * weights[b]`` in a resample. Written as a quadratic form
per bin, w' M w with M[a, b] the number of comparisons, a resample costs people^2 instead of one step a
comparison; where people^2 is more than there are comparisons, rows of products are summed instead. Counts
are whole numbers and come out exact either way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from syper_data.metrics.intervals import Codes, Floats

MOST_CELLS = 2**26  # people^2 x bins that are held as int32
_EXACT32 = 2**24  # whole numbers below are exact in float32
_ROWS = 256  # comparisons whose products are summed at once: they fit into the cache
_MOMENTS = 3  # powers 0, 1, 2 of a score


class PairSums:
    """Per resample: how many comparisons fall into each of ``bins`` bins, and sums of powers of scores.

    ``weights`` [resamples, people]; the last person may be a constant 1, for comparisons that weigh what
    one person weighs.
    """

    def __init__(self, weights: Floats, bins: int, *, most_cells: int = MOST_CELLS) -> None:
        self.weights = weights
        self.bins = bins
        people = weights.shape[1]
        self._dense = people * people * bins <= most_cells
        if self._dense:
            self._cells = np.zeros(bins * people * people, np.int32)
            self._powers = np.zeros((_MOMENTS, people * people))
        else:
            self._by_person = np.ascontiguousarray(weights.T.astype(np.float32))
            self._room = np.empty((2, _ROWS, len(weights)), np.float32)
            self._counts = np.zeros((bins, len(weights)))
            self._sums = np.zeros((_MOMENTS, len(weights)))

    def add(self, bins: Codes, first: Codes, second: Codes, values: Floats, counted: Any) -> None:
        """Comparisons: their bins, both people, and ``values`` whose powers are summed where ``counted``."""
        if self._dense:
            people = self.weights.shape[1]
            pair = first.astype(np.int64) * people + second
            cells = bins * np.int64(people * people) + pair
            np.add.at(self._cells, cells, np.int32(1))  # of the cells' own type: 17 times as fast as a plain 1
            kept, x = pair[counted], values[counted]
            for power, weights in enumerate((None, x, x * x)):
                self._powers[power] += np.bincount(kept, weights, people * people)
            return
        self._add_rows(bins, first, second, values, counted)

    def _add_rows(self, bins: Codes, first: Codes, second: Codes, values: Floats, counted: Any) -> None:
        order = np.argsort(bins.astype(np.int16 if self.bins < 2**15 else np.int64), kind="stable")
        bins, first, second = bins[order], first[order].astype(np.int64), second[order].astype(np.int64)
        x = values[order].astype(np.float32)
        powers = np.where(counted[order], np.stack([np.ones_like(x), x, x * x]), np.float32(0))
        products, other = self._room
        for start in range(0, len(order), _ROWS):
            rows = slice(start, start + _ROWS)
            n = len(bins[rows])
            np.take(self._by_person, first[rows], 0, products[:n], mode="clip")
            np.take(self._by_person, second[rows], 0, other[:n], mode="clip")
            products[:n] *= other[:n]
            present = np.flatnonzero(np.diff(bins[rows], prepend=-1))  # where a bin begins
            mask = np.repeat(np.eye(len(present), dtype=np.float32), np.diff(present, append=n), axis=1)
            found = np.concatenate([powers[:, rows], mask]) @ products[:n]
            self._sums += found[:_MOMENTS]
            self._counts[bins[start + present]] += found[_MOMENTS:]

    def counts(self) -> Floats:
        """Weighted number of comparisons -> [resamples, bins]."""
        if not self._dense:
            return np.ascontiguousarray(self._counts.T)
        found = np.empty((len(self.weights), self.bins))
        people = self.weights.shape[1]
        weights32, most = self.weights.astype(np.float32), float(self.weights.max())
        for k, cells in enumerate(self._cells.reshape(self.bins, people, people)):
            total = int(cells.sum(dtype=np.int64))
            if not total:
                found[:, k] = 0
            elif total * most < _EXACT32:
                inner = weights32 @ cells.astype(np.float32)
                found[:, k] = np.einsum("ra,ra->r", inner.astype(np.float64), self.weights)
            else:
                found[:, k] = np.einsum("ra,ra->r", self.weights @ cells, self.weights)
        return found

    def moments(self) -> Floats:
        """Weighted sums of values^0, values^1, values^2 -> [3, resamples]."""
        if not self._dense:
            return self._sums
        people = self.weights.shape[1]
        forms = self._powers.reshape(_MOMENTS, people, people)
        return np.stack([np.einsum("ra,ra->r", self.weights @ form, self.weights) for form in forms])
