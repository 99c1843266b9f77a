"""The figures of a fold, from scores in memory or block by block, by the same code.

Verification, identification, accuracy over parts (View 2), failures to acquire, the DET with its band, and the
distribution of scores. Failures count: a mated comparison with a failed template is a false non-match. What
the acquired comparisons alone give stands beside, as ``acquired``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.benchmarking.counting import FailureToAcquire, Labels, labels
from syper_data.benchmarking.paper_compat import PaperCompat, paper_compat_figures
from syper_data.benchmarking.scoring import (
    FAILED,
    FoldScores,
    Scored,
    Vectors,
    score_blocks,
    search_fold,
    template_vectors,
)
from syper_data.errors import UsageError
from syper_data.metrics.bins import Blocks, ScoreBlock
from syper_data.metrics.curves import Curves
from syper_data.metrics.error_rates import OperatingPoint
from syper_data.metrics.identification import Identification, Searches, identification
from syper_data.metrics.intervals import QUANTILES, Floats
from syper_data.metrics.record import json_ready
from syper_data.metrics.verification import Verification, supported, verification_of
from syper_data.metrics.view2 import Accuracy, accuracy
from syper_data.protocols.protocol import Fold

TARGETS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
REPEATS = 500
DET_POINTS = 150
DISTRIBUTION_BINS = 200

_PART = 1_000_000  # scores in memory that are worked on at once


@dataclass(frozen=True)
class Acquired:
    """Figures of the comparisons whose templates were both acquired; None where nothing is left."""

    eer: float
    at: tuple[OperatingPoint, ...]


@dataclass(frozen=True)
class Det:
    """FMR and FNMR from strict to loose, and at each FMR the 95 % band of the FNMR over people."""

    threshold: Floats
    fmr: Floats
    fnmr: Floats
    fnmr_low: Floats
    fnmr_high: Floats


@dataclass(frozen=True)
class Distribution:
    """Numbers of scores between ``edges`` [bins + 1], failures left out."""

    edges: Floats
    mated: Floats
    nonmated: Floats


@dataclass(frozen=True)
class FoldFigures:
    """Everything that is reported of one recognizer on one fold."""

    fold: str
    verification: Verification
    fta: FailureToAcquire
    acquired: Acquired | None  # None: nothing failed, or only failures are left
    identification: Identification | None
    accuracy: Accuracy | None
    paper_compat: PaperCompat | None
    det: Det
    distribution: Distribution

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: finite numbers, None where there is none."""
        found: dict[str, Any] = json_ready(self)
        return found


def figures(
    fold: Fold, scores: FoldScores, *, targets: tuple[float, ...] = TARGETS, repeats: int = REPEATS, seed: int = 0,
    paper_compat: bool = False,
) -> FoldFigures:  # fmt: skip
    """The figures of ``scores``; an FNMR at each target FMR that the comparisons support.

    Raises:
        UsageError: fewer than two people, or no mated or no non-mated comparison.
        InputError: a score that is not finite.
    """

    def source() -> Iterator[Scored]:
        for start in range(0, len(scores.score), _PART):
            rows = slice(start, start + _PART)
            yield scores.probe[rows], scores.reference[rows], scores.mated[rows], scores.score[rows]

    known = labels(fold, lambda: (x[:3] for x in source()), scores.failed_templates, len(scores.failed_images))
    decided = None
    if fold.parts is not None:
        decided = accuracy(scores.score, scores.mated, fold.parts, failed=FAILED)[0]
    compat = paper_compat_figures(scores, targets) if paper_compat else None
    return _reduce(
        fold, source, known, scores.searches, decided, compat, targets=targets, repeats=repeats, seed=seed
    )  # fmt: skip


def blocked_figures(
    fold: Fold, vectors: Vectors, *, targets: tuple[float, ...] = TARGETS, repeats: int = REPEATS, seed: int = 0
) -> FoldFigures:
    """The same figures without ever holding the scores: the comparisons are made again for each pass.

    Memory: the mated scores, some million of the others, and what :mod:`syper_data.metrics.curves` says.
    The figures equal those of :func:`figures`, but for rounding in d'. Accuracy over parts needs the scores.

    Raises:
        UsageError: as :func:`figures`, or a fold with parts.
        InputError: vectors that are not of unit length.
    """
    if fold.parts is not None:
        raise UsageError(f"fold {fold.name}: accuracy over its parts needs the scores in memory: use figures")
    templates = template_vectors(fold, vectors)
    failed = np.flatnonzero(np.isnan(templates[:, 0]))
    lost = int(np.isnan(vectors[:, 0]).sum())
    known = labels(fold, lambda: fold.comparisons.blocks(fold), failed, lost)
    return _reduce(
        fold, lambda: score_blocks(fold, templates), known, search_fold(fold, templates), None, None,
        targets=targets, repeats=repeats, seed=seed,
    )  # fmt: skip


