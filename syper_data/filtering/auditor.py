"""One network's view of an audit: its embeddings of all sets, checked, and what its searches give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.filtering.embedding_set import CentreBlocks, EmbeddingSet, require_same_images
from syper_data.filtering.search import (
    QUERY_ROWS,
    REFERENCE_ROWS,
    Neighbours,
    Rows,
    Similarities,
    VectorBlocks,
    search,
)
from syper_data.filtering.threshold import DISJOINT, LEFT_OUT, Calibration
from syper_data.recognition.embeddings import Embeddings, require_same_embedder
from syper_data.recognition.recognizer_file import knows

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Embed = Callable[[list[Pixels]], Any]
Given = Embeddings | str | Path
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Auditor:
    """A network's embeddings of the sets of an audit, in memory or in files.

    ``reference_mirrored`` are the images of the reference, mirrored before they were embedded; with them every
    image, of the calibration as well, is searched among both and the nearer one counts.
    ``identities`` are digests of the people the network was trained on, None where nobody knows. ``embed``
    turns a list of uint8 images [h, w, 3], canonical orientation, into vectors [n, d] of this network.
    """

    synthetic: Given
    reference: Given
    calibration: Given | None = None
    reference_mirrored: Given | None = None
    identities: frozenset[str] | None = None
    embed: Embed | None = None


@dataclass(frozen=True)
class SearchSettings:
    """How the searches run; nothing of it changes a result but ``neighbours``."""

    neighbours: int = 5
    threads: int = 1
    query_rows: int = QUERY_ROWS
    reference_rows: int = REFERENCE_ROWS

    def __post_init__(self) -> None:
        for name in ("neighbours", "threads", "query_rows", "reference_rows"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}: at least 1")

    def search(
        self,
        queries: VectorBlocks,
        reference: VectorBlocks,
        k: int,
        groups: Rows | None = None,
        reference_groups: Rows | None = None,
    ) -> Neighbours:
        """:func:`~syper_data.filtering.search.search` with these settings."""
        return search(
            queries, reference, k, query_groups=groups,
            reference_groups=groups if reference_groups is None else reference_groups,
            threads=self.threads, query_rows=self.query_rows, reference_rows=self.reference_rows,
        )  # fmt: skip


@dataclass(frozen=True)
class Sets:
    """An auditor's sets, checked against each other."""

    synthetic: EmbeddingSet
    reference: EmbeddingSet
    calibration: EmbeddingSet | None
    reference_mirrored: EmbeddingSet | None
    identities: frozenset[str] | None
    embed: Embed | None

    @classmethod
    def of(cls, auditor: Auditor) -> Sets:
        """Open the sets.

        Raises:
            InputError: an empty set, another network's, other images in the mirrored reference, calibration
                people who are unknown or in the reference.
        """
        synthetic = EmbeddingSet.of(auditor.synthetic, "synthetic")
        reference = EmbeddingSet.of(auditor.reference, "reference")
        calibration, mirrored = (
            None if given is None else EmbeddingSet.of(given, role)
            for given, role in (
                (auditor.calibration, "calibration"),
                (auditor.reference_mirrored, "reference mirrored"),
            )
        )
        require_same_embedder(*(s.header for s in (synthetic, reference, calibration, mirrored) if s is not None))
        if mirrored is not None:
            require_same_images(reference, mirrored)
        if calibration is not None:
            _check_calibration(calibration, reference)
        return cls(synthetic, reference, calibration, mirrored, auditor.identities, auditor.embed)


def seen_people(subjects: Iterable[str | None], identities: frozenset[str] | None) -> list[str]:
    """Those of the subjects whose digests are among ``identities``, sorted."""
    if not identities:
        return []
    return sorted(s for s in set(subjects) if s is not None and knows(identities, s))


@dataclass(frozen=True)
class View:
    """What one network's searches gave; ``rows`` are the rows of the whole reference that it searched.

    ``reference`` and ``turned`` are these rows, upright and mirrored. ``nearest`` names rows of the whole
    reference, ``mirrored`` [n] says whether the mirrored image of that row was the nearer one. ``centre`` is
    the similarity to the nearest identity's mean vector [n], None without labels.
    """

    sets: Sets
    rows: Rows
    reference: EmbeddingSet
    turned: EmbeddingSet | None
    nearest: Neighbours
    mirrored: Bools
    centre: Similarities | None
    calibration: Calibration | None

    def top(self, queries: VectorBlocks, settings: SearchSettings) -> Neighbours:
        """The nearest row of the whole reference, and its similarity, for other queries [n, 1]."""
        turned = None if self.turned is None else self.turned.vectors
        found, _ = _both(queries, self.reference.vectors, turned, 1, settings)
        return Neighbours(_named(found.rows, self.rows), found.similarity)


