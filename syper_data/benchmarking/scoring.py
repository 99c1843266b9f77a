"""Scores of a fold: templates from the vectors of their images, and the cosine of every comparison.

A *template* is the mean of its media, each the mean of its frames, of unit length (media averaging, Klare et
al. 2015, IJB-A; Maze et al. 2018, IJB-C). An image that could not be acquired is a row of NaN; a template
fails if all of its images did. Comparisons with a failed template score ``FAILED``, which is below every
cosine: a mated one is a false non-match at every threshold, a non-mated one never a false match.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.metrics.identification import Searches, joined, searches
from syper_data.metrics.intervals import Bools
from syper_data.protocols.protocol import BLOCK, Fold, ListedComparisons, Rows

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Floats32 = np.ndarray[Any, np.dtype[np.float32]]
Rows32 = np.ndarray[Any, np.dtype[np.int32]]

FAILED = -2.0  # score of a comparison with a template that could not be acquired
MOST = 20_000_000  # comparisons whose scores are held in memory

_MATRIX = 16_000_000  # similarities in memory at once
_GATHERED = 512  # comparisons whose vectors are in memory at once
_FULL = 50  # a similarity in a product of matrices costs so much less than one of two vectors fetched
_LISTED = 8_000_000  # listed comparisons that are scored together
_LENGTH_TOLERANCE = 1e-2


@dataclass(frozen=True)
class FoldScores:
    """Scores in the order of the fold's comparisons: template rows ``probe`` [m] and ``reference`` [m],
    ``mated`` [m], ``score`` [m]; the rows of templates and of images that could not be acquired.

    ``searches``: what the fold's identification gave, a person's other eye left out of each search;
    ``searches_both_eyes``: with both eyes among the references, either of them a hit (``--paper-compat``).
    """

    probe: Rows32
    reference: Rows32
    mated: Bools
    score: Floats32
    failed_templates: Rows
    failed_images: Rows
    searches: Searches | None = None
    searches_both_eyes: Searches | None = None


Scored = tuple[Any, Any, Bools, Floats32]  # rows of probe and reference, mated, score


def score_fold(fold: Fold, vectors: Vectors, *, most: int = MOST) -> FoldScores:
    """Every comparison and search of ``fold``; ``vectors`` [images, d] are of unit length or all NaN.

    Raises:
        UsageError: more than ``most`` comparisons (use :func:`syper_data.benchmarking.figures.blocked_figures`).
        InputError: vectors that are not as said, with the first image's name.
    """
    templates = template_vectors(fold, vectors)
    blocks: list[tuple[Rows32, Rows32, Bools, Floats32]] = []
    count = 0
    for probe, reference, mated, score in score_blocks(fold, templates):
        count += len(probe)
        if count > most:
            raise UsageError(
                f"fold {fold.name}: more than {most} comparisons, whose scores are not held in memory; "
                "use blocked_figures, or fewer images"
            )
        blocks.append((probe.astype(np.int32), reference.astype(np.int32), mated, score))
    if not blocks:
        raise InputError(f"fold {fold.name}: has no comparison")
    return FoldScores(
        probe=np.concatenate([b[0] for b in blocks]),
        reference=np.concatenate([b[1] for b in blocks]),
        mated=np.concatenate([b[2] for b in blocks]),
        score=np.concatenate([b[3] for b in blocks]),
        failed_templates=np.flatnonzero(np.isnan(templates[:, 0])),
        failed_images=np.flatnonzero(np.isnan(vectors[:, 0])),
        searches=search_fold(fold, templates),
        searches_both_eyes=search_fold(fold, templates, both_eyes=True),
    )  # fmt: skip


def acquired_scores(scores: FoldScores) -> FoldScores:
    """The comparisons whose templates were both acquired, alone; no searches, no failures."""
    kept = scores.score > FAILED
    none = scores.failed_templates[:0]
    return FoldScores(
        scores.probe[kept], scores.reference[kept], scores.mated[kept], scores.score[kept], none, none
    )  # fmt: skip


def template_vectors(fold: Fold, vectors: Vectors) -> Vectors:
    """The unit vector of each template [t, d]; NaN where none of its images was acquired."""
    vectors = np.asarray(vectors)
    _check_vectors(fold, vectors)
    _check_rows(fold)
    if fold.members is None or fold.starts is None:
        return np.asarray(vectors, np.float32)
    acquired = ~np.isnan(vectors[:, 0])
    template = np.repeat(np.arange(fold.templates), np.diff(fold.starts))
    medium = np.arange(len(fold.members)) if fold.media is None else fold.media
    kept = acquired[fold.members]
    template, medium, rows = template[kept], medium[kept], fold.members[kept]
    order = np.lexsort((medium, template))
    template, medium, rows = template[order], medium[order], rows[order]
    new = np.ones(len(rows), bool)
    new[1:] = (template[1:] != template[:-1]) | (medium[1:] != medium[:-1])
    owner = template[new]
    templates = np.full((fold.templates, vectors.shape[1]), np.nan, np.float32)
    if not len(rows):
        return templates
    first = np.flatnonzero(new)
    sizes = np.diff(np.append(first, len(rows)))[:, None]
    means = np.add.reduceat(vectors[rows].astype(np.float64), first, axis=0) / sizes
    at = np.flatnonzero(np.diff(owner, prepend=-1))
    sums = np.add.reduceat(means, at, axis=0)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = np.where(length > 1e-12, sums / length, np.nan)  # images that cancel out say nothing
    templates[owner[at]] = unit
    return templates


def score_blocks(fold: Fold, templates: Vectors) -> Iterator[Scored]:
    """(probe, reference, mated, score) of all comparisons, some million at a time."""
    failed = np.isnan(templates[:, 0])
    filled = np.where(failed[:, None], np.float32(0), templates)
    listed = isinstance(fold.comparisons, ListedComparisons)
    for probe, reference, mated in fold.comparisons.blocks(fold, _LISTED if listed else BLOCK):
        score = _cosines(filled, probe, reference)
        score[failed[probe] | failed[reference]] = FAILED
        for start in range(0, len(probe), BLOCK):
            rows = slice(start, start + BLOCK)
            yield probe[rows], reference[rows], mated[rows], score[rows]


def search_fold(fold: Fold, templates: Vectors, *, both_eyes: bool = False) -> Searches | None:
    """Every probe against all references; None if the fold has no identification, or if ``both_eyes``
    would not change it (one identity a person)."""
    if fold.identification is None:
        return None
    probe, gallery = fold.identification.probe, fold.identification.gallery
    if not len(probe) or not len(gallery):
        raise InputError(f"fold {fold.name}: identification has {len(probe)} probes, {len(gallery)} references")
    used = np.concatenate([probe, gallery])
    eyes = len(np.unique(np.stack([fold.subject[used], fold.identity[used]]), axis=1).T)
    if both_eyes and eyes == len(np.unique(fold.subject[used])):
        return None
    label = fold.subject if both_eyes else fold.identity
    failed = np.isnan(templates[:, 0])
    filled = np.where(failed[:, None], np.float32(0), templates)
    parts = []
    step = max(1, _MATRIX // len(gallery) // 4)
    for start in range(0, len(probe), step):
        rows = probe[start : start + step]
        score = filled[rows] @ filled[gallery].T
        score[failed[rows]] = FAILED
        score[:, failed[gallery]] = FAILED
        other_eye = fold.subject[rows][:, None] == fold.subject[gallery][None]
        parts.append(searches(score, label[rows], label[gallery], left_out=other_eye, failed=FAILED))
    return joined(parts)


def _cosines(templates: Vectors, probe: Rows, reference: Rows) -> Floats32:
    """Products of matrices where the comparisons fill enough of them, else vector by vector."""
    rows, at = _used(probe, len(templates))
    columns, place = _used(reference, len(templates))
    score = np.empty(len(probe), np.float32)
    if len(rows) * len(columns) > _FULL * len(probe):
        for start in range(0, len(probe), _GATHERED):
            part = slice(start, start + _GATHERED)
            np.einsum("nd,nd->n", templates[probe[part]], templates[reference[part]], out=score[part])
        return score
    compared, step = templates[columns].T, max(1, _MATRIX // len(columns))
    if len(rows) <= step:
        return np.asarray((templates[rows] @ compared)[at, place], np.float32)
    order = np.argsort(at, kind="stable")
    cuts = np.searchsorted(at[order], np.arange(0, len(rows) + step, step))
    for tile, (low, high) in enumerate(itertools.pairwise(cuts)):
        chosen = order[low:high]
        product = templates[rows[tile * step : (tile + 1) * step]] @ compared
        score[chosen] = product[at[chosen] - tile * step, place[chosen]]
    return score


def _used(rows: Rows, count: int) -> tuple[Rows, Rows]:
    """The distinct ``rows`` in ascending order, and where each of ``rows`` stands among them."""
    used = np.zeros(count, bool)
    used[rows] = True
    return np.flatnonzero(used), (np.cumsum(used) - 1)[rows]


def _check_vectors(fold: Fold, vectors: Vectors) -> None:
    if vectors.ndim != 2 or len(vectors) != len(fold.images) or vectors.dtype.kind != "f":
        raise InputError(
            f"fold {fold.name}: {len(fold.images)} images need float vectors [images, d], not {vectors.dtype} "
            f"{list(vectors.shape)}"
        )
    with np.errstate(invalid="ignore"):
        length = np.linalg.norm(vectors, axis=1)
        wrong = ~np.isnan(vectors).all(axis=1) & ~(np.abs(length - 1) <= _LENGTH_TOLERANCE)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        what = f"has length {length[row]:.3g}" if np.isfinite(length[row]) else "holds NaN or infinity"
        raise InputError(
            f"fold {fold.name}: the vector of image {fold.images[row]} {what}; it must be of unit length, or all "
            "NaN if the image could not be acquired"
        )


def _check_rows(fold: Fold) -> None:
    """What is compared must exist; numpy would take a row of -1 for the last one."""
    listed, searched = fold.comparisons, fold.identification
    named = {"members": (fold.members, len(fold.images))}
    if isinstance(listed, ListedComparisons):
        named |= {"probe": (listed.probe, fold.templates), "reference": (listed.reference, fold.templates)}
    if searched is not None:
        named |= {"search": (searched.probe, fold.templates), "gallery": (searched.gallery, fold.templates)}
    for name, (rows, count) in named.items():
        if rows is not None and len(rows) and not (rows.min() >= 0 and rows.max() < count):
            wrong = int(rows[(rows < 0) | (rows >= count)][0])
            raise InputError(f"fold {fold.name}: {name} names row {wrong}, but there are {count}")
