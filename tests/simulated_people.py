"""Simulated embeddings: a person is a direction, an eye a direction near it, an image one near the eye."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa

from syper_data.filtering.auditor import Auditor
from syper_data.filtering.overlap import audit_overlap
from syper_data.filtering.overlap_result import OverlapResult
from syper_data.recognition.embeddings import Embeddings

DIM = 24
NETWORK = "a" * 64


class People:
    """People of a seed; the same names give the same people."""

    def __init__(self, seed: int = 0, noise: float = 0.35, dim: int = DIM) -> None:
        self.seed, self.noise, self.dim = seed, noise, dim

    def eye(self, name: str) -> Any:
        digest = int(hashlib.sha256(f"{self.seed}/{name}".encode()).hexdigest()[:12], 16)
        return np.random.default_rng(digest).normal(size=self.dim)

    def images(self, names: list[str], images: int = 1, *, take: int = 0, **columns: Any) -> Embeddings:
        """``images`` images of one eye of each named person; another ``take`` gives other images."""
        repeated = [name for name in names for _ in range(images)]
        rng = np.random.default_rng([self.seed, take, len(names)])
        vectors = np.stack([self.eye(name) for name in repeated])
        vectors = vectors + self.noise * rng.normal(size=vectors.shape) * np.sqrt(1.0)
        return embeddings(vectors, subjects=repeated, tag=f"{self.seed}-{take}", **columns)


def embeddings(
    vectors: Any,
    *,
    subjects: list[Any] | None = None,
    labels: list[int] | None = None,
    tag: str = "x",
    network: str = NETWORK,
    name: str = "simulated",
) -> Embeddings:
    """Any vectors, normalised, with the columns of a file of embeddings."""
    vectors = np.asarray(vectors, np.float64)
    n = len(vectors)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"{tag}/{i}" for i in range(n)]
    digests = [hashlib.sha256(x.encode() + vectors[i].tobytes()).hexdigest() for i, x in enumerate(ids)]
    table = pa.table(
        {
            "source_id": ids,
            "subject": pa.array([None] * n if subjects is None else subjects, pa.string()),
            "side": ["image_left"] * n,
            "label": pa.array([None] * n if labels is None else labels, pa.int32()),
            "pixel_sha256": digests,
        }
    )
    return Embeddings(vectors, table, network, name)


def names(kind: str, count: int) -> list[str]:
    """Names of people: kind0, kind1, ..."""
    return [f"{kind}{i}" for i in range(count)]


def audit_alone(synthetic: Any, reference: Any, **given: Any) -> OverlapResult:
    """The audit by one network; what :class:`Auditor` holds is given by name, the rest are options."""
    own = {f.name: given.pop(f.name) for f in fields(Auditor) if f.name in given}
    return audit_overlap([Auditor(synthetic, reference, **own)], **given)
