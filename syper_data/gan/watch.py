"""Early warnings at every snapshot: is the generator collapsing, is it copying training crops?

Fakes and crops are compared in the adversary's ``spaces``: 16x16 pooled pixels and, where the adversary
has a frozen feature net, pooled maps of it, each dimension divided by its deviation over the crops. Of
several spaces the smaller figure counts: pixels see through blur and noise, features through a change of
colour.

``spread`` is the fakes' root mean square distance from their mean over the crops'. ``COLLAPSE``: below
half, most of the variety is gone. Measured on the faces that trained it, 1,000 crops and 200 fakes:
held-out crops 1.02, syper-vis-128-v1, whose eyes are far too alike, 0.54, the same at psi 0.7 0.43 and
at psi 0.3 0.20.

``nearest`` is the 10 % quantile of the fakes' distances to their nearest crops over the same quantile of
the crops' distances to their nearest crops of another subject (another crop, where no subject is known).
Measured as above: held-out crops of other faces 1.01, syper-vis-128-v1 1.01; training crops with noise of 8
levels 0.12, at half resolution 0.02, shifted by 3 pixels 0.60, tinted 0.25. ``COPYING`` lies between. It
is a quantile, not the median, because at most 1,000 crops are compared: of 10,000 they are a tenth, and
of a generator that only copies a tenth of the fakes is then caught. It finds copies of crops, not a
subject shown anew.
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
COLLAPSE, COPYING = 0.5, 0.75
WARN_FROM_KIMG = 4.0  # fakes start faint and alike
WARN_FROM_CROPS = 100  # fewer say nothing about spread or neighbours

_QUANTILE = 0.1
_SEED_START = 1_000_000  # not the seeds of the sheet


@dataclass(frozen=True)
class Space:
    """The crops in one space: deviations [d], scaled features [m, d], and their own figures."""

    scale: Tensor
    crops: Tensor
    spread: float
    nearest: float

    @classmethod
    def of(cls, features: Tensor, related: Tensor) -> Space:
        """``features`` [m, d] of crops; pairs in ``related`` bool [m, m] are not compared."""
        scale = features.std(dim=0).clamp_min(1e-6)
        crops = features / scale
        distances = torch.cdist(crops, crops).masked_fill(related, torch.inf)
        return cls(scale, crops, _spread(crops), _quantile(distances.min(dim=1).values))

    def compare(self, features: Tensor) -> tuple[float, float]:
        """``spread`` and ``nearest`` of fakes [n, d]; ``nearest`` is nan where crops have no neighbours."""
        fakes = features / self.scale
        closest = _quantile(torch.cdist(fakes, self.crops).min(dim=1).values)
        nearest = closest / self.nearest if 0 < self.nearest < float("inf") else float("nan")
        return _spread(fakes) / max(self.spread, 1e-12), nearest


@dataclass(frozen=True)
class Watch:
    """What is known of the crops: computed once a run, at the first snapshot."""

    spaces: tuple[Space, ...]

    @classmethod
    def of(cls, run: TrainingRun) -> Watch:
        """At most :data:`CROPS` crops, drawn by the recipe's seed."""
        rng = np.random.default_rng((run.recipe.seed, 7))
        rows = np.sort(rng.permutation(len(run.crops))[:CROPS])
        related = _same_subject([run.crops.subjects[i] for i in rows])
        return cls(tuple(Space.of(features, related) for features in run.spaces(run.crops.pixels[rows])))

    def look(self, run: TrainingRun) -> dict[str, Any]:
        """``spread``, ``nearest``, and ``warning`` (a text) if one is below its threshold."""
        fakes = run.spaces(run.samples(_keys(run, min(FAKES, 4 * len(run.crops)))))
        figures = [space.compare(features) for space, features in zip(self.spaces, fakes, strict=True)]
        spread, nearest = (min(values) for values in zip(*figures, strict=True))
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
