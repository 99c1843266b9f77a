"""Which images are flagged, and how many more than chance explains.

A :class:`Rule` flags an image where its statistic reaches a threshold. One network: the statistic is the
nearest-reference similarity. Several networks, each with its part of the reference: an image must be
flagged with a chance of ``fpir`` in all, so either

- *jointly* (disjoint calibration people, embedded by every network): each network's similarity is put on one
  scale by the calibration's median and its distance to the 90 % quantile, the statistic is the largest, and
  one threshold holds for it: the calibration sees exactly what the decision sees; or
- *each its share* (leave-one-subject-out, where a person can be searched only by the network that has
  not seen it): every part gets the share of ``fpir`` that it has of the reference's images; by Bonferroni the
  shares add up. It needs more people: 2 / share - 1 in every part.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from syper_data.filtering.auditor import Bools, View
from syper_data.filtering.threshold import (
    Calibration,
    has_threshold,
    require_split,
    resampled_fpir,
    threshold_at,
)
from syper_data.metrics.intervals import (
    QUANTILES,
    ClusteredProportion,
    Codes,
    Estimate,
    Floats,
    clustered_proportion,
)


@dataclass(frozen=True)
class Rule:
    """An image is flagged where max over ``parts`` of (similarity - location) / scale >= ``threshold``."""

    parts: tuple[int, ...]
    location: tuple[float, ...]
    scale: tuple[float, ...]
    fpir: float
    calibration: Calibration  # of the statistic
    threshold: float

    def statistic(self, similarities: Sequence[Floats]) -> Floats:
        """Of the similarities [n] that each view of the audit found."""
        found: Floats = np.max([(similarities[p] - a) / b for p, a, b in self._scales()], axis=0)
        return found

    def margin(self, part: int, similarity: Floats) -> Floats:
        """How far a part's similarity [n] lies above its threshold, on the statistic's scale."""
        place = self.parts.index(part)
        return (similarity - self.location[place]) / self.scale[place] - self.threshold

    def thresholds(self) -> dict[int, float]:
        """The threshold on each part's similarity."""
        return {p: a + b * self.threshold for p, a, b in self._scales()}

    def _scales(self) -> list[tuple[int, float, float]]:
        return list(zip(self.parts, self.location, self.scale, strict=True))


@dataclass(frozen=True)
class Excess:
    """Flagged images, those that chance explains, and the difference, with 95 % intervals.

    ``flagged``: resampled over the reference's people, each with all images nearest to it (Gamma weights: where
    every flagged image has a person of its own this is the exact Poisson interval). ``expected`` is fpir x n; its
    interval is what the calibration's people leave open. ``excess`` joins both.
    """

    flagged: Estimate
    expected: Estimate
    excess: Estimate
    n: int


@dataclass(frozen=True)
class FalseAlarms:
    """The share of calibration images that would be flagged. ``held_out``: half of the people set the
    threshold for the other half, and the reverse; else the very people who set it, which flatters."""

    rate: ClusteredProportion
    held_out: bool


def rules(views: Sequence[View], fpir: float) -> list[Rule]:
    """The rules of an audit; none where there is no calibration.

    Raises:
        UsageError: too few calibration people for the FPIR.
    """
    found = [v.calibration for v in views]
    calibrations = [c for c in found if c is not None]
    if len(calibrations) < len(views):
        return []
    if len(views) == 1:
        return [Rule((0,), (0.0,), (1.0,), fpir, calibrations[0], threshold_at(calibrations[0], fpir))]
    if all(v.sets.calibration is not None for v in views):
        return [_joint(calibrations, fpir)]
    shares = [len(v.rows) / sum(len(w.rows) for w in views) for v in views]
    names = [v.sets.reference.header.embedder_name for v in views]
    require_split([(n, c.people, len(v.rows)) for n, c, v in zip(names, calibrations, views, strict=True)], fpir)
    split = []
    for part, (calibration, share) in enumerate(zip(calibrations, shares, strict=True)):
        threshold = threshold_at(calibration, fpir * share)
        split.append(Rule((part,), (0.0,), (1.0,), fpir * share, calibration, threshold))
    return split


def flagged_by(found: Sequence[Rule], similarities: Sequence[Floats]) -> Bools:
    """Whether any rule flags an image, from the views' nearest similarities [n] each."""
    flagged: Bools = np.any([rule.statistic(similarities) >= rule.threshold for rule in found], axis=0)
    return flagged


def excess(flagged: Bools, nearest_person: Codes, found: Sequence[Rule], repeats: int, seed: int) -> Excess:
    """How many more images are flagged than expected; ``nearest_person`` [n] is whom each resembles most."""
    n, count = len(flagged), int(flagged.sum())
    sizes, people = np.unique(np.unique(nearest_person[flagged], return_counts=True)[1], return_counts=True)
    rng = np.random.default_rng([seed, 1])
    low = np.zeros(repeats)
    for size, number in zip(sizes, people, strict=True):
        low += size * rng.gamma(number, size=repeats)
    high = np.minimum(low + rng.exponential(size=repeats), n)
    low = np.minimum(low, n)
    rates = [
        resampled_fpir(rule.calibration, rule.threshold, repeats, seed + 2 + i) for i, rule in enumerate(found)
    ]
    chance_low, chance_high = (n * np.minimum(1, sum(r[side] for r in rates)) for side in (0, 1))
    expected = n * sum(rule.fpir for rule in found)
    return Excess(
        flagged=_between(count, low, high),
        expected=_between(expected, chance_low, chance_high),
        excess=_between(count - expected, low - chance_high, high - chance_low),
        n=n,
    )


def false_alarms(rule: Rule) -> FalseAlarms:
    """The share of untouched non-members that are flagged, measured on people who did not set the threshold
    where there are enough of them for that."""
    whole = rule.calibration
    fold = np.array([zlib.crc32(str(p).encode()) % 2 for p in range(whole.people)])
    halves = [whole.subset(np.flatnonzero(fold == side)) for side in (0, 1)]
    held_out = all(has_threshold(half, rule.fpir) for half in halves)
    if held_out:
        cases = np.zeros(len(whole.similarity), bool)
        for side in (0, 1):
            other = fold[whole.subjects] != side
            cases[other] = whole.similarity[other] >= threshold_at(halves[side], rule.fpir)
    else:
        cases = whole.similarity >= rule.threshold
    return FalseAlarms(clustered_proportion(cases, whole.subjects), held_out)


def _joint(calibrations: Sequence[Calibration], fpir: float) -> Rule:
    location, scale = [], []
    for calibration in calibrations:
        order = np.argsort(calibration.similarity)
        share = np.cumsum(calibration.weights[order]) / calibration.people
        middle, upper = (float(calibration.similarity[order[np.searchsorted(share, q)]]) for q in (0.5, 0.9))
        location.append(middle)
        scale.append(max(upper - middle, 1e-6))
    parts = tuple(range(len(calibrations)))
    draft = Rule(parts, tuple(location), tuple(scale), fpir, calibrations[0], 0.0)
    statistic = draft.statistic([c.similarity for c in calibrations])
    whole = Calibration(statistic, calibrations[0].subjects, calibrations[0].kind)
    return Rule(parts, tuple(location), tuple(scale), fpir, whole, threshold_at(whole, fpir))


def _between(value: float, low: Floats, high: Floats) -> Estimate:
    bottom, top = float(np.quantile(low, QUANTILES[0])), float(np.quantile(high, QUANTILES[1]))
    return Estimate(float(value), min(float(value), bottom), max(float(value), top))