def curves_of(
    known: Labels, source: Callable[[], Iterator[Scored]], targets: tuple[float, ...], repeats: int, seed: int
) -> Curves:
    """The resampled error rates of scored comparisons at those of ``targets`` that are supported."""
    sound = supported(targets, known.independent)
    return Curves(
        _blocks(known, source), known.people, repeats=repeats, seed=seed, failed=FAILED, targets=sound
    )  # fmt: skip


def _reduce(
    fold: Fold, source: Callable[[], Iterator[Scored]], known: Labels, found: Searches | None,
    decided: Accuracy | None, compat: PaperCompat | None, *, targets: tuple[float, ...], repeats: int, seed: int,
) -> FoldFigures:  # fmt: skip
    spread = _Spread()
    curves = curves_of(known, spread.first_time(source), targets, repeats, seed)
    searched = None
    if found is not None and fold.identification is not None:
        probe = fold.identification.probe
        searched = identification(found, fold.subject[probe], fold.identity[probe], repeats=repeats, seed=seed)
    return FoldFigures(
        fold=fold.name,
        verification=verification_of(
            curves, targets=targets, independent=known.independent, subjects=known.people,
            identities=known.identities, seed=seed,
        ),
        fta=known.fta,
        acquired=_acquired(known, source, targets),
        identification=searched,
        accuracy=decided,
        paper_compat=compat,
        det=_det(curves),
        distribution=spread.distribution(),
    )  # fmt: skip


def _blocks(known: Labels, source: Callable[[], Iterator[Scored]], *, acquired: bool = False) -> Blocks:
    def blocks() -> Iterator[ScoreBlock]:
        for probe, reference, mated, score in source():
            kept = score > FAILED if acquired else slice(None)
            first, second = known.person[probe[kept]], known.person[reference[kept]]
            yield ScoreBlock(score[kept], mated[kept], first, second)

    return blocks


def _acquired(
    known: Labels, source: Callable[[], Iterator[Scored]], targets: tuple[float, ...]
) -> Acquired | None:
    fta = known.fta
    if not fta.failed_mated + fta.failed_nonmated:
        return None
    if fta.mated == fta.failed_mated or fta.nonmated == fta.failed_nonmated:
        return None
    sound = supported(targets, known.independent)
    curves = Curves(_blocks(known, source, acquired=True), known.people, repeats=0, targets=sound)
    found = verification_of(curves, targets=targets, independent=known.independent, subjects=known.people,
                            identities=known.identities)  # fmt: skip
    return Acquired(found.eer.value, tuple(a.point for a in found.at))


def _det(curves: Curves) -> Det:
    edges, fmr, fnmr = (x[..., ::-1] for x in curves.edges())  # strict to loose
    keep = (
        np.unique(np.linspace(0, len(edges) - 1, DET_POINTS).astype(int))
        if len(edges) > DET_POINTS
        else slice(None)
    )
    x = fmr[0][keep]
    bands = [np.interp(x, f, m) for f, m in zip(fmr[1:], fnmr[1:], strict=True) if np.isfinite(f).all()]
    y = fnmr[0][keep]
    low, high = np.quantile(bands, QUANTILES, axis=0) if bands else (np.full(len(x), math.nan),) * 2
    return Det(edges[keep].astype(np.float64), x, y, np.minimum(low, y), np.maximum(high, y))


class _Spread:
    """Counts scores between equal edges on the cosine's range while a source is read the first time."""

    def __init__(self) -> None:
        self._edges = np.linspace(-1, 1, DISTRIBUTION_BINS + 1)
        self._counts = np.zeros((2, DISTRIBUTION_BINS))
        self._done = False

    def first_time(self, source: Callable[[], Iterator[Scored]]) -> Callable[[], Iterator[Scored]]:
        """The same source."""

        def watched() -> Iterator[Scored]:
            for block in source():
                if not self._done:
                    self._add(block[2], block[3])
                yield block
            self._done = True

        return watched

    def distribution(self) -> Distribution:
        return Distribution(self._edges, self._counts[1], self._counts[0])

    def _add(self, mated: Any, score: Any) -> None:
        kept = score > FAILED
        place = ((score[kept] + 1) * (DISTRIBUTION_BINS / 2)).astype(np.int64).clip(0, DISTRIBUTION_BINS - 1)
        both = np.bincount(place + DISTRIBUTION_BINS * mated[kept], minlength=2 * DISTRIBUTION_BINS)
        self._counts += both.reshape(2, DISTRIBUTION_BINS)