def look(sets: Sets, rows: Rows, settings: SearchSettings) -> View:
    """Search the synthetic images, and the calibration, in these rows of the reference."""
    reference, turned = _taken(sets.reference, rows), _taken(sets.reference_mirrored, rows)
    assert reference is not None
    mirrored = None if turned is None else turned.vectors
    queries = sets.synthetic.vectors
    nearest, flipped = _both(queries, reference.vectors, mirrored, settings.neighbours, settings)
    centre = None
    if reference.labelled:
        centre = nearest.similarity[:, 0]
        if int(reference.eyes.max()) + 1 < len(reference):
            upright = CentreBlocks(reference.vectors, reference.eyes)
            other = None if mirrored is None else CentreBlocks(mirrored, reference.eyes)
            centre = _both(queries, upright, other, 1, settings)[0].similarity[:, 0]
    return View(
        sets, rows, reference, turned, Neighbours(_named(nearest.rows, rows), nearest.similarity), flipped, centre,
        _calibrate(sets, reference, mirrored, settings),
    )  # fmt: skip


def _taken(people: EmbeddingSet | None, rows: Rows) -> EmbeddingSet | None:
    return people if people is None or len(rows) == len(people) else people.take(rows)


def _calibrate(
    sets: Sets, reference: EmbeddingSet, mirrored: VectorBlocks | None, settings: SearchSettings
) -> Calibration | None:
    others = sets.calibration
    if others is not None:
        found, _ = _both(others.vectors, reference.vectors, mirrored, 1, settings)
        return Calibration(found.similarity[:, 0].astype(np.float64), others.people, DISJOINT)
    if not reference.labelled:
        return None
    found, _ = _both(reference.vectors, reference.vectors, mirrored, 1, settings, reference.people)
    return Calibration(found.similarity[:, 0].astype(np.float64), reference.people, LEFT_OUT)


def _both(
    queries: VectorBlocks,
    upright: VectorBlocks,
    mirrored: VectorBlocks | None,
    k: int,
    settings: SearchSettings,
    groups: Rows | None = None,
) -> tuple[Neighbours, Bools]:
    """The neighbours among the orientation that has the nearest one, and whether that is the mirrored."""
    found = settings.search(queries, upright, k, groups)
    if mirrored is None:
        return found, np.zeros(len(found.rows), bool)
    other = settings.search(queries, mirrored, k, groups)
    turned = other.similarity[:, 0] > found.similarity[:, 0]
    chosen = Neighbours(
        np.where(turned[:, None], other.rows, found.rows),
        np.where(turned[:, None], other.similarity, found.similarity),
    )
    return chosen, turned


def _named(found: Rows, rows: Rows) -> Rows:
    return np.where(found < 0, -1, rows[found])


def refuse_unnamed(calibration: Sequence[str | None], name: Callable[[int], str]) -> None:
    """Raise :class:`InputError` where a calibration image, called ``name(row)``, is of nobody known."""
    if None in calibration:
        raise InputError(
            f"calibration {name(calibration.index(None))} has no subject: who is in it must be known, since "
            "people are counted, not images; name the column with --columns subject=NAME, or give every "
            "person a folder of their own"
        )


def refuse_shared(calibration: Sequence[str | None], reference: Sequence[str | None]) -> None:
    """Raise :class:`InputError` where somebody is in both sets."""
    shared = sorted(set(calibration) & set(reference) - {None}, key=str)
    if shared:
        raise InputError(
            f"{len(shared)} calibration subjects are in the reference (such as {shared[0]}): the calibration must "
            "be of other people"
        )


def _check_calibration(calibration: EmbeddingSet, reference: EmbeddingSet) -> None:
    refuse_unnamed(calibration.subjects, lambda row: f"row {row} ({calibration.source_ids[row]})")
    refuse_shared(calibration.subjects, reference.subjects)
    known = {d for d in reference.digests if d is not None}
    same = [i for i, d in enumerate(calibration.digests) if d in known]
    if same:
        raise InputError(
            f"{len(same)} calibration images are in the reference, pixel for pixel (row {same[0]}, "
            f"{calibration.source_ids[same[0]]}): the calibration must be of other people"
        )
