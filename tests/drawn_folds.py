"""Folds and vectors drawn at random: people as directions, images as noise around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from syper_data.protocols.protocol import AllComparisons, Comparisons, Fold, Identification


def unit(vectors: Any) -> Any:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def drawn_vectors(identity: Any, seed: int = 0, *, spread: float = 0.8, d: int = 16) -> Any:
    """One vector an image, around the direction of its identity; float32 of unit length."""
    rng = np.random.default_rng(seed)
    identity = np.asarray(identity)
    centres = rng.normal(size=(int(identity.max()) + 1, d))
    return unit(centres[identity] + spread * rng.normal(size=(len(identity), d)))


def drawn_fold(
    people: int = 12, images: int = 3, *, eyes: int = 2, comparisons: Comparisons | None = None,
    searches: bool = False, **more: Any,
) -> Fold:  # fmt: skip
    """``people`` with ``eyes`` identities each and ``images`` of an identity, all compared with all. With
    ``searches`` the first image of an identity is a reference and the others probes; the last fifth of
    the people have no reference."""
    identity = np.repeat(np.arange(people * eyes), images)
    subject = identity // eyes
    identification = None
    if searches:
        first = np.tile(np.arange(images) == 0, people * eyes)
        known = subject < people - people // 5
        identification = Identification(np.flatnonzero(~first), np.flatnonzero(first & known))
    return Fold(
        name="fold 1",
        images=tuple(f"{i}.png" for i in range(len(identity))),
        identity=identity,
        subject=subject,
        subject_names=tuple(f"person {i}" for i in range(people)),
        comparisons=comparisons or AllComparisons(),
        identification=identification,
        **more,
    )
