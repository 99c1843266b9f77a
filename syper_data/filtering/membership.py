"""Membership inference: does a generator stay nearer to its training crops than to others?

The attacker's score of a crop is its similarity to the nearest synthetic image (Hilprecht et al. 2019, the
nearest-sample attack; its strength is read at low false-positive rates, Carlini et al. 2022). Training crops
are "mated", held-out crops of other people "non-mated": AUC 0.5 and TPR = FPR mean that nothing
shows. A weak attack that finds nothing proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError
from syper_data.filtering.auditor import Given, SearchSettings
from syper_data.filtering.embedding_set import EmbeddingSet
from syper_data.metrics.error_rates import OperatingPoint, Scores
from syper_data.metrics.intervals import Estimate, estimate
from syper_data.metrics.record import json_ready
from syper_data.recognition.embeddings import require_same_embedder

FPRS = (0.01, 0.001)


@dataclass(frozen=True)
class TprAtFpr:
    """Training crops that are recognised while at most ``fpr`` of the held-out ones are; None where the
    held-out people are too few to support it (rule of 3)."""

    fpr: float
    tpr: Estimate | None
    support: str
    note: str


@dataclass(frozen=True)
class Membership:
    """AUC and TPRs with 95 % intervals that resample the people of both sets."""

    auc: Estimate
    at: tuple[TprAtFpr, ...]
    train_images: int
    train_people: int
    held_out_images: int
    held_out_people: int
    synthetic_images: int
    embedder: str
    repeats: int
    seed: int
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        found: dict[str, Any] = json_ready(self)
        return found


def membership(
    synthetic: Given,
    train: Given,
    held_out: Given,
    *,
    fprs: tuple[float, ...] = FPRS,
    repeats: int = 500,
    threads: int = 1,
    seed: int = 0,
) -> Membership:
    """Nearest-synthetic similarity of training crops against that of held-out crops.

    A resample draws people of either set with all their crops. Where subjects are not known, every crop
    counts as a person of its own, which narrows the intervals.

    Raises:
        InputError: an empty set, another network's embeddings, a person or an image in both real sets.
    """
    found = EmbeddingSet.of(synthetic, "synthetic")
    first, second = EmbeddingSet.of(train, "training"), EmbeddingSet.of(held_out, "held-out")
    require_same_embedder(found.header, first.header, second.header)
    _disjoint(first, second)
    settings = SearchSettings(neighbours=1, threads=threads)
    near, far = (settings.search(crops.vectors, found.vectors, 1).similarity[:, 0] for crops in (first, second))
    scores = Scores(near, far)
    people = [int(s.people.max()) + 1 for s in (first, second)]
    points = [scores.operating_point(fpr, people[1]) for fpr in fprs]
    resampled: dict[Any, list[float]] = {"auc": [], **{fpr: [] for fpr in fprs}}
    rng = np.random.default_rng(seed)
    for _ in range(repeats):
        weights = [
            rng.multinomial(count, np.full(count, 1 / count))[s.people].astype(np.float64)
            for count, s in zip(people, (first, second), strict=True)
        ]
        sample = scores.weighted(*weights)
        resampled["auc"].append(sample.auc())
        for point in points:
            if point.threshold is not None:
                resampled[point.target].append(1 - sample.fnmr_at(point.target))
    auc = estimate(scores.auc(), resampled["auc"])
    at = tuple(_tpr(point, resampled[point.target]) for point in points)
    return Membership(
        auc, at, len(first), people[0], len(second), people[1], len(found), found.header.embedder_name,
        repeats, seed, _verdict(auc, at),
    )  # fmt: skip


def _tpr(point: OperatingPoint, resampled: list[float]) -> TprAtFpr:
    value = None if point.fnmr is None else estimate(1 - point.fnmr, resampled)
    note = point.note.replace("an FMR", "a false-positive rate").replace("comparisons", "held-out people")
    return TprAtFpr(point.target, value, point.support, note)


def _verdict(auc: Estimate, at: tuple[TprAtFpr, ...]) -> str:
    tails = [t for t in at if t.tpr is not None and t.tpr.low > t.fpr]
    if auc.low > 0.5 or tails:
        return (
            "Training crops are nearer to the synthetic images than held-out crops are, beyond chance: membership "
            "can be inferred to that degree."
        )
    return "No membership signal by this attack; stronger ones may find more."


def _disjoint(first: EmbeddingSet, second: EmbeddingSet) -> None:
    people = sorted({s for s in first.subjects if s is not None} & {s for s in second.subjects if s is not None})
    if people:
        raise InputError(f"{len(people)} people are in the training and the held-out set, such as {people[0]}")
    images = {d for d in first.digests if d is not None} & {d for d in second.digests if d is not None}
    if images:
        raise InputError(f"{len(images)} images are in the training and the held-out set")
