"""Membership inference: does a generator stay nearer to its training crops than to others?

The attacker's score of a crop is its similarity to the nearest synthetic image (Hilprecht et al. 2019, the
nearest-sample attack; its strength is read at low false-positive rates, Carlini et al. 2022). Training crops
are "mated", held-out crops of other people "non-mated": AUC 0.5 and TPR = FPR mean that nothing
shows. A weak attack that finds nothing proves nothing.

A network that was trained on a person would tell that person's crops better than others': with several
networks each person is scored by one that was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.filtering.auditor import Auditor, SearchSettings, Sets
from syper_data.filtering.embedding_set import EmbeddingSet
from syper_data.filtering.overlap import split_reference
from syper_data.filtering.search import Rows
from syper_data.metrics.error_rates import OperatingPoint, Scores
from syper_data.metrics.intervals import Codes, Estimate, Floats, estimate
from syper_data.metrics.record import json_ready

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
    embedders: tuple[str, ...]
    repeats: int
    seed: int
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        found: dict[str, Any] = json_ready(self)
        return found


def membership(
    auditors: Sequence[Auditor],
    *,
    fprs: tuple[float, ...] = FPRS,
    repeats: int = 500,
    threads: int = 1,
    seed: int = 0,
) -> Membership:
    """Nearest-synthetic similarity of training crops against that of held-out crops.

    Each auditor's ``reference`` are the crops that the generator was trained on, its ``calibration`` such that
    it was not; the mirrored sets are not used. With several auditors each person is scored by one that was
    not trained on that person, and similarities count from the median of the held-out crops that the auditor
    scores, in units of what lies between it and their 90 % quantile. A resample draws people of either set
    with all their crops; training crops without subjects count as a person each, which narrows the intervals.

    Raises:
        InputError: an empty set, another network's embeddings, held-out crops without a subject, a person or an
            image in both real sets, a training crop whose person every auditor was trained on, an auditor
            to which no held-out crop falls.
        UsageError: no held-out crops.
    """
    sets = [Sets.of(auditor) for auditor in auditors]
    if any(s.calibration is None for s in sets):
        raise UsageError("membership inference compares training crops with crops held out: give a calibration")
    train, held_out = sets[0].reference, sets[0].calibration
    assert held_out is not None
    identities = [s.identities or frozenset() for s in sets]
    owners = [split_reference(crops.subjects, identities) for crops in (train, held_out)]
    near, far = _similarities(sets, owners, SearchSettings(neighbours=1, threads=threads))
    scores = Scores(near, far)
    people: list[Codes] = [crops.people for crops in (train, held_out)]
    counts = [int(codes.max()) + 1 for codes in people]
    points = [scores.operating_point(fpr, counts[1]) for fpr in fprs]
    resampled: dict[Any, list[float]] = {"auc": [], **{fpr: [] for fpr in fprs}}
    rng = np.random.default_rng(seed)
    for _ in range(repeats):
        weights = [
            rng.multinomial(count, np.full(count, 1 / count))[codes].astype(np.float64)
            for count, codes in zip(counts, people, strict=True)
        ]
        sample = scores.weighted(*weights)
        resampled["auc"].append(sample.auc())
        for point in points:
            if point.threshold is not None:
                resampled[point.target].append(1 - sample.fnmr_at(point.target))
    auc = estimate(scores.auc(), resampled["auc"])
    at = tuple(_tpr(point, resampled[point.target]) for point in points)
    return Membership(
        auc, at, len(train), counts[0], len(held_out), counts[1], len(sets[0].synthetic),
        tuple(s.synthetic.header.embedder_name for s in sets), repeats, seed, _verdict(auc, at),
    )  # fmt: skip


def _similarities(sets: Sequence[Sets], owners: Sequence[Rows], settings: SearchSettings) -> tuple[Floats, Floats]:
    """Of every training crop and every held-out crop: the similarity to the nearest synthetic image."""
    found = [np.zeros(len(owner)) for owner in owners]
    for number, one in enumerate(sets):
        mine = [np.flatnonzero(owner == number) for owner in owners]
        crops: list[EmbeddingSet | None] = [one.reference, one.calibration]
        for values, rows, every in zip(found, mine, crops, strict=True):
            if len(rows):
                assert every is not None
                values[rows] = settings.search(every.take(rows).vectors, one.synthetic.vectors, 1).similarity[:, 0]
        if len(sets) > 1 and len(mine[0]):
            if not len(mine[1]):
                raise InputError(
                    f"{one.synthetic.header.embedder_name} scores training crops and no held-out ones; give crops "
                    "of more held-out people"
                )
            middle, high = np.quantile(found[1][mine[1]], (0.5, 0.9))
            for values, rows in zip(found, mine, strict=True):
                values[rows] = (values[rows] - middle) / max(high - middle, 1e-6)
    return found[0], found[1]


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
