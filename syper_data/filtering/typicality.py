"""Typicality: how dense the real images lie about a synthetic one, in the embedder's own space.

The score is the mean cosine similarity to the k nearest real images, a k-nearest-neighbour density
(Loftsgaarden & Quesenberry 1965) on the sphere. An image that lies further from all real ones than real people
lie from each other looks like nobody: broken, or no eye. The threshold is set like those of quality: at most a
stated share of the real images, each searched among *other* people, may lie below it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.filtering.embedding_set import EmbeddingSet
from syper_data.filtering.search import Neighbours, search

Floats = np.ndarray[Any, np.dtype[np.float64]]

REASON = "untypical"


@dataclass(frozen=True)
class Typicality:
    """``score`` [n] of the synthetic images, ``threshold`` below which one is untypical, and how the
    threshold was found: ``real`` images, the share ``rate`` that may lie below it."""

    score: Floats
    threshold: float
    real: int
    rate: float
    neighbours: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the scores."""
        below = int((self.score < self.threshold).sum())
        return {
            "unit": "mean cosine similarity",
            "neighbours": self.neighbours,
            "threshold": self.threshold,
            "rate": self.rate,
            "real_images": self.real,
            "rejected": below,
        }


def typicality(
    synthetic: EmbeddingSet, reference: EmbeddingSet, *, neighbours: int = 5, rate: float = 0.005, threads: int = 1
) -> Typicality:
    """The density of ``reference`` at every synthetic image, and at its own images without their person.

    Raises:
        InputError: the reference names no people: second images of an eye would make it look denser.
        UsageError: too few real images for the rate.
    """
    if not reference.labelled:
        raise InputError(
            "--typicality: it must be known of every reference image whose it is; name the column with "
            "--columns subject=NAME"
        )
    beyond = math.floor(rate * len(reference) + 1e-9)
    if beyond < 1:
        raise UsageError(
            f"--typicality: {len(reference)} real images are too few for a false-rejection rate of {rate:g} (at "
            f"least {math.ceil(1 / rate)})"
        )
    found = search(synthetic.vectors, reference.vectors, neighbours, threads=threads)
    real = search(
        reference.vectors,
        reference.vectors,
        neighbours,
        query_groups=reference.people,
        reference_groups=reference.people,
        threads=threads,
    )
    among = np.sort(_mean(real))
    return Typicality(_mean(found), float(among[beyond]), len(reference), rate, neighbours)


def _mean(found: Neighbours) -> Floats:
    """Mean similarity of the neighbours that there are; -1 where there is none."""
    values = found.similarity.astype(np.float64)
    there = np.isfinite(values)
    count = there.sum(axis=1)
    mean: Floats = np.where(count > 0, np.where(there, values, 0).sum(axis=1) / np.maximum(count, 1), -1.0)
    return mean
