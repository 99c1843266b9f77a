"""Error rates of any number of comparisons under many resamples of people, exact, in bounded memory.

Comparisons come in blocks, as often as they are asked for:

1. a survey keeps the mated scores, a sample of the others and the highest of them, and cuts the scores
   into bins;
2. the bins' contents are counted under every resample (:mod:`syper_data.metrics.pair_weights`);
3. the scores of those bins are read in which some resample's figure lies, and the figure is found among
   them.

So EER and FNMR at FMR <= t are, in every resample, those of the direct formulation: each score weighted
(:meth:`syper_data.metrics.error_rates.Scores.weighted`), the rates cumulated anew. d' comes from sums of
powers, exact to rounding (of float32 where people are too many for quadratic forms). The AUC of the
comparisons themselves is exact; in a resample the part of it that lies within the bins is taken from the
comparisons as they are, which errs by at most ``auc_bound``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from syper_data.errors import UsageError
from syper_data.metrics.bins import Blocks, Floats32, Survey, survey
from syper_data.metrics.error_rates import allowed_count, crossing, d_prime_of
from syper_data.metrics.intervals import Codes, Floats, subject_weights
from syper_data.metrics.pair_weights import MOST_CELLS, PairSums

FEWEST_BINS, MOST_BINS = 300, 1500


class Curves:
    """FMR and FNMR of the comparisons (row 0) and of ``repeats`` resamples of ``subjects`` people.

    Scores at or below ``failed`` stand for templates that could not be acquired: they match nothing, and
    d' leaves them out. Results are arrays [1 + repeats]; NaN where a resample has no mated or no
    non-mated comparison.

    Raises:
        UsageError: fewer than two people, or no mated or no non-mated comparison.
        InputError: a score that is not finite, or a mated comparison of two people.
    """

    def __init__(
        self, blocks: Blocks, subjects: int, *, repeats: int = 500, seed: int = 0, failed: float = -math.inf,
        targets: tuple[float, ...] = (), bins: int | None = None, most_cells: int = MOST_CELLS,
    ) -> None:  # fmt: skip
        self.targets, self.repeats = targets, repeats
        self._failed = failed
        found = survey(blocks, bins or _fitting(subjects + 1, most_cells))
        if subjects < 2 or not len(found.mated) or not found.nonmated:
            raise UsageError(
                f"{subjects} people give {len(found.mated)} mated and {found.nonmated} non-mated comparisons: "
                "error rates need both; take people with at least two images of an eye"
            )
        self.mated, self.nonmated = len(found.mated), found.nonmated
        drawn = np.array(list(subject_weights(subjects, repeats, seed))).reshape(repeats, subjects)
        weights = np.ones((1 + repeats, subjects + 1))  # the last column is for what weighs one person's weight
        weights[1:, :-1] = drawn
        self._weights = weights
        self._bins, self._most_cells = found.bins, most_cells
        self._mated_score, self._mated_subject = found.mated, found.mated_subject
        self._mated_start = np.searchsorted(found.mated, found.bins.edges, "left")
        self._count_mated()
        self._count_nonmated(blocks, found)
        self._needed(blocks)

    def _count_mated(self) -> None:
        bins, people = self._bins.count, self._weights.shape[1]
        k = np.repeat(np.arange(bins), np.diff(self._mated_start))
        counts = np.bincount(self._mated_subject * bins + k, minlength=people * bins).reshape(people, bins)
        self._mated_counts = self._weights @ counts
        kept = self._mated_score > self._failed
        x = self._mated_score[kept].astype(np.float64)
        self._shift = float(x.mean()) if len(x) else 0.0
        powers = [np.bincount(self._mated_subject[kept], (x - self._shift) ** p, people) for p in range(3)]
        self._mated_moments = np.stack([self._weights @ p for p in powers])

    def _count_nonmated(self, blocks: Blocks, found: Survey) -> None:
        sums = PairSums(self._weights, self._bins.count, most_cells=self._most_cells)
        lowest = np.full(self._bins.count, np.inf, np.float32)
        ranks = np.zeros(self._bins.count, np.int64)  # per bin: sum of mated ranks of its non-mated scores
        for score, first, second in self._nonmated_of(blocks):
            values = score.astype(np.float64) - self._shift
            sums.add(self._bins.of(score), first, second, values, score > self._failed)
            ordered = np.sort(score)
            start = np.searchsorted(ordered, self._bins.edges, "left")
            both = np.searchsorted(self._mated_score, ordered, "left") + np.searchsorted(
                self._mated_score, ordered, "right"
            )
            ranks += np.diff(np.concatenate([[0], np.cumsum(both)])[start])
            some = start[1:] > start[:-1]
            lowest[some] = np.minimum(lowest[some], ordered[start[:-1][some]])
        self._nonmated_counts = sums.counts()
        self._nonmated_moments = sums.moments()
        self._lowest = lowest
        plain = self._nonmated_counts[0]
        inner = 2 * self._mated_start[1:] * plain - ranks  # twice: non-mated below mated of the same bin
        pairs = np.diff(self._mated_start) * plain
        self._inner = np.where(pairs > 0, inner / np.maximum(2 * pairs, 1), 0.5)
        self._ranks = int(ranks.sum())

    def _nonmated_of(self, blocks: Blocks) -> Iterator[tuple[Floats32, Codes, Codes]]:
        """Non-mated scores and people; within one person the other one is the constant."""
        constant = self._weights.shape[1] - 1
        for block in blocks():
            other = ~block.mated
            first, second = block.first[other], block.second[other]
            yield block.score[other], first, np.where(first == second, constant, second)

    def _needed(self, blocks: Blocks) -> None:
        self._below_mated, self._below_nonmated = (
            np.concatenate([np.zeros((len(x), 1)), np.cumsum(x, axis=1)], axis=1)
            for x in (self._mated_counts, self._nonmated_counts)
        )
        m, n = self._below_mated[:, -1:], self._below_nonmated[:, -1:]
        self._valid = (m[:, 0] > 0) & (n[:, 0] > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            self._fnmr, self._fmr = self._below_mated / m, (n - self._below_nonmated) / n
        self._eer_bin = ((self._fnmr < self._fmr).sum(axis=1) - 1).clip(0)
        above = n - self._below_nonmated
        self._target_bin = {
            t: ((above > allowed_count(t, n)).sum(axis=1) - 1).clip(0) for t in self.targets
        }  # the last bin whose lower edge lets too many match
        wanted = np.zeros(self._bins.count, bool)
        for chosen in (self._eer_bin, *self._target_bin.values()):
            wanted[chosen[self._valid]] = True
        wanted &= ~self._bins.single
        kept = [(np.empty(0, np.float32), np.empty(0, np.int64), np.empty(0, np.int64))]
        if wanted.any():
            changes = self._bins.edges[np.flatnonzero(np.diff(wanted, prepend=False, append=False))]
            for parts in self._nonmated_of(blocks):
                rows = np.searchsorted(changes, parts[0], "right") % 2 == 1
                kept.append((parts[0][rows], parts[1][rows], parts[2][rows]))
        score, first, second = (np.concatenate([x[i] for x in kept]) for i in range(3))
        order = np.argsort(score, kind="stable")
        self._score, self._first, self._second = score[order], first[order], second[order]
        self._start = np.searchsorted(self._score, self._bins.edges, "left")

    def _inside(self, r: int, k: int) -> tuple[Floats32, Floats, Floats32, Floats]:
        """Mated scores of bin ``k`` and the weight below each and below all, then the same of non-mated."""
        w = self._weights[r]
        i, j = slice(*self._mated_start[k : k + 2]), slice(*self._start[k : k + 2])
        mated = w[self._mated_subject[i]]
        nonmated = w[self._first[j]] * w[self._second[j]]
        return (
            self._mated_score[i], self._below_mated[r, k] + np.append(0, np.cumsum(mated)),
            self._score[j], self._below_nonmated[r, k] + np.append(0, np.cumsum(nonmated)),
        )  # fmt: skip

    def eer(self) -> Floats:
        """Equal error rates; see :meth:`syper_data.metrics.error_rates.Scores.equal_error_rate`."""
        return self._each(self._eer)

    def fnmr_at(self, target: float) -> Floats:
        """FNMR at the lowest threshold with FMR <= ``target``, one of ``targets``."""
        return self._each(lambda r: self._at(r, target)[1])

    def threshold_at(self, target: float) -> tuple[float, float, float]:
        """That threshold (a score, or +inf) and the rates there, of the comparisons themselves."""
        refused, fnmr, fmr = self._at(0, target)
        higher = self._mated_score[np.searchsorted(self._mated_score, refused, "right") :][:1]
        within = self._score[np.searchsorted(self._score, refused, "right") :][:1]
        lowest = self._lowest[self._lowest > refused]
        return float(min([*higher.tolist(), *within.tolist(), *lowest.tolist(), math.inf])), fmr, fnmr

    def auc(self) -> Floats:
        """Areas under the curve, ties counting half; row 0 exact, the others within ``auc_bound``."""
        below, m, n = self._below_nonmated, self._mated_counts, self._nonmated_counts
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (m * (below[:, :-1] + n * self._inner)).sum(axis=1) / (m.sum(axis=1) * n.sum(axis=1))
        found[0] = (2 * self.mated * self.nonmated - self._ranks) / 2 / (self.mated * self.nonmated)
        return np.where(self._valid, found, np.nan)

    @property
    def auc_bound(self) -> float:
        """Largest possible error of a resample's AUC: what lies within the bins, all one way."""
        m, n = self._mated_counts[self._valid], self._nonmated_counts[self._valid]
        worst = np.where(self._bins.single, 0, np.maximum(self._inner, 1 - self._inner))
        return float(((m * n * worst).sum(axis=1) / (m.sum(axis=1) * n.sum(axis=1))).max())

    def d_prime(self) -> Floats:
        """d' of the scores above ``failed``; NaN where either set has none."""
        sides = zip(self._mated_moments.T, self._nonmated_moments.T, strict=True)
        return np.array([d_prime_of(mated, nonmated) for mated, nonmated in sides])

    def edges(self) -> tuple[Floats32, Floats, Floats]:
        """Thresholds (-inf first, +inf last) and FMR and FNMR there in every resample [1 + repeats, edges]."""
        return self._bins.edges, self._fmr, self._fnmr

    def _each(self, figure: Callable[[int], float]) -> Floats:
        return np.array([figure(r) if ok else math.nan for r, ok in enumerate(self._valid)])

    def _eer(self, r: int) -> float:
        k = int(self._eer_bin[r])
        fmr, fnmr = self._fmr[r, k : k + 2], self._fnmr[r, k : k + 2]
        if not self._bins.single[k]:
            mated, below_mated, nonmated, below = self._inside(r, k)
            edges = self._bins.edges[k : k + 2]
            t = np.concatenate([edges[:1], np.sort(np.concatenate([mated, nonmated])), edges[1:]])
            total = self._below_nonmated[r, -1]
            fmr = (total - below[np.searchsorted(nonmated, t, "left")]) / total
            fnmr = below_mated[np.searchsorted(mated, t, "left")] / self._below_mated[r, -1]
        after = int(np.argmax(fnmr >= fmr))
        return crossing(fmr[after - 1], fnmr[after - 1], fmr[after], fnmr[after])

    def _at(self, r: int, target: float) -> tuple[float, float, float]:
        """The highest non-mated score that must not match, and FNMR and FMR of thresholds just above it."""
        k, total = int(self._target_bin[target][r]), self._below_nonmated[r, -1]
        matched = self._below_mated[r, -1]
        if self._bins.single[k]:
            lowest = self._lowest[k]
            return float(lowest), self._fnmr[r, k + 1], self._fmr[r, k + 1]
        mated, below_mated, nonmated, below = self._inside(r, k)
        last = int(np.searchsorted(-(total - below), -allowed_count(target, total), "left")) - 1
        refused = nonmated[last]
        fnmr = below_mated[np.searchsorted(mated, refused, "right")] / matched
        fmr = (total - below[np.searchsorted(nonmated, refused, "right")]) / total
        return float(refused), float(fnmr), float(fmr)


def _fitting(people: int, most_cells: int) -> int:
    """As many bins as memory and the products of :class:`PairSums` allow; more make the AUC finer."""
    room = most_cells // (people * people)
    return min(MOST_BINS, room) if room >= FEWEST_BINS else MOST_BINS
