"""Error rates of a search after ISO/IEC 19795-1: FPIR and FNIR (open set), CMC (closed set).

A search compares one probe with all references. Its candidates are those with **score >= t**. A search
is mated where the probe's identity is among the references.

- FPIR(t) = share of non-mated searches with at least one candidate,
- FNIR(t, R) = share of mated searches whose identity is not among the R best candidates.

Ties count against the system: a reference of another identity with an equal score ranks first. A template
that could not be acquired is a candidate at no threshold: its score is -inf.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.metrics.error_rates import NONE, allowed_count, support
from syper_data.metrics.intervals import Bools, Codes, Estimate, Floats, estimate, subject_weights

Ranks = np.ndarray[Any, np.dtype[np.int64]]

CMC_RANKS = 20
FPIRS = (0.01, 0.1)


@dataclass(frozen=True)
class Searches:
    """What a set of searches gave; all that the rates need.

    ``mated_score`` [m]: the best score of the probe's own identity, ``rank`` [m]: its rank (1 is
    first), ``nonmated_top`` [n]: the best score of each non-mated search. ``mated`` [m + n] says which
    of the probes are which. ``references``: how many are searched.
    """

    mated_score: Floats
    rank: Ranks
    nonmated_top: Floats
    mated: Bools
    references: int

    def fpir(self, threshold: float) -> float:
        """Share of non-mated searches that give a candidate."""
        _some(self.nonmated_top, "non-mated")
        return float(((self.nonmated_top >= threshold) & (self.nonmated_top > -np.inf)).mean())

    def fnir(self, threshold: float, rank: int | None = None) -> float:
        """Share of mated searches that miss: below the threshold, or not within ``rank`` (all, if None)."""
        _some(self.mated_score, "mated")
        found = (self.mated_score >= threshold) & (self.mated_score > -np.inf)
        if rank is not None:
            found &= self.rank <= rank
        return float(1 - found.mean())

    def fnir_at(self, fpir: float, rank: int | None = None) -> tuple[float, float]:
        """FNIR and threshold at the lowest threshold (a score, or +inf) with FPIR <= ``fpir``."""
        _some(self.nonmated_top, "non-mated")
        refused = refused_top(self.nonmated_top, np.ones(len(self.nonmated_top)), fpir)
        scores = np.concatenate([self.nonmated_top, self.mated_score])
        threshold = float(scores[scores > refused].min(initial=np.inf))
        return self.fnir(threshold, rank), threshold

    def cmc(self, ranks: int) -> Floats:
        """Share of mated searches whose identity is within rank 1..``ranks`` -> [ranks]."""
        _some(self.rank, "mated")
        return np.asarray([(self.rank <= r).mean() for r in range(1, ranks + 1)])


@dataclass(frozen=True)
class FnirAtFpir:
    """FNIR at the lowest threshold with FPIR <= ``target``; None where too few people without a
    reference were searched for (rule of 3, see :func:`syper_data.metrics.error_rates.support`)."""

    target: float
    threshold: float | None
    fpir: float | None
    fnir: Estimate | None
    independent: int
    support: str
    note: str


@dataclass(frozen=True)
class Identification:
    """Closed set: ``rank1``, ``rank5``, ``cmc`` (ranks 1, 2, ...); open set: ``at``. None and empty where
    there was no search of that kind. Intervals resample the people searched for; the references stay."""

    rank1: Estimate | None
    rank5: Estimate | None
    cmc: tuple[float, ...]
    at: tuple[FnirAtFpir, ...]
    mated: int
    nonmated: int
    references: int
    subjects: int


def searches(
    scores: Any, probes: Codes, references: Codes, *, left_out: Any = None, failed: float = -math.inf
) -> Searches:
    """Scores [p, r] of every probe against every reference, identities as codes [p] and [r].

    ``left_out`` [p, r] marks pairs that are not compared (a person's other eye). Scores at or below
    ``failed`` are those of templates that could not be acquired; a search without a better score of its
    own identity has the rank r + 1.
    """
    scores = np.asarray(scores)
    if scores.shape != (len(probes), len(references)) or not len(references):
        raise InputError(
            f"scores of {len(probes)} probes and {len(references)} references are not {list(scores.shape)}"
        )
    if not np.isfinite(scores).all():
        raise InputError(f"scores of probe {int(np.flatnonzero(~np.isfinite(scores).all(1))[0])} are not finite")
    scores = np.where(scores > failed, scores, -np.inf)
    same = probes[:, None] == references[None]
    other = ~same if left_out is None else ~same & ~np.asarray(left_out)
    mated = same.any(axis=1)
    best = np.where(same, scores, -np.inf).max(axis=1)[mated]
    ahead = ((scores[mated] >= best[:, None]) & other[mated]).sum(axis=1)
    ahead[best == -np.inf] = len(references)
    top = np.where(other, scores, -np.inf)[~mated].max(axis=1)
    return Searches(
        best.astype(np.float64), ahead.astype(np.int64) + 1, top.astype(np.float64), mated, len(references)
    )


def joined(parts: Iterable[Searches]) -> Searches:
    """Searches of several sets of probes in the same references."""
    blocks = list(parts)
    score, rank, top, mated = (
        np.concatenate([getattr(b, name) for b in blocks])
        for name in ("mated_score", "rank", "nonmated_top", "mated")
    )
    return Searches(score, rank, top, mated, blocks[0].references)


def refused_top(tops: Floats, weights: Floats, fpir: float) -> float:
    """The highest non-mated score that must not be a candidate for FPIR <= ``fpir``; -inf if all may."""
    order = np.argsort(tops)[::-1]
    with_it = np.cumsum(weights[order])  # searches with a candidate, the threshold at this score
    refused = np.flatnonzero(with_it > allowed_count(fpir, with_it[-1]))
    return float(tops[order[refused[0]]]) if len(refused) else -math.inf


def identification(
    found: Searches, subject: Codes, identity: Codes, *, fpirs: tuple[float, ...] = FPIRS, repeats: int = 500,
    seed: int = 0,
) -> Identification:  # fmt: skip
    """The figures of searches for probes of ``subject`` [p] and ``identity`` [p] (codes)."""
    people = np.unique(subject, return_inverse=True)[1]
    count = int(people.max()) + 1
    rank1 = rank5 = None
    cmc: tuple[float, ...] = ()
    if len(found.rank):
        resampled = np.array(
            [[_share(w, found.rank <= r) for r in (1, 5)] for w in _weights(people, found.mated, repeats, seed)]
        ).reshape(-1, 2)
        cmc = tuple(found.cmc(min(CMC_RANKS, found.references)).tolist())
        rank1, rank5 = (estimate(float(found.cmc(r)[-1]), resampled[:, i]) for i, r in enumerate((1, 5)))
        if found.references <= 5:  # everyone is among the first five
            rank5 = None
    at: tuple[FnirAtFpir, ...] = ()
    if len(found.nonmated_top) and len(found.rank):
        independent = len(np.unique(identity[~found.mated]))
        at = tuple(_fnir_at(found, people, t, independent, repeats, seed) for t in fpirs)
    return Identification(
        rank1, rank5, cmc, at, len(found.rank), len(found.nonmated_top), found.references, count
    )  # fmt: skip


def rank_shares(found: Searches, subject: Codes, rank: int, repeats: int, seed: int) -> Floats:
    """Share within ``rank`` of the mated searches and of ``repeats`` resamples of people [1 + repeats]."""
    people = np.unique(subject, return_inverse=True)[1]
    hit = found.rank <= rank
    return np.array([hit.mean(), *(_share(w, hit) for w in _weights(people, found.mated, repeats, seed))])


def _fnir_at(
    found: Searches, people: Codes, target: float, independent: int, repeats: int, seed: int
) -> FnirAtFpir:
    rule, note = support(target, independent)
    note = note.replace("comparisons", "people without a reference").replace("an FMR", "an FPIR")
    if rule == NONE:
        return FnirAtFpir(target, None, None, None, independent, rule, note)
    fnir, threshold = found.fnir_at(target)
    drawn = []
    mated = _weights(people, found.mated, repeats, seed)
    for w, other in zip(mated, _weights(people, ~found.mated, repeats, seed), strict=True):
        if w.any() and other.any():
            drawn.append(1 - _share(w, found.mated_score > refused_top(found.nonmated_top, other, target)))
    return FnirAtFpir(
        target, threshold, found.fpir(threshold), estimate(fnir, drawn), independent, rule, note
    )  # fmt: skip


def _weights(people: Codes, chosen: Bools, repeats: int, seed: int) -> Iterator[Floats]:
    rows = people[chosen]
    return (w[rows] for w in subject_weights(int(people.max()) + 1, repeats, seed))


def _share(weights: Floats, hit: Bools) -> float:
    total = float(weights.sum())
    return float((weights * hit).sum() / total) if total else math.nan


def _some(values: Any, name: str) -> None:
    if not len(values):
        raise UsageError(f"there was no {name} search, so its rate is not defined")
