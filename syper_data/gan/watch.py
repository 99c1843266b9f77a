"""Early warnings at every snapshot: is the generator collapsing, is it copying training crops?

Fakes and crops are compared as the adversary's pooled features (of its frozen feature net, or 16x16
pixels where it has none), each dimension divided by its deviation over the crops.

``spread`` is the fakes' root mean square distance from their mean over the crops'. Real data give
1. ``COLLAPSE``: below that ratio most of the variety is gone.

``nearest`` is the 10 % quantile of the fakes' distances to their nearest crops over the same quantile
of the crops' distances to their nearest crops of another subject (another crop, where no subject is
known). A generator that makes new images of the same distribution gives about 1 or more.
``COPYING``: below that ratio at least a tenth of the fakes lie much closer to a training crop than
strangers do to each other. The quantile, not the median, because at most 1,000 crops are compared: of
10,000 they are a tenth, and of a generator that only copies a tenth of the fakes is then caught. It
finds copies of crops, not a subject shown anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from syper_data.gan.synthesis import Key
from syper_data.gan.training_run import TrainingRun

FAKES, CROPS = 200, 1000
COLLAPSE, COPYING = 0.5, 0.5
WARN_FROM_KIMG = 4.0  # fakes start faint and alike
WARN_FROM_CROPS = 100  # fewer say nothing about spread or neighbours

_QUANTILE = 0.1
_SEED_START = 1_000_000  # not the seeds of the sheet


@dataclass(frozen=True)
class Watch:
    """What is known of the crops: computed once a run, at the first snapshot."""

    scale: Tensor  # [d]
    crops: Tensor  # float32 [m, d], scaled
    spread: float
    nearest: float

    @classmethod
    def of(cls, run: TrainingRun) -> Watch:
        """Features of at most :data:`CROPS` crops, drawn by the recipe's seed."""
        rng = np.random.default_rng((run.recipe.seed, 7))
        rows = np.sort(rng.permutation(len(run.crops))[:CROPS])
        features = run.features(run.crops.pixels[rows])
        scale = features.std(dim=0).clamp_min(1e-6)
        crops = features / scale
        distances = torch.cdist(crops, crops)
        distances[_same_subject([run.crops.subjects[i] for i in rows])] = torch.inf
        nearest = distances.min(dim=1).values
        return cls(scale, crops, _spread(crops), _quantile(nearest))

    def look(self, run: TrainingRun) -> dict[str, Any]:
        """``spread``, ``nearest``, and ``warning`` (a text) if one is below its threshold."""
        count = min(FAKES, 4 * len(run.crops))
        fakes = run.features(run.samples(_keys(run, count))) / self.scale
        spread = _spread(fakes) / max(self.spread, 1e-12)
        closest = _quantile(torch.cdist(fakes, self.crops).min(dim=1).values)
        nearest = closest / self.nearest if 0 < self.nearest < float("inf") else float("nan")
        line: dict[str, Any] = {"spread": _plain(spread), "nearest": _plain(nearest)}
        warnings = []
        if run.kimg >= WARN_FROM_KIMG and len(run.crops) >= WARN_FROM_CROPS:
            if spread < COLLAPSE:
                warnings.append(f"collapse: fakes spread {spread:.2f} as far as crops, below {COLLAPSE}")
            if nearest < COPYING:
                warnings.append(
                    f"memorisation: a tenth of the fakes is {nearest:.2f} times as near to a training crop as "
                    f"crops are to each other, below {COPYING}"
                )
        if warnings:
            line["warning"] = "; ".join(warnings)
        return line


def _keys(run: TrainingRun, count: int) -> list[Key]:
    """Seeds of their own, and in a conditional run the classes of crops spread over the data."""
    labels = run.crops.labels
    places = np.linspace(0, len(run.crops) - 1, count).astype(int)
    classes: list[int | None] = [int(labels[i]) for i in places] if len(labels) else [None] * count
    return [(_SEED_START + i, label) for i, label in enumerate(classes)]


def _same_subject(subjects: list[str | None]) -> Tensor:
    """Pairs that are not compared, bool [m, m]: a crop and itself, two crops of one subject."""
    same = torch.eye(len(subjects), dtype=torch.bool)
    members: dict[str, list[int]] = {}
    for i, subject in enumerate(subjects):
        if subject is not None:
            members.setdefault(subject, []).append(i)
    for rows in members.values():
        index = torch.tensor(rows)
        same[index[:, None], index[None, :]] = True
    return same


def _spread(features: Tensor) -> float:
    return float((features - features.mean(dim=0)).square().sum(dim=1).mean().sqrt())


def _quantile(distances: Tensor) -> float:
    return float(torch.quantile(distances, _QUANTILE, interpolation="lower"))


def _plain(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None
