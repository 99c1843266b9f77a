"""Figures as the seed repositories compute them, to compare with what they print; never a replacement.

They differ from the strict ones in three ways:

- FNMR at the point of scikit-learn's ROC curve whose FMR is *nearest* to the target, which may lie above it;
  the curve has left out points that lie on a straight line between others, and of equally near points the
  first counts, so that below half of the lowest FMR above zero nothing matches at all and FNMR is 1;
- EER as the mean of FMR and FNMR at the point of that curve where they differ least;
- rank 1 with both eyes of a person among the references, either of them a hit.

Failures to acquire count as in the strict figures; the repositories drop them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.benchmarking.scoring import FoldScores
from syper_data.errors import UsageError
from syper_data.metrics.intervals import Bools, Floats

LABEL = "as the published code computes it: nearest FMR, both eyes among the references"


@dataclass(frozen=True)
class NearestFmr:
    """FNMR at the point whose FMR is nearest to ``target``; ``fmr`` is the one that is really had."""

    target: float
    fmr: float
    fnmr: float


@dataclass(frozen=True)
class PaperCompat:
    """See the module; ``rank1_both_eyes`` is None where no search holds two eyes of a person."""

    label: str
    eer: float
    at: tuple[NearestFmr, ...]
    rank1_both_eyes: float | None


def paper_compat_figures(scores: FoldScores, targets: tuple[float, ...]) -> PaperCompat:
    """The figures of scores in memory.

    Raises:
        UsageError: no mated or no non-mated comparison.
    """
    fmr, tmr = roc_points(scores.score, scores.mated)
    fnmr = 1 - tmr
    place = int(np.argmin(np.abs(fmr - fnmr)))
    nearest = [int(np.argmin(np.abs(fmr - t))) for t in targets]
    both = scores.searches_both_eyes
    return PaperCompat(
        LABEL,
        float((fmr[place] + fnmr[place]) / 2),
        tuple(NearestFmr(t, float(fmr[i]), float(fnmr[i])) for t, i in zip(targets, nearest, strict=True)),
        float(both.cmc(1)[0]) if both is not None and len(both.rank) else None,
    )


def roc_points(score: Any, mated: Bools) -> tuple[Floats, Floats]:
    """FMR and true-match rate from strict to loose, as ``sklearn.metrics.roc_curve`` gives them: at every
    distinct score but those whose neighbours lie on one line with them, (0, 0) first."""
    if mated.all() or not mated.any():
        raise UsageError(f"{int(mated.sum())} of {len(mated)} comparisons are mated: error rates need both kinds")
    order = np.argsort(score, kind="stable")[::-1]
    values, hits = score[order], np.cumsum(mated[order])
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    matched = hits[last]
    false = 1 + last - matched
    if len(last) > 2:
        corner = np.diff(false, 2).astype(bool) | np.diff(matched, 2).astype(bool)
        kept = np.concatenate([[True], corner, [True]])
        matched, false = matched[kept], false[kept]
    return np.append(0, false) / false[-1], np.append(0, matched) / matched[-1]
