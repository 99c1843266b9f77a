"""What a protocol is: per fold the images, who is on them, and which are compared with which.

Readers (UFPR-Periocular, LFW, ``.bin``, CSV, ...) and makers give a :class:`Protocol`; a benchmark takes
one and needs to know nothing of the layout that it came from.

The units of comparison are *templates*, numbered 0..t - 1: single images in most protocols, sets of
images in those in the manner of IJB. ``identity`` says what makes a comparison mated (an eye, or a person
where both eyes count as one), ``subject`` who the person is. Two templates of one subject with different
identities are neither mated nor non-mated; a fold lists no such comparison unless it was published so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from typing import Protocol as Interface

import numpy as np

from syper_data.errors import InputError
from syper_data.imaging.source import Entry

Rows = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

BLOCK = 1_000_000  # comparisons a block


class Pictures(Interface):
    """Where a protocol's images lie: a folder, a table, a ``.bin`` file, a generator."""

    def read(self, names: Sequence[str]) -> Iterator[Entry]:
        """One entry a name, in the order of ``names``: the image, or why it could not be acquired.

        Raises:
            InputError: the copy does not hold a name at all (an incomplete copy is not a failure to
                acquire); the message names the first and says how many are missing.
        """
        ...


@dataclass(frozen=True)
class ListedComparisons:
    """Comparisons written out: template rows ``probe`` [m] and ``reference`` [m], and ``mated`` [m]; ``file`` is
    the list that they stand in, for messages."""

    probe: Rows
    reference: Rows
    mated: Bools
    file: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not len(self.probe) == len(self.reference) == len(self.mated):
            raise InputError(
                f"{len(self.probe)} probes, {len(self.reference)} references, {len(self.mated)} labels"
            )

    def blocks(self, fold: Fold, block: int = BLOCK) -> Iterator[tuple[Rows, Rows, Bools]]:
        """(probe, reference, mated) of at most ``block`` comparisons each."""
        for start in range(0, len(self.probe), block):
            part = slice(start, start + block)
            yield self.probe[part], self.reference[part], self.mated[part]


@dataclass(frozen=True)
class AllComparisons:
    """Every pair of templates i < j with equal ``group`` (the side, say), but for two identities of one
    subject. ``group`` is a label per template [t], or None: all with all."""

    group: Rows | None = None

    def blocks(self, fold: Fold, block: int = BLOCK) -> Iterator[tuple[Rows, Rows, Bools]]:
        """(probe, reference, mated) of about ``block`` comparisons each, by rows of probes."""
        n = len(fold.identity)
        rows = max(1, block // max(1, n))
        columns = np.arange(n)
        for start in range(0, n, rows):
            i = np.arange(start, min(start + rows, n))
            same = fold.identity[i][:, None] == fold.identity[None]
            compared = (i[:, None] < columns[None]) & (same | (fold.subject[i][:, None] != fold.subject[None]))
            if self.group is not None:
                compared &= self.group[i][:, None] == self.group[None]
            probe, reference = np.nonzero(compared)
            if len(probe):
                yield i[probe], reference, same[probe, reference]


Comparisons = ListedComparisons | AllComparisons


@dataclass(frozen=True)
class Identification:
    """Searches: every ``probe`` row against all ``gallery`` rows (of templates)."""

    probe: Rows
    gallery: Rows


@dataclass(frozen=True)
class Fold:
    """One fold: templates, their labels, and what is compared.

    ``images`` are names that the protocol's :class:`Pictures` know, each once. ``members`` are rows of
    ``images``, template after template; template k has ``members[starts[k]:starts[k + 1]]`` (both None: one
    image a template, in order). ``media`` [len(members)] number the media within a template (frames of one
    video are averaged first). ``identity`` and ``subject`` [t] are codes; ``subject_names`` gives each
    code's id, by which it is known whom a recognizer was trained on, unless they are not ``named``: made up,
    because the lists name nobody. ``training`` are the ids of the people whom the fold gives for training and
    validation, where it says so.
    """

    name: str
    images: tuple[str, ...]
    identity: Rows
    subject: Rows
    subject_names: tuple[str, ...]
    comparisons: Comparisons
    identification: Identification | None = None
    members: Rows | None = None
    starts: Rows | None = None
    media: Rows | None = None
    training: frozenset[str] | None = None
    parts: tuple[Rows, ...] | None = None  # View 2: rows of the comparisons in each of the ten parts
    named: bool = True

    def __post_init__(self) -> None:
        t = len(self.images) if self.starts is None else len(self.starts) - 1
        if len(self.identity) != t or len(self.subject) != t:
            raise InputError(
                f"fold {self.name}: {t} templates have {len(self.identity)} identities and "
                f"{len(self.subject)} subjects"
            )
        if len(set(self.images)) != len(self.images):
            raise InputError(f"fold {self.name}: an image is listed twice")

    @property
    def templates(self) -> int:
        """How many templates there are."""
        return len(self.identity)

    def counts(self) -> tuple[int, int]:
        """Numbers of mated and of non-mated comparisons."""
        mated = total = 0
        for probe, _, same in self.comparisons.blocks(self):
            mated += int(same.sum())
            total += len(probe)
        return mated, total - mated

    def one_kind(self) -> str | None:
        """A sentence where only mated or only non-mated images, or those of one person, are compared, so that
        nothing can be measured."""
        mated, other = self.counts()
        people = len(set(self.subject.tolist()))
        if mated and other and people > 1:
            return None
        listed = isinstance(self.comparisons, ListedComparisons)
        where = f" of {self.comparisons.file}" if listed and self.comparisons.file else ""  # type: ignore[union-attr]
        way = "list both kinds, of several people" if listed else "take people with two images of an eye"
        return (
            f"fold {self.name}{where}: {mated} mated and {other} non-mated comparisons of {people} people: error "
            f"rates need both kinds; {way}"
        )

    def sha256(self) -> str:
        """A digest of images, labels, comparisons, searches and parts, whatever file they came from."""
        digest = hashlib.sha256()
        digest.update("\n".join(self.images).encode("utf-8"))
        for array in (self.identity, self.subject, self.members, self.starts, self.media):
            digest.update(b"-" if array is None else np.ascontiguousarray(array, "<i8").tobytes())
        columns = [hashlib.sha256() for _ in range(3)]  # each on its own: blocks of any size give the same
        for block in self.comparisons.blocks(self):
            for column, values in zip(columns, block, strict=True):
                column.update(np.ascontiguousarray(values, "<i8").tobytes())
        for column in columns:
            digest.update(column.digest())
        searched, parts = self.identification, self.parts
        for word, arrays in (
            ("searches", None if searched is None else (searched.probe, searched.gallery)),
            ("parts", parts),
        ):
            if arrays is not None:
                digest.update(f"{word} {[len(array) for array in arrays]}".encode())
                for array in arrays:
                    digest.update(np.ascontiguousarray(array, "<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Protocol:
    """A named protocol: its folds and where its images lie.

    ``spectrum`` is that of the images, None where they are mixed or nobody knows.
    """

    name: str
    dataset: str
    subset: str
    folds: tuple[Fold, ...]
    pictures: Pictures
    spectrum: str | None = None
    notes: tuple[str, ...] = ()
    source_files: dict[str, str] = field(default_factory=dict)  # list file -> SHA-256
