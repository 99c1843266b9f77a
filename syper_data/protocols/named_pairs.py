"""Pair lists in the manner of LFW: ``NAME i j`` for one person, ``NAME i NAME j`` for two.

Photo i of a person is ``NAME/NAME_000i.jpg`` (any ending); here it is known as ``NAME_000i``. Where the images
are eyes that ``syper-data crop`` cut out of the photos, a pair of faces becomes two pairs of eyes, left with left
and right with right, known as ``NAME_000i/image_left``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from syper_data.cropping.table import Failure
from syper_data.errors import InputError
from syper_data.imaging.source import SIDES, Labels
from syper_data.protocols.image_places import holds_table, image_pictures, open_source, photo_of
from syper_data.protocols.lists import check_name, checked_comparisons, coded, line_places, read_lines
from syper_data.protocols.pictures import FolderPictures, SourcePictures
from syper_data.protocols.protocol import Bools, Fold, ListedComparisons, Rows
from syper_data.protocols.reading import Request

Photo = tuple[str, int]  # person, number


@dataclass(frozen=True)
class NamedPairs:
    """A list as it stands: photos, each once and in order, and rows of them; ``header`` are the numbers in its
    first line, if that holds only numbers."""

    path: Path
    photos: tuple[Photo, ...]
    listed: ListedComparisons
    header: tuple[int, ...]
    again: int

    @property
    def names(self) -> list[str]:
        """The photos' names: ``NAME_0001``."""
        return [f"{person}_{number:04d}" for person, number in self.photos]

    def only(self, rows: Rows) -> NamedPairs:
        """These pairs, and the photos in them."""
        a, b = self.listed.probe[rows], self.listed.reference[rows]
        used, codes = np.unique(np.concatenate((a, b)), return_inverse=True)
        listed = ListedComparisons(codes[: len(a)], codes[len(a) :], self.listed.mated[rows], self.listed.file)
        return NamedPairs(self.path, tuple(self.photos[i] for i in used), listed, self.header, self.again)


def read_named_pairs(path: Path, repeated: str) -> NamedPairs:
    """Read a list of pairs.

    Raises:
        InputError: a line of another form, a pair with itself, a pair listed twice; the message names the line.
    """
    header: tuple[int, ...] = ()
    numbers: list[int] = []
    row: dict[Photo, int] = {}
    probe, reference, mated = [], [], []
    for number, values in read_lines(path):
        if not numbers and not header and len(values) < 3 and all(v.isdecimal() for v in values):
            header = tuple(map(int, values))
            continue
        left, right = _pair(values, f"{path}, line {number}")
        probe.append(row.setdefault(left, len(row)))
        reference.append(row.setdefault(right, len(row)))
        mated.append(left[0] == right[0])
        numbers.append(number)
    if not numbers:
        raise InputError(f"{path}: lists no pair")
    photos = sorted(row)
    order = np.empty(len(row), np.int64)
    order[[row[photo] for photo in photos]] = np.arange(len(row))
    names = [f"{person}_{number:04d}" for person, number in photos]
    a, b, same = order[probe], order[reference], np.array(mated)
    listed, again = checked_comparisons(line_places(path, numbers), names, a, b, same, repeated)
    return NamedPairs(path, tuple(photos), listed, header, again)


def _pair(values: list[str], place: str) -> tuple[Photo, Photo]:
    if len(values) not in (3, 4):
        raise InputError(f"{place}: {len(values)} values; must be NAME i j, or NAME i NAME j")
    person, other = values[0], values[0] if len(values) == 3 else values[2]
    first, second = values[1], values[-1]
    for name in (person, other):
        check_name(name, place)
        if "/" in name:
            raise InputError(f"{place}: {name[:80]!a} is no person's name")
    for text in (first, second):
        if not text.isdecimal() or len(text) > 6:
            raise InputError(f"{place}: {text[:40]!a} is no number of a photo")
    if len(values) == 4 and person == other:
        raise InputError(f"{place}: the label is wrong: {person} with {other}, written as two people")
    return (person, int(first)), (other, int(second))


def named_fold(
    request: Request, pairs: NamedPairs, name: str, parts: Sequence[Rows] | None, folders: Sequence[str]
) -> tuple[Fold, FolderPictures | SourcePictures, tuple[str, ...]]:
    """The fold of a list, over faces or over eyes cut out of them, and where the images lie."""
    remarks = (f"{pairs.again} comparisons are listed again",) if pairs.again else ()
    people = [person for person, _ in pairs.photos]
    if (request.images is None and request.root.is_dir()) or not holds_table(request.place):
        files = {n: f"{p}/{n}" for n, p in zip(pairs.names, people, strict=True)}
        subjects = dict(zip(files, people, strict=True))
        folder = image_pictures(request, folders, files=files, subjects=subjects)
        return _fold(name, pairs.names, people, people, pairs.listed, parts), folder, remarks
    source = open_source(request)
    if not any(entry.side for entry in source.labels()):
        faces = SourcePictures.named(source, photo_of)
        return _fold(name, pairs.names, people, people, pairs.listed, parts), faces, remarks
    said = "each listed pair of faces is two pairs of eyes: left with left, right with right"
    return _eyes(name, pairs, parts), SourcePictures.named(source, _eye_of), (*remarks, said)


def _eyes(name: str, pairs: NamedPairs, parts: Sequence[Rows] | None) -> Fold:
    """The fold over eyes: every comparison twice, once a side."""
    people = [person for person, _ in pairs.photos]
    return _fold(
        name,
        [f"{photo}/{side}" for photo in pairs.names for side in SIDES],
        [f"{person}/{side}" for person in people for side in SIDES],
        [person for person in people for _ in SIDES],
        ListedComparisons(
            _doubled(pairs.listed.probe),
            _doubled(pairs.listed.reference),
            np.repeat(pairs.listed.mated, len(SIDES)),
            pairs.listed.file,
        ),
        None if parts is None else [_doubled(part) for part in parts],
    )


def _fold(
    name: str,
    images: Sequence[str],
    identities: Sequence[str],
    subjects: Sequence[str],
    listed: ListedComparisons,
    parts: Sequence[Rows] | None,
) -> Fold:
    identity, _ = coded(identities)
    subject, subject_names = coded(subjects)
    chosen = None if parts is None else tuple(parts)
    return Fold(name, tuple(images), identity, subject, subject_names, listed, parts=chosen)


def _doubled(rows: Rows) -> Rows:
    """Row r becomes the rows of its two eyes, 2 r and 2 r + 1."""
    return (rows[:, None] * len(SIDES) + np.arange(len(SIDES))).ravel()


def _eye_of(labels: Labels | Failure) -> str | None:
    photo = photo_of(labels)
    return None if photo is None or labels.side is None else f"{photo}/{labels.side}"


def equal_parts(labels: Bools, count: int) -> tuple[Rows, ...]:
    """``count`` consecutive parts of the comparisons, as equal as can be."""
    return tuple(np.array_split(np.arange(len(labels)), count))
