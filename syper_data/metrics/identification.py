"""Error rates of a search after ISO/IEC 19795-1: FPIR and FNIR (open set), CMC (closed set).

A search compares one probe with all references. Its candidates are those with **score >= t**. A search
is mated where the probe's identity is among the references.

- FPIR(t) = share of non-mated searches with at least one candidate,
- FNIR(t, R) = share of mated searches whose identity is not among the R best candidates.

Ties count against the system: a reference of another identity with an equal score ranks first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.metrics.intervals import Codes, Floats

Ranks = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Searches:
    """What a set of searches gave; all that the rates need.

    ``mated_score`` [m]: the best score of the probe's own identity, ``rank`` [m]: its rank (1 is
    first), ``nonmated_top`` [n]: the best score of each non-mated search.
    """

    mated_score: Floats
    rank: Ranks
    nonmated_top: Floats

    def fpir(self, threshold: float) -> float:
        """Share of non-mated searches that give a candidate."""
        _some(self.nonmated_top, "non-mated")
        return float((self.nonmated_top >= threshold).mean())

    def fnir(self, threshold: float, rank: int | None = None) -> float:
        """Share of mated searches that miss: below the threshold, or not within ``rank`` (all, if None)."""
        _some(self.mated_score, "mated")
        found = self.mated_score >= threshold
        if rank is not None:
            found &= self.rank <= rank
        return float(1 - found.mean())

    def fnir_at(self, fpir: float, rank: int | None = None) -> tuple[float, float]:
        """FNIR and threshold at the lowest threshold (a score, or +inf) with FPIR <= ``fpir``."""
        _some(self.nonmated_top, "non-mated")
        tops = np.sort(self.nonmated_top)
        allowed = int(np.floor(fpir * len(tops) + 1e-9))
        candidates = np.append(np.union1d(tops, self.mated_score), np.inf)
        threshold = candidates[0]
        if allowed < len(tops):
            threshold = candidates[np.searchsorted(candidates, tops[len(tops) - allowed - 1], "right")]
        return self.fnir(float(threshold), rank), float(threshold)

    def cmc(self, ranks: int) -> Floats:
        """Share of mated searches whose identity is within rank 1..``ranks`` -> [ranks]."""
        _some(self.rank, "mated")
        return np.asarray([(self.rank <= r).mean() for r in range(1, ranks + 1)])


def searches(scores: Floats, probes: Codes, references: Codes) -> Searches:
    """Scores [p, r] of every probe against every reference, identities as codes [p] and [r]."""
    scores = np.asarray(scores)
    if scores.shape != (len(probes), len(references)) or not len(references):
        raise InputError(
            f"scores of {len(probes)} probes and {len(references)} references are not {list(scores.shape)}"
        )
    if not np.isfinite(scores).all():
        raise InputError(f"scores of probe {int(np.flatnonzero(~np.isfinite(scores).all(1))[0])} are not finite")
    same = probes[:, None] == references[None]
    mated = same.any(axis=1)
    best = np.where(same, scores, -np.inf).max(axis=1)[mated]
    ahead = ((scores[mated] >= best[:, None]) & ~same[mated]).sum(axis=1)
    return Searches(best.astype(np.float64), ahead.astype(np.int64) + 1, scores[~mated].max(axis=1))


def _some(values: Any, name: str) -> None:
    if not len(values):
        raise UsageError(f"there was no {name} search, so its rate is not defined")
