"""Would the audit have seen a leak? Measured in every run, with what the run has.

First line: *another image of the same eye*, withheld from a labelled reference (1 - FNIR at the threshold).
Second line: *planted copies* of reference images. A reference without second images of an eye and
without images can prove less, and the result says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from syper_data.errors import UsageError
from syper_data.filtering.auditor import Bools, Pixels, SearchSettings, View
from syper_data.filtering.copies import COPY_KINDS, CopyKind, planted
from syper_data.filtering.decision import Rule, flagged_by
from syper_data.filtering.search import ArrayBlocks, Vectors, check_unit
from syper_data.metrics.intervals import ClusteredProportion, Codes, clustered_proportion

Images = Callable[[Sequence[int]], list[Pixels]]

MOST_IMAGES = 5000  # of eyes with second images
_AGREE = 0.98  # least median similarity of an image embedded again to its stored embedding
_BATCH = 64


@dataclass(frozen=True)
class SecondSamples:
    """Withheld images of reference eyes that are found at the threshold, intervals over people.

    ``found``: with all other images of the eye in the reference. ``found_by_one``: with one other image
    of it, over all pairs (1 - FNMR at the threshold). ``eyes`` with second images were used.
    """

    found: ClusteredProportion
    found_by_one: ClusteredProportion
    eyes: int


@dataclass(frozen=True)
class CopyRate:
    """Planted copies of one kind that are flagged, and of which the nearest row is the original."""

    kind: str
    description: str
    flagged: ClusteredProportion
    named: ClusteredProportion
    median_similarity: float  # to the nearest reference image


def second_samples(
    views: Sequence[View], thresholds: Sequence[float], *, most: int = MOST_IMAGES, seed: int = 0
) -> SecondSamples | None:
    """Each image of an eye that has several, searched among the others of its eye; None where no eye has.

    ``thresholds`` on the similarity, one a view. Eyes are drawn by ``seed`` until ``most`` images.
    """
    found: list[tuple[Bools, Codes, Bools, Codes]] = []
    eyes = 0
    for view, threshold in zip(views, thresholds, strict=True):
        if not view.reference.labelled:
            continue
        groups = _eyes_with_several(view.reference.eyes, most // len(views), seed)
        if groups:
            vectors = view.reference.gather(np.concatenate(groups))
            people = view.sets.reference.people[view.rows]
            found += _within_eyes(groups, vectors, people, threshold)
            eyes += len(groups)
    if not eyes:
        return None
    best, owner, single, single_owner = (np.concatenate([f[i] for f in found]) for i in range(4))
    return SecondSamples(clustered_proportion(best, owner), clustered_proportion(single, single_owner), eyes)


def copy_rates(
    views: Sequence[View],
    found: Sequence[Rule],
    images: Images,
    rows: Sequence[int],
    settings: SearchSettings,
    seed: int = 0,
    kinds: Sequence[CopyKind] = COPY_KINDS,
) -> tuple[CopyRate, ...]:
    """Plant copies of the reference rows, embed them with every view's network, and decide on them as on
    synthetic images; ``images`` gives the pixels of rows, canonical orientation.

    Raises:
        UsageError: an image embedded again is not near its stored embedding: other pixels, another
            orientation or another network.
    """
    pixels = images(rows)
    owners = np.asarray(views[0].sets.reference.people)[np.asarray(rows)]
    rates = []
    for kind in kinds:
        made = [planted(kind, image, row, seed) for image, row in zip(pixels, rows, strict=True)]
        tops = [view.top(_embedded(view, made, kind, rows), settings) for view in views]
        similarity = [top.similarity[:, 0].astype(np.float64) for top in tops]
        named = np.any([top.rows[:, 0] == np.asarray(rows) for top in tops], axis=0)
        flagged = flagged_by(found, similarity)
        median = float(np.median(np.max(similarity, axis=0)))
        rates.append(
            CopyRate(
                kind.name,
                kind.description,
                clustered_proportion(flagged, owners),
                clustered_proportion(named, owners),
                median,
            )
        )
    return tuple(rates)


def rows_to_plant(people: Codes, count: int, seed: int) -> list[int]:
    """``count`` rows of the reference, of as many different people as there are, drawn by ``seed``."""
    order = np.random.default_rng([seed, 7]).permutation(len(people))
    _, first = np.unique(people[order], return_index=True)
    rest = np.setdiff1d(np.arange(len(order)), first)
    return sorted(int(i) for i in order[np.concatenate([np.sort(first), rest])][:count])


def _embedded(view: View, images: list[Pixels], kind: CopyKind, rows: Sequence[int]) -> ArrayBlocks:
    """The copies' vectors."""
    made = _vectors(view, images)
    if kind.name == "unchanged":
        stored = view.sets.reference.gather(rows)
        agreement = float(np.median((made * stored).sum(axis=1)))
        if agreement < _AGREE:
            raise UsageError(
                f"reference images embedded again are at a median similarity of {agreement:.3f} to their stored "
                "embeddings: other images, another orientation or another network"
            )
    return ArrayBlocks(made, "planted copies")


def _vectors(view: View, images: list[Pixels]) -> Vectors:
    assert view.sets.embed is not None
    parts = [np.asarray(view.sets.embed(images[i : i + _BATCH])) for i in range(0, len(images), _BATCH)]
    return check_unit(np.concatenate(parts), "planted copies")


def _eyes_with_several(eyes: Codes, most: int, seed: int) -> list[Codes]:
    """Rows of each drawn eye, ascending."""
    order = np.argsort(eyes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(eyes[order])) + 1)
    several = [g for g in groups if len(g) > 1]
    drawn: list[Codes] = []
    count = 0
    for i in np.random.default_rng([seed, 3]).permutation(len(several)):
        if drawn and count + len(several[i]) > most:
            break
        drawn.append(several[i][:most])
        count += len(several[i])
    return drawn


def _within_eyes(
    groups: Sequence[Codes], vectors: Vectors, people: Codes, threshold: float
) -> list[tuple[Bools, Codes, Bools, Codes]]:
    found, start = [], 0
    for rows in groups:
        own = vectors[start : start + len(rows)].astype(np.float64)
        start += len(rows)
        similarity = own @ own.T
        pairs = similarity[np.triu_indices(len(rows), 1)]
        np.fill_diagonal(similarity, -np.inf)
        person = people[rows[0]]
        found.append(
            (
                similarity.max(axis=1) >= threshold,
                np.full(len(rows), person),
                pairs >= threshold,
                np.full(len(pairs), person),
            )
        )
    return found
