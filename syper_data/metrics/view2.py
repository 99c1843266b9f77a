"""Accuracy of same-or-different decisions over parts, as LFW's View 2 asks for.

Huang et al. 2007 (LFW, technical report 07-49): each of ten parts is decided with what the other nine say;
reported are the mean of the ten accuracies and its standard error, the sample standard deviation over
sqrt(10). Here the nine choose the threshold: the lowest score at which most of their comparisons are right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.metrics.intervals import Bools, Codes


@dataclass(frozen=True)
class Accuracy:
    """``mean`` and ``standard_error`` over ``parts`` accuracies, each at its own threshold."""

    mean: float
    standard_error: float
    parts: tuple[float, ...]
    thresholds: tuple[float, ...]
    comparisons: int


def accuracy(
    scores: Any, mated: Bools, parts: Sequence[Codes], *, failed: float = -math.inf
) -> tuple[Accuracy, Bools]:
    """The accuracy, and which comparisons were decided rightly (in the order of ``parts``).

    ``parts`` are rows of ``scores`` [m] and ``mated`` [m]. Scores at or below ``failed`` never match.

    Raises:
        UsageError: fewer than two parts, an empty one, or parts that share a row.
        InputError: a score is not finite.
    """
    if len(parts) < 2 or any(not len(p) for p in parts):
        raise UsageError(f"accuracy is over at least two parts with comparisons, not {[len(p) for p in parts]}")
    rows = np.concatenate(list(parts))
    if len(np.unique(rows)) != len(rows):
        raise UsageError("the parts share comparisons")
    if rows.min() < 0 or rows.max() >= len(scores):
        raise UsageError(f"the parts name comparisons beyond the {len(scores)} there are")
    if not np.isfinite(scores[rows]).all():
        raise InputError(f"the score of comparison {int(rows[~np.isfinite(scores[rows])][0])} is not finite")
    right, thresholds = [], []
    for part in parts:
        others = np.setdiff1d(rows, part, assume_unique=True)
        t = best_threshold(scores[others], mated[others], failed)
        thresholds.append(t)
        right.append((scores[part] >= t) == mated[part])
    shares = np.array([r.mean() for r in right])
    error = float(shares.std(ddof=1) / math.sqrt(len(shares)))
    found = Accuracy(float(shares.mean()), error, tuple(shares.tolist()), tuple(thresholds), len(rows))
    return found, np.concatenate(right)


def best_threshold(scores: Any, mated: Bools, failed: float = -math.inf) -> float:
    """The lowest score > ``failed`` (or +inf) at which most comparisons are decided rightly."""
    order = np.argsort(scores, kind="stable")
    values, labels = scores[order], mated[order]
    wrong_below = np.concatenate([[0], np.cumsum(labels)])  # mated ones below a threshold at this place
    wrong_above = (~labels).sum() - np.concatenate([[0], np.cumsum(~labels)])
    candidates = np.append(np.unique(values[values > failed]), np.inf)
    place = np.searchsorted(values, candidates, "left")
    return float(candidates[np.argmin(wrong_below[place] + wrong_above[place])])
