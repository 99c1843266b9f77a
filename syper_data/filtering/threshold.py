"""The threshold of an identity audit: which similarity would real people who are not in the reference reach?

The search is 1:N, so the false alarm that counts is one per *image* (FPIR), not per pair. People who are
not in the reference (calibration) are searched as the synthetic images are, and the threshold is a
conservative quantile of their nearest-reference similarities.

**The rule.** K people, person k with images whose share at or above t is c_k(t). The threshold is the
lowest similarity t with ``(unseen + sum_k c_k(t)) / (K + 1) <= fpir``. With people drawn as the tested one
is, a person's image that is not in the reference is then flagged with a chance of at most ``fpir``
(Lee, Barber & Willett 2023, hierarchical conformal prediction; with one image a person the usual
split-conformal quantile). ``unseen`` is

- 1 for *disjoint people*: the tested person's own place among K + 1,
- 2 for *leave-one-subject-out* over the reference. Each of its people is searched among the others, and
  the nearest pairs are mutual: both of a pair have the same high similarity, so the K values hold half as
  much. Among K + 1 people ranked by their nearest similarity to the K others, leaving the tested image
  out lowers the value of one other person at most; that one is counted as above. This also covers that
  each left-out person was searched among K - 1 people and the synthetic image among K.

So a threshold needs K >= unseen / fpir - 1 people: 99 disjoint people, or 199 left out in turn, at 1 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import UsageError
from syper_data.metrics.intervals import Codes, Floats

DISJOINT, LEFT_OUT = "disjoint people", "leave-one-subject-out"
UNSEEN = {DISJOINT: 1, LEFT_OUT: 2}
_EXACT = 1e-9
_LARGEST_FPIR = 0.5  # filter takes none from here on


@dataclass(frozen=True)
class Calibration:
    """Nearest-reference similarities of people who are not in the reference.

    ``similarity`` float [n]; ``subjects`` int64 codes [n], 0..K-1, every one used; ``kind`` one of
    ``disjoint people``, ``leave-one-subject-out``.
    """

    similarity: Floats
    subjects: Codes
    kind: str

    @property
    def people(self) -> int:
        """K."""
        return int(self.subjects.max()) + 1 if len(self.subjects) else 0

    @property
    def weights(self) -> Floats:
        """1 / (the person's number of images) for every image [n]."""
        return np.asarray(1 / np.bincount(self.subjects)[self.subjects])

    def subset(self, people: Any) -> Calibration:
        """Only the people with these codes, numbered anew."""
        keep = np.isin(self.subjects, people)
        codes = np.unique(self.subjects[keep], return_inverse=True)[1].astype(np.int64)
        return Calibration(self.similarity[keep], codes, self.kind)


def people_needed(fpir: float, kind: str) -> int:
    """The fewest people that give a threshold at this FPIR: unseen / fpir - 1, rounded up."""
    return math.ceil(UNSEEN[kind] / fpir - 1 - _EXACT)


def smallest_fpir(people: int, kind: str) -> float:
    """The lowest FPIR that so many people give a threshold for."""
    return UNSEEN[kind] / (people + 1)


def has_threshold(calibration: Calibration, fpir: float) -> bool:
    """Whether the calibration has people enough."""
    return calibration.people >= people_needed(fpir, calibration.kind)


def require_people(people: int, kind: str, fpir: float) -> None:
    """Raise :class:`UsageError` where so many people can't set a threshold at this FPIR."""
    needed = people_needed(fpir, kind)
    if people < needed:
        have = "the calibration holds" if kind == DISJOINT else "the reference holds"
        left_out = ", each left out in turn" if kind == LEFT_OUT else ""
        raise UsageError(
            f"{have} {people} people, and --fpir {fpir:g} needs {needed}{left_out}; "
            f"{_ways_on(kind, fpir, smallest_fpir(people, kind))}"
        )


def require_split(parts: Sequence[tuple[str, int, int]], fpir: float) -> None:
    """The same where several networks share a reference: of each its name, people and images.

    A network has the share of the FPIR that it has of the images, and leaves each of its people out in turn.
    """
    everyone, total = sum(people for _, people, _ in parts), sum(images for *_, images in parts)
    possible = max(smallest_fpir(people, LEFT_OUT) * total / images for _, people, images in parts)
    for name, people, images in parts:
        share = fpir * images / total
        needed = people_needed(share, LEFT_OUT)
        if people < needed:
            raise UsageError(
                f"the reference holds {everyone} people, {people} of whom {name} judges, and its share of "
                f"--fpir {fpir:g} ({share:.3g}) needs {needed}, each left out in turn; "
                f"{_ways_on(LEFT_OUT, fpir, possible)}"
            )


def _ways_on(kind: str, fpir: float, possible: float) -> str:
    others = "give more people"
    if kind == LEFT_OUT:
        others = f"give --calibration SOURCE with {people_needed(fpir, DISJOINT)} or more other people"
    weaker = rounded_up(possible)
    return f"{others}, or take --fpir {weaker:g}, a weaker audit" if weaker < _LARGEST_FPIR else others


def threshold_at(calibration: Calibration, fpir: float) -> float:
    """The lowest threshold (float32) that the rule allows; flagged is what is >= it.

    Raises:
        UsageError: an FPIR outside 0..1, or fewer people than it needs.
    """
    if not 0 < fpir < 1:
        raise UsageError(f"fpir is {fpir}: must lie between 0 and 1")
    people = calibration.people
    require_people(people, calibration.kind, fpir)
    order = np.argsort(-calibration.similarity, kind="stable")
    values, shares = calibration.similarity[order], np.cumsum(calibration.weights[order])
    allowed = fpir * (people + 1) - UNSEEN[calibration.kind] + _EXACT * people
    last_of_value = np.append(values[1:] != values[:-1], True)
    too_many = np.flatnonzero(last_of_value & (shares > allowed))
    if not len(too_many):
        return float(np.float32(values[-1]))
    refused = np.float32(values[too_many[0]])  # the highest similarity that may not be flagged
    return float(np.nextafter(refused, np.float32(np.inf), dtype=np.float32))


def resampled_fpir(calibration: Calibration, threshold: float, repeats: int, seed: int) -> tuple[Floats, Floats]:
    """False-positive identification rates at ``threshold`` that the calibration is compatible with.

    The Bayesian bootstrap over people (Rubin 1981): weights from a Dirichlet distribution on the K people
    and an unseen one. Left-out people count half each, since their extreme values come in pairs.
    Returns the rates where the unseen one is not flagged, and where it is: [repeats] each.
    """
    shares = np.bincount(calibration.subjects, calibration.weights * (calibration.similarity >= threshold))
    rng = np.random.default_rng(seed)
    unseen = UNSEEN[calibration.kind]
    flagged, rest = shares[shares > 0], int((shares == 0).sum())
    alpha = np.concatenate([[1.0], np.full(len(flagged), 1 / unseen), [max(rest, _EXACT) / unseen]])
    drawn = rng.dirichlet(alpha, repeats)
    low = np.asarray(drawn[:, 1:-1] @ flagged)
    return low, low + drawn[:, 0]


def independent_pair_fmr(fpir: float, references: int) -> float:
    """The pairwise FMR that gives this FPIR over so many independent references: 1 - (1 - fpir)^(1/N)."""
    return float(-math.expm1(math.log1p(-fpir) / references))


def rounded_up(value: float) -> float:
    """Rounded up to three digits, so that the figure in a message is enough."""
    digits = 2 - math.floor(math.log10(value))
    scale = 10.0**digits
    return min(0.999, math.ceil(value * scale - _EXACT) / scale)
