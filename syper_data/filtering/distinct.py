"""The synthetic set against itself: near-duplicates, and with labels whether its identities hold.

*Likewise* decided per image: an image is like another where some other synthetic image reaches the
audit's identity threshold. Were all of them images of new people, at most fpir x max(1, (n - 1) / N) would (N
reference images; the chance of a match among n - 1 is at most (n - 1) / N times that among N).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.filtering.auditor import Bools, SearchSettings
from syper_data.filtering.embedding_set import CentreBlocks, EmbeddingSet
from syper_data.filtering.search import Rows, Similarities, Vectors
from syper_data.metrics.intervals import ClusteredProportion, Proportion, clustered_proportion, proportion

_BLOCK = 1024


@dataclass(frozen=True)
class Duplicates:
    """``nearest`` and ``similarity`` [n]: the most similar other synthetic image. ``duplicate_of`` [n]: the most
    similar *earlier, kept* image at or above the threshold, -1 where there is none: those are kept.
    ``expected`` is the largest share of images that are like another by chance, None if unknown."""

    threshold: float
    nearest: Rows
    similarity: Similarities
    duplicate_of: Rows
    like_another: Proportion
    expected: float | None

    def to_dict(self) -> dict[str, Any]:
        """Figures without the arrays."""
        return {
            "threshold": self.threshold,
            "like_another": self.like_another,
            "expected_at_most": self.expected,
            "duplicates": int((self.duplicate_of >= 0).sum()),
        }


@dataclass(frozen=True)
class LabelFigures:
    """``consistent``: pairs of images of one label that the network takes for one eye, interval over labels.
    ``unique``: labels whose mean vector is below the threshold to every other label's."""

    labels: int
    consistent: ClusteredProportion | None
    unique: Proportion
    median_to_centre: float


def duplicates(
    synthetic: EmbeddingSet,
    threshold: float,
    settings: SearchSettings,
    *,
    fpir: float | None = None,
    references: int | None = None,
) -> Duplicates | None:
    """Near-duplicates at a threshold on the cosine; None for a single image."""
    n = len(synthetic)
    if n < 2:
        return None
    own = np.arange(n)
    found = settings.search(synthetic.vectors, synthetic.vectors, 1, own)
    similarity = found.similarity[:, 0]
    expected = None
    if fpir is not None and references is not None:
        expected = min(1.0, fpir * max(1.0, (n - 1) / references))
    like = similarity >= threshold
    return Duplicates(
        threshold, found.rows[:, 0], similarity, _earlier(synthetic, threshold, like), proportion(like), expected
    )


def label_figures(
    synthetic: EmbeddingSet, threshold: float, settings: SearchSettings, *, most_per_label: int = 50
) -> LabelFigures | None:
    """Identity figures of a conditional set; None where an image has no label or all have the same.

    At most ``most_per_label`` images of a label, its first ones, are compared with each other.
    """
    labels = synthetic.table["label"].to_pylist()
    if None in labels or len(set(labels)) < 2:
        return None
    codes = np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64)
    centres = CentreBlocks(synthetic.vectors, codes)
    nearest = settings.search(centres, centres, 1, np.arange(len(centres)))
    order = np.argsort(codes, kind="stable")
    hits: list[Bools] = []
    owners: list[Rows] = []
    to_centre: list[Any] = []
    for code, rows in enumerate(np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)):
        own = synthetic.gather(rows[:most_per_label]).astype(np.float64)
        centre = own.mean(axis=0)
        to_centre.append(own @ (centre / max(np.linalg.norm(centre), 1e-12)))
        pairs = (own @ own.T)[np.triu_indices(len(own), 1)]
        hits.append(pairs >= threshold)
        owners.append(np.full(len(pairs), code))
    same = np.concatenate(hits)
    return LabelFigures(
        labels=len(centres),
        consistent=clustered_proportion(same, np.concatenate(owners)) if len(same) else None,
        unique=proportion(nearest.similarity[:, 0] < threshold),
        median_to_centre=float(np.median(np.concatenate(to_centre))),
    )


def _earlier(synthetic: EmbeddingSet, threshold: float, like: Bools) -> Rows:
    """The nearest earlier image that is kept, at or above the threshold; exact, in order of rows.

    Only images that are like some other one can be a duplicate, or have one.
    """
    duplicate_of = np.full(len(like), -1, np.int64)
    rows = np.flatnonzero(like)
    kept: list[Vectors] = []
    kept_rows: list[Rows] = []
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        vectors = synthetic.gather(some)
        best, found = np.full(len(some), -np.inf), np.full(len(some), -1, np.int64)
        for other, other_rows in zip(kept, kept_rows, strict=True):
            if not len(other):
                continue
            similarity = vectors @ other.T
            place = similarity.argmax(axis=1)
            value = similarity[np.arange(len(some)), place]
            better = value > best
            best[better], found[better] = value[better], other_rows[place[better]]
        within = vectors @ vectors.T
        keep = best < threshold
        for i in range(1, len(some)):  # in order: an image is compared with the kept ones before it
            earlier = np.flatnonzero(keep[:i])
            if len(earlier):
                place = earlier[within[i, earlier].argmax()]
                if within[i, place] > best[i]:
                    best[i], found[i] = within[i, place], some[place]
                keep[i] = best[i] < threshold
        duplicate_of[some[~keep]] = found[~keep]
        kept.append(vectors[keep])
        kept_rows.append(some[keep])
    return duplicate_of
