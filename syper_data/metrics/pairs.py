"""Scores of all comparisons within a set of embeddings, in blocks, or of listed ones.

*Mated*: two images of one identity (one eye of one person). *Non-mated*: images of two different
people. Two images of one person that show different eyes are neither, and are only counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.metrics.intervals import Codes

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Floats32 = np.ndarray[Any, np.dtype[np.float32]]

BLOCK = 2048  # rows and columns of the matrix of similarities that is in memory at once


@dataclass(frozen=True)
class PairScores:
    """Cosine similarities and whose they are; subjects are codes 0..``subjects`` - 1.

    ``independent`` counts the non-mated comparisons that are not repetitions of each other: distinct
    pairs of identities. It is an upper bound (pairs that share a person are correlated, too; the
    subject bootstrap accounts for that). ``drawn`` is the share of non-mated comparisons that was kept.
    """

    mated: Floats32
    mated_subject: Codes
    nonmated: Floats32
    first: Codes  # the two subjects of each non-mated comparison
    second: Codes
    subjects: int
    identities: int
    independent: int
    left_out: int  # comparisons of two eyes of one person
    drawn: float


def all_pairs(
    vectors: Vectors,
    identities: Any,
    subjects: Any,
    groups: Any = None,
    *,
    most_nonmated: int = 10_000_000,
    seed: int = 0,
    block: int = BLOCK,
) -> PairScores:
    """Every comparison i < j of L2-normalised ``vectors`` [n, d].

    ``identities``, ``subjects`` and ``groups`` are labels [n] (any dtype): eyes, people, and what must be
    equal for two images to be compared at all (the side, say). Above ``most_nonmated`` non-mated
    comparisons about that many are kept: which ones depends on the seed and the two row numbers alone.
    Memory: block^2 similarities and what is kept.
    """
    n = len(vectors)
    eye, person = _codes(identities, n), _codes(subjects, n)
    group = np.zeros(n, np.int64) if groups is None else _codes(groups, n)
    _one_person_an_eye(eye, person)
    total = _count_nonmated(person, group)
    drawn = min(1.0, most_nonmated / max(1, total))
    parts: list[tuple[Any, ...]] = []
    mated: list[tuple[Any, ...]] = []
    left_out = 0
    for a in range(0, n, block):
        for b in range(a, n, block):
            i, j = np.arange(a, min(a + block, n)), np.arange(b, min(b + block, n))
            compared = (i[:, None] < j[None]) & (group[i][:, None] == group[j][None])
            same_eye, same_person = eye[i][:, None] == eye[j][None], person[i][:, None] == person[j][None]
            left_out += int((compared & same_person & ~same_eye).sum())
            similarity = vectors[i] @ vectors[j].T
            rows, columns = np.nonzero(compared & same_eye)
            mated.append((similarity[rows, columns], person[i[rows]]))
            rows, columns = np.nonzero(compared & ~same_person)
            if drawn < 1:
                kept = _chosen(i[rows], j[columns], drawn, seed)
                rows, columns = rows[kept], columns[kept]
            parts.append((similarity[rows, columns], i[rows], j[columns]))
    scores, first, second = (np.concatenate([p[k] for p in parts]) for k in range(3))
    return PairScores(
        mated=np.concatenate([m[0] for m in mated]).astype(np.float32),
        mated_subject=np.concatenate([m[1] for m in mated]),
        nonmated=scores.astype(np.float32),
        first=person[first],
        second=person[second],
        subjects=int(person.max()) + 1,
        identities=int(eye.max()) + 1,
        independent=_distinct(eye[first], eye[second]),
        left_out=left_out,
        drawn=drawn,
    )


def listed_pairs(vectors: Vectors, first: Any, second: Any, identities: Any, subjects: Any) -> PairScores:
    """The comparisons of rows ``first`` [m] with rows ``second`` [m]; mated where the identities agree.

    Raises:
        InputError: a listed pair shows two eyes of one person.
    """
    n = len(vectors)
    eye, person = _codes(identities, n), _codes(subjects, n)
    _one_person_an_eye(eye, person)
    first, second = np.asarray(first, np.int64), np.asarray(second, np.int64)
    mated, one = eye[first] == eye[second], person[first] == person[second]
    if (one & ~mated).any():
        row = int(np.flatnonzero(one & ~mated)[0])
        raise InputError(f"pair {row} shows two eyes of one person: neither mated nor non-mated")
    scores = np.empty(len(first), np.float32)
    for start in range(0, len(first), BLOCK):
        rows = slice(start, start + BLOCK)
        scores[rows] = (vectors[first[rows]] * vectors[second[rows]]).sum(axis=1)
    other = ~mated
    used = np.unique(np.concatenate([first, second]))
    compact = np.unique(person[used], return_inverse=True)[1]
    code = np.zeros(n, np.int64)
    code[used] = compact
    return PairScores(
        mated=scores[mated],
        mated_subject=code[first[mated]],
        nonmated=scores[other],
        first=code[first[other]],
        second=code[second[other]],
        subjects=int(compact.max()) + 1,
        identities=len(np.unique(eye[used])),
        independent=_distinct(eye[first[other]], eye[second[other]]),
        left_out=0,
        drawn=1.0,
    )


def _codes(labels: Any, n: int) -> Codes:
    labels = np.asarray(labels)
    if labels.shape != (n,) or not n:
        raise UsageError(f"{n} vectors need {n} labels, not {list(labels.shape)}")
    codes: Codes = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    return codes


def _one_person_an_eye(eye: Codes, person: Codes) -> None:
    owner = np.full(int(eye.max()) + 1, -1, np.int64)
    owner[eye] = person
    wrong = np.flatnonzero(owner[eye] != person)
    if len(wrong):
        raise InputError(f"row {int(wrong[0])}: its identity has images of two people; an identity is one eye")


def _count_nonmated(person: Codes, group: Codes) -> int:
    total = 0
    for g in np.unique(group):
        counts = np.bincount(person[group == g])
        total += (int(counts.sum()) ** 2 - int(np.square(counts).sum())) // 2
    return total


def _chosen(i: Codes, j: Codes, share: float, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """True for about ``share`` of the pairs, by a hash of both rows (SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        x = (i.astype(np.uint64) << np.uint64(32)) ^ j.astype(np.uint64)
        x += np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return np.asarray(x < np.uint64(int(share * 2**64)))


def _distinct(a: Codes, b: Codes) -> int:
    """Number of distinct unordered pairs of codes."""
    if not len(a):
        return 0
    low, high = np.minimum(a, b), np.maximum(a, b)
    return len(np.unique(low * (int(high.max()) + 1) + high))
