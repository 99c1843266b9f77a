"""One network's view of an audit: its embeddings of all sets, checked, and what its searches give."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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

    The ``*_mirrored`` sets are the same images, mirrored before they were embedded; with them every image
    is searched in both orientations and the better one counts, in the calibration as well.
    ``identities`` are digests of the people the network was trained on, None where nobody knows. ``embed``
    turns a list of uint8 images [h, w, 3], canonical orientation, into vectors [n, d] of this network.
    """

    synthetic: Given
    reference: Given
    calibration: Given | None = None
    synthetic_mirrored: Given | None = None
    reference_mirrored: Given | None = None
    calibration_mirrored: Given | None = None
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
    synthetic_mirrored: EmbeddingSet | None
    reference_mirrored: EmbeddingSet | None
    calibration_mirrored: EmbeddingSet | None
    identities: frozenset[str] | None
    embed: Embed | None

    @classmethod
    def of(cls, auditor: Auditor) -> Sets:
        """Open the sets.

        Raises:
            InputError: an empty set, another network's, other images in a mirrored set, calibration
                people who are unknown or in the reference.
            UsageError: mirrored images without the mirrored calibration.
        """
        names = ("synthetic", "reference", "calibration")
        opened: dict[str, EmbeddingSet | None] = {}
        for name in (*names, *(f"{n}_mirrored" for n in names)):
            given = getattr(auditor, name)
            opened[name] = None if given is None else EmbeddingSet.of(given, name.replace("_", " "))
        synthetic, reference = opened["synthetic"], opened["reference"]
        assert synthetic is not None
        assert reference is not None
        require_same_embedder(*(s.header for s in opened.values() if s is not None))
        for name in names:
            upright, mirrored = opened[name], opened[f"{name}_mirrored"]
            if mirrored is not None and upright is not None:
                require_same_images(upright, mirrored)
        if opened["synthetic_mirrored"] is not None:
            source = "reference" if opened["calibration"] is None else "calibration"
            if opened[f"{source}_mirrored"] is None and (opened["calibration"] or reference.labelled):
                raise UsageError(
                    f"the synthetic images are searched in both orientations, the {source} images in one: give "
                    f"{source}_mirrored, too, or the threshold would be too low"
                )
        if opened["calibration"] is not None:
            _check_calibration(opened["calibration"], reference)
        return cls(
            synthetic, reference, opened["calibration"], opened["synthetic_mirrored"],
            opened["reference_mirrored"], opened["calibration_mirrored"], auditor.identities, auditor.embed,
        )  # fmt: skip


def seen_people(subjects: Iterable[str | None], identities: frozenset[str] | None) -> list[str]:
    """Those of the subjects whose digests are among ``identities``, sorted."""
    if not identities:
        return []
    return sorted(s for s in set(subjects) if s is not None and knows(identities, s))


@dataclass(frozen=True)
class View:
    """What one network's searches gave; ``rows`` are the rows of the whole reference that it searched.

    ``nearest`` names rows of the whole reference. ``mirrored`` [n] says which orientation was nearer.
    ``centre`` is the similarity to the nearest identity's mean vector [n], None without labels.
    """

    sets: Sets
    rows: Rows
    reference: EmbeddingSet
    nearest: Neighbours
    mirrored: Bools
    centre: Similarities | None
    calibration: Calibration | None

    def top(self, upright: VectorBlocks, mirrored: VectorBlocks | None, settings: SearchSettings) -> Neighbours:
        """The nearest row of the whole reference, and its similarity, for other queries [n, 1]."""
        found, _ = _both(upright, mirrored, self.reference.vectors, 1, settings)
        return Neighbours(_named(found.rows, self.rows), found.similarity)


def look(sets: Sets, rows: Rows, settings: SearchSettings) -> View:
    """Search the synthetic images, and the calibration, in these rows of the reference."""
    reference = sets.reference if len(rows) == len(sets.reference) else sets.reference.take(rows)
    mirrored = None if sets.synthetic_mirrored is None else sets.synthetic_mirrored.vectors
    nearest, flipped = _both(sets.synthetic.vectors, mirrored, reference.vectors, settings.neighbours, settings)
    centre = None
    if reference.labelled:
        centre = nearest.similarity[:, 0]
        if int(reference.eyes.max()) + 1 < len(reference):
            centres = CentreBlocks(reference.vectors, reference.eyes)
            centre = _both(sets.synthetic.vectors, mirrored, centres, 1, settings)[0].similarity[:, 0]
    return View(
        sets, rows, reference, Neighbours(_named(nearest.rows, rows), nearest.similarity), flipped, centre,
        _calibrate(sets, reference, rows, settings),
    )  # fmt: skip


def _calibrate(sets: Sets, reference: EmbeddingSet, rows: Rows, settings: SearchSettings) -> Calibration | None:
    both = sets.synthetic_mirrored is not None
    if sets.calibration is not None:
        people = sets.calibration
        mirrored = sets.calibration_mirrored if both else None
        found, _ = _both(
            people.vectors, None if mirrored is None else mirrored.vectors, reference.vectors, 1, settings
        )
        return Calibration(found.similarity[:, 0].astype(np.float64), people.people, DISJOINT)
    if not reference.labelled:
        return None
    turned = sets.reference_mirrored.take(rows) if both and sets.reference_mirrored is not None else None
    found, _ = _both(
        reference.vectors,
        None if turned is None else turned.vectors,
        reference.vectors,
        1,
        settings,
        reference.people,
    )
    return Calibration(found.similarity[:, 0].astype(np.float64), reference.people, LEFT_OUT)


def _both(
    upright: VectorBlocks,
    mirrored: VectorBlocks | None,
    reference: VectorBlocks,
    k: int,
    settings: SearchSettings,
    groups: Rows | None = None,
) -> tuple[Neighbours, Bools]:
    """The neighbours of the orientation whose nearest one is nearer, and whether that is the mirrored."""
    found = settings.search(upright, reference, k, groups)
    if mirrored is None:
        return found, np.zeros(len(found.rows), bool)
    other = settings.search(mirrored, reference, k, groups)
    turned = other.similarity[:, 0] > found.similarity[:, 0]
    chosen = Neighbours(
        np.where(turned[:, None], other.rows, found.rows),
        np.where(turned[:, None], other.similarity, found.similarity),
    )
    return chosen, turned


def _named(found: Rows, rows: Rows) -> Rows:
    return np.where(found < 0, -1, rows[found])


def _check_calibration(calibration: EmbeddingSet, reference: EmbeddingSet) -> None:
    unknown = calibration.subjects.index(None) if None in calibration.subjects else None
    if unknown is not None:
        raise InputError(
            f"calibration row {unknown} ({calibration.source_ids[unknown]}) has no subject: who is in it must be "
            "known, since people are counted, not images; name the column with --columns subject=NAME"
        )
    shared = sorted(set(calibration.subjects) & set(reference.subjects) - {None}, key=str)
    if shared:
        raise InputError(
            f"{len(shared)} calibration subjects are in the reference (such as {shared[0]}): the calibration must "
            "be of other people"
        )
    known = {d for d in reference.digests if d is not None}
    same = [i for i, d in enumerate(calibration.digests) if d in known]
    if same:
        raise InputError(
            f"{len(same)} calibration images are in the reference, pixel for pixel (row {same[0]}, "
            f"{calibration.source_ids[same[0]]}): the calibration must be of other people"
        )
