"""One fold, all models: scores to figures, paired differences and the hardest pairs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from syper_data.benchmarking.figures import FoldFigures, blocked_figures, figures
from syper_data.benchmarking.hardest import hardest
from syper_data.benchmarking.model import Vectors
from syper_data.benchmarking.paired import paired_difference
from syper_data.benchmarking.scoring import MOST, FoldScores, score_fold
from syper_data.errors import UsageError
from syper_data.metrics.record import json_ready
from syper_data.protocols.protocol import Fold

_OTHER = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Settings:
    """What the figures depend on besides scores: ``repeats`` of the bootstrap, its ``seed``."""

    repeats: int = 500
    seed: int = 0
    paper_compat: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.repeats <= 100_000:
            raise UsageError(f"--repeats is {self.repeats}: must lie in 1..100000")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed is {self.seed}: must lie in 0..{2**32 - 1}")


@dataclass(frozen=True)
class MeasuredFold:
    """``record`` is the fold's part of ``results.json``; ``scores`` is None where there are too many to keep."""

    fold: Fold
    figures: Mapping[str, FoldFigures]
    record: dict[str, Any]
    scores: Mapping[str, FoldScores] | None


def measure(fold: Fold, vectors: Mapping[str, Vectors], settings: Settings, most: int = MOST) -> MeasuredFold:
    """All comparisons of a fold, with each model's ``vectors`` float32 [images, d].

    More than ``most`` comparisons are not kept: figures are exact, but there are no paired differences, no
    hardest pairs, and no file of scores.

    Raises:
        UsageError: ``paper_compat`` or accuracy over parts, where the scores can't be kept.
    """
    if fold.parts is not None or sum(fold.counts()) <= most:
        return measured(fold, {label: score_fold(fold, v, most=most) for label, v in vectors.items()}, settings)
    if settings.paper_compat:
        raise UsageError(f"fold {fold.name}: too many comparisons for --paper-compat; leave it out")
    found = {
        label: blocked_figures(fold, v, repeats=settings.repeats, seed=settings.seed)
        for label, v in vectors.items()
    }
    return _measured(fold, found, None, [], {})


def measured(fold: Fold, scores: Mapping[str, FoldScores], settings: Settings) -> MeasuredFold:
    """The same scores and settings give the same record."""
    found = {label: figures(fold, own, **asdict(settings)) for label, own in scores.items()}
    hard = {label: json_ready(hardest(fold, own)) for label, own in scores.items()}
    options = {"repeats": settings.repeats, "seed": settings.seed}
    differences = [
        {"models": [a, b], **json_ready(paired_difference(fold, scores[a], scores[b], figure=name, **options))}
        for a, b in combinations(scores, 2)
        for name in _compared_by(fold, found[a])
    ]
    return _measured(fold, found, scores, differences, hard)


def _measured(
    fold: Fold,
    found: Mapping[str, FoldFigures],
    scores: Mapping[str, FoldScores] | None,
    differences: list[dict[str, Any]],
    hard: Mapping[str, Any],
) -> MeasuredFold:
    shown = {label: json_ready(made.to_dict()) for label, made in found.items()}
    record = {"name": fold.name, "figures": shown, "differences": differences, "hardest": dict(hard)}
    return MeasuredFold(fold, found, record, scores)


def _compared_by(fold: Fold, found: FoldFigures) -> list[str]:
    """The figures by which two models are compared."""
    searched = found.identification is not None and found.identification.rank1 is not None
    return ["eer"] + (["accuracy"] if fold.parts is not None else []) + (["rank1"] if searched else [])


def scores_file(fold: str) -> str:
    """What the scores of a fold are called: ``scores-fold1.parquet``."""
    name = _OTHER.sub("_", fold)
    if name != fold:  # two folds must not share a file
        name += "-" + hashlib.sha256(fold.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"scores-{name if name.startswith('fold') else 'fold' + name}.parquet"
