"""Error rates of comparisons after ISO/IEC 19795-1: FMR, FNMR, EER, DET, AUC, d'.

Scores are similarities. A comparison is a match at a threshold t where **score >= t**, ties included:

- FMR(t) = share of non-mated comparisons with score >= t,
- FNMR(t) = share of mated comparisons with score < t.

Thresholds that make a difference are the scores themselves and +inf, at which nothing matches. Nothing
is interpolated but the EER. Pure arrays: no file, no image, no random number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.metrics.intervals import Floats

RULE_OF_3, RULE_OF_30, NONE = "rule of 3", "rule of 30", "none"


@dataclass(frozen=True)
class EqualErrorRate:
    """``value`` is where the DET polyline crosses FMR = FNMR; ``threshold`` is the lowest threshold
    with FNMR >= FMR, and ``fmr``, ``fnmr`` are the rates that are really had there."""

    value: float
    threshold: float
    fmr: float
    fnmr: float


@dataclass(frozen=True)
class OperatingPoint:
    """FNMR at the lowest threshold with FMR <= ``target``; all None where ``support`` is "none".

    ``independent`` is the number of non-mated comparisons that can count as independent; see
    :func:`support`. ``note`` says in a sentence what the number can and can't carry.
    """

    target: float
    threshold: float | None
    fmr: float | None
    fnmr: float | None
    independent: int
    support: str
    note: str


@dataclass(frozen=True)
class DetPoints:
    """Operating points from strict to loose: FMR rises, FNMR falls."""

    thresholds: Floats
    fmr: Floats
    fnmr: Floats


class Scores:
    """Mated and non-mated scores, sorted once; weights stand for how often a comparison counts.

    Raises:
        InputError: a set is empty, or a score is not finite.
    """

    def __init__(self, mated: Any, nonmated: Any) -> None:
        self._given = [_checked(x, name) for x, name in ((mated, "mated"), (nonmated, "non-mated"))]
        self.mated, self.nonmated = (np.sort(x).astype(np.float64) for x in self._given)
        self._order: list[Any] = []  # of the scores as given; found when weights ask for it
        self.thresholds = np.append(np.union1d(self.mated, self.nonmated), np.inf)  # ascending
        self._below = [np.arange(len(x) + 1, dtype=np.float64) for x in (self.mated, self.nonmated)]

    def weighted(self, mated: Floats, nonmated: Floats) -> Scores:
        """The same scores with weights in the order in which the scores were given."""
        if not self._order:
            self._order += [np.argsort(x, kind="stable") for x in self._given]
        other: Scores = object.__new__(Scores)
        other.__dict__.update(self.__dict__)
        other._below = [
            np.concatenate([[0.0], np.cumsum(weights[order])])
            for weights, order in zip((mated, nonmated), self._order, strict=True)
        ]
        return other

    def fmr(self, threshold: Any) -> Any:
        """Share of the non-mated comparisons with score >= threshold (a number or an array)."""
        below = self._below[1]
        return (below[-1] - below[np.searchsorted(self.nonmated, threshold, "left")]) / below[-1]

    def fnmr(self, threshold: Any) -> Any:
        """Share of the mated comparisons with score < threshold (a number or an array)."""
        below = self._below[0]
        return below[np.searchsorted(self.mated, threshold, "left")] / below[-1]

    def equal_error_rate(self) -> EqualErrorRate:
        """Where the straight line between two neighbouring operating points crosses FMR = FNMR.

        The neighbours are the highest threshold with FNMR < FMR and the next one, at which
        FNMR >= FMR. A monotone transform of the scores changes nothing.
        """
        low, high = 0, len(self.thresholds) - 1  # FNMR - FMR is -1 at the lowest score and 1 at +inf
        while high - low > 1:
            middle = (low + high) // 2
            t = self.thresholds[middle]
            low, high = (low, middle) if self.fnmr(t) >= self.fmr(t) else (middle, high)
        before, t = self.thresholds[low], self.thresholds[high]
        fmr, fnmr = float(self.fmr(t)), float(self.fnmr(t))
        value = crossing(float(self.fmr(before)), float(self.fnmr(before)), fmr, fnmr)
        return EqualErrorRate(value, float(t), fmr, fnmr)

    def threshold_at(self, target: float) -> float:
        """The lowest threshold (a score, or +inf) with FMR <= ``target``: never the nearest above."""
        below = self._below[1]
        allowed = allowed_count(target, below[-1])
        refused = (
            int(np.searchsorted(-(below[-1] - below), -allowed, "left")) - 1
        )  # last with too many at or above
        if refused < 0:
            return float(self.thresholds[0])
        return float(self.thresholds[np.searchsorted(self.thresholds, self.nonmated[refused], "right")])

    def fnmr_at(self, target: float) -> float:
        """FNMR at the lowest threshold with FMR <= ``target``, whatever the counts support."""
        return float(self.fnmr(self.threshold_at(target)))

    def auc(self) -> float:
        """Chance that a mated score exceeds a non-mated one, ties counting half (Mann & Whitney 1947)."""
        below = self._below[1]
        lower = below[np.searchsorted(self.nonmated, self.mated, "left")]
        not_higher = below[np.searchsorted(self.nonmated, self.mated, "right")]
        weights = np.diff(self._below[0])
        return float((weights * (lower + not_higher)).sum() / 2 / (weights.sum() * below[-1]))

    def d_prime(self, above: float = -math.inf) -> float:
        """(m1 - m2) / sqrt((v1 + v2) / 2) of mated (1) and non-mated (2) scores > ``above``, variances over n.

        Below zero where mated scores are the lower ones; infinite where nothing spreads, NaN without any score.
        """
        origin, moments = float(self.mated.mean()), []
        for scores, below in zip((self.mated, self.nonmated), self._below, strict=True):
            weights, x = np.diff(below) * (scores > above), scores - origin
            moments.append(np.array([weights.sum(), (weights * x).sum(), (weights * x * x).sum()]))
        return d_prime_of(*moments)

    def det(self, points: int | None = None) -> DetPoints:
        """The operating points, strict to loose; at most about ``points`` of them, spread evenly over
        the logarithms of both rates, the ends always among them."""
        thresholds = self.thresholds[::-1]
        fmr, fnmr = np.asarray(self.fmr(thresholds)), np.asarray(self.fnmr(thresholds))
        if points is not None and len(thresholds) > points:
            steps = max(2, points // 2)
            keep = np.zeros(len(thresholds), bool)
            keep[[0, -1]] = True
            for rate, count in ((fmr, len(self.nonmated)), (1 - fnmr, len(self.mated))):
                keep[np.searchsorted(rate, np.geomspace(1 / count, 1, steps)).clip(0, len(rate) - 1)] = True
            thresholds, fmr, fnmr = thresholds[keep], fmr[keep], fnmr[keep]
        return DetPoints(thresholds, fmr, fnmr)

    def operating_point(self, target: float, independent: int | None = None) -> OperatingPoint:
        """FNMR at FMR <= ``target``, or nothing where too few independent comparisons were made.

        ``independent`` defaults to the number of non-mated comparisons; comparisons of the same two
        eyes are not independent, so give the number of distinct pairs
        (:attr:`syper_data.metrics.pairs.PairScores.independent`).
        """
        if not 0 < target < 1:
            raise UsageError(f"a target FMR lies between 0 and 1, not {target}")
        count = len(self.nonmated) if independent is None else independent
        rule, note = support(target, count)
        if rule == NONE:
            return OperatingPoint(target, None, None, None, count, rule, note)
        t = self.threshold_at(target)
        return OperatingPoint(target, t, float(self.fmr(t)), float(self.fnmr(t)), count, rule, note)


def allowed_count(target: float, total: Any) -> Any:
    """How many of ``total`` non-mated comparisons may match at an FMR of ``target``, rounding forgiven."""
    return target * total + 1e-9 * np.maximum(1.0, total)


def crossing(fmr_before: float, fnmr_before: float, fmr: float, fnmr: float) -> float:
    """Where the straight line between two operating points crosses FMR = FNMR."""
    gap, gap_before = fnmr - fmr, fnmr_before - fmr_before
    return float(fnmr_before + -gap_before / (gap - gap_before) * (fnmr - fnmr_before))


def d_prime_of(mated: Floats, nonmated: Floats) -> float:
    """d' with its sign from the sums of powers 0, 1, 2 of each set's scores, measured from one origin."""
    if mated[0] <= 0 or nonmated[0] <= 0:
        return math.nan
    means = [x[1] / x[0] for x in (mated, nonmated)]
    variances = [max(0.0, x[2] / x[0] - m * m) for x, m in zip((mated, nonmated), means, strict=True)]
    spread = math.sqrt(sum(variances) / 2)
    if spread <= 1e-7 * max(map(abs, means)):  # what is left is rounding
        return 0.0 if math.isclose(*means, rel_tol=1e-7) else math.copysign(math.inf, means[0] - means[1])
    return float((means[0] - means[1]) / spread)


def support(target: float, independent: int) -> tuple[str, str]:
    """Which rule lets ``independent`` trials support an error rate of ``target``, and a sentence.

    *Rule of 3* (ISO/IEC 19795-1, annex B): no error in N independent trials bounds the rate by 3 / N at 95 %, so
    nothing below 3 / N can be told from zero. *Rule of 30* (Doddington et al. 2000): with at least 30
    errors the true rate is within 30 % of the observed one at 90 %, so N >= 30 / target.
    """
    trials = independent * target * (1 + 1e-12)
    rate = f"an FMR of {100 * target:g} %"
    if trials >= 30:
        return RULE_OF_30, (
            f"{independent:,} independent comparisons carry {rate}: at least 30 errors are expected (rule of 30)"
        )
    if trials >= 3:
        return RULE_OF_3, (
            f"{independent:,} independent comparisons bound {rate} (rule of 3), but fewer than 30 errors are "
            "expected: read it with its interval"
        )
    return NONE, (
        f"{independent:,} independent comparisons can't support {rate}: at least {math.ceil(3 / target):,} are "
        "needed (rule of 3)"
    )


def _checked(scores: Any, name: str) -> Any:
    array = np.asarray(scores)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "fiu":
        raise InputError(f"{name} scores are numbers [n], not {array.dtype} {list(array.shape)}")
    bad = ~np.isfinite(array)
    if bad.any():
        raise InputError(f"{name} score {int(np.flatnonzero(bad)[0])} is not finite")
    return array
