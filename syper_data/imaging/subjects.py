"""Which subjects a step takes: by a list in a file, or one half of all by a digest of their names.

The rule for a held-out share is in :mod:`syper_data.imaging.holdout`; it and the halves look at
different bits, so they are independent of each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from syper_data.errors import InputError, UsageError
from syper_data.imaging.holdout import T
from syper_data.imaging.source import SIDES, Entry, ImageSource, Labels, SourceImage, read_images

HALVES = (0, 1)
Named = TypeVar("Named", SourceImage, Labels, Entry)

_MOST_SHOWN = 60  # characters of a line in a message


def read_subjects(path: str | Path) -> frozenset[str]:
    """The subject ids in a UTF-8 text file, one a line; blank lines and lines that start with # are none.

    Raises:
        InputError: the file is unreadable or no text, names nobody, or a line is listed twice.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not a text file in UTF-8; give one subject id a line") from error
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        if not name.isprintable():
            raise InputError(f"{path}, line {number}: not a text file; give one subject id a line")
        if name in found:
            shown = name if len(name) <= _MOST_SHOWN else name[:_MOST_SHOWN] + "..."
            raise InputError(f"{path}, line {number}: {shown!r} is in line {found[name]} already")
        found[name] = number
    if not found:
        raise InputError(f"{path}: names no subject; give one id a line")
    return frozenset(found)


def only_subjects(images: Iterable[T], subjects: Iterable[str]) -> Iterator[T]:
    """The images whose subject is one of ``subjects``.

    Raises:
        InputError: an image without a subject, so that nobody can say whether it belongs.
    """
    wanted = frozenset(subjects)
    return (image for image in images if _subject(image) in wanted)


def half_of(subject: str) -> int:
    """0 or 1: the last bit of the SHA-256 of the subject's name in UTF-8.

    It is the last bit of the digest that a recognizer file keeps of the subject, so that anyone can
    see from the file which half a network was trained on.
    """
    return hashlib.sha256(subject.encode("utf-8")).digest()[-1] & 1


def one_half(images: Iterable[T], half: int) -> Iterator[T]:
    """The images of the subjects in one half, 0 or 1.

    Raises:
        UsageError: another half.
        InputError: an image without a subject.
    """
    if isinstance(half, bool) or half not in HALVES:
        raise UsageError(f"--subjects-half is {half!r}: must be 0 or 1")
    return (image for image in images if half_of(_subject(image)) == half)


def by_folder(images: Iterable[Named]) -> Iterator[Named]:
    """Pictures in folders, one folder a subject: ``001/a.png`` is of subject 001.

    A folder below it may name the side: ``001/image_right/a.png``. Images that name a subject already, and those
    that lie in no folder, come through as they are.
    """
    for image in images:
        folders = (image.source_id or "").split("/")[:-1]
        if image.subject is None and folders:
            side = next((folder for folder in folders[1:] if folder in SIDES), image.side)
            image = replace(image, subject=folders[0], side=side)
        yield image


def read_people(path: str | Path, columns: Mapping[str, str] | None = None) -> Iterator[SourceImage]:
    """:func:`read_images`; a folder of pictures names the subjects by its folders."""
    images = read_images(path, columns)
    return by_folder(images) if ImageSource.open(path, columns).pictures else images


def names_by_folder(source: ImageSource) -> bool:
    """Whether a source is pictures that all lie in a folder of somebody, or a side's folder in it; other and
    deeper folders may be anything. The columns ``{"subject": ""}`` say that the folders name nobody."""
    if not source.pictures or source.columns.get("subject") == "":
        return False
    places = {picture.relative_to(source.root).parts[:-1] for picture in source.pictures}
    return all(
        folders and folders[0] not in SIDES and (len(folders) == 1 or (len(folders) == 2 and folders[1] in SIDES))
        for folders in places
    )


def named_entries(source: ImageSource, start: int = 0, stop: int | None = None) -> Iterator[Entry]:
    """:meth:`ImageSource.read`, with the subjects that folders name."""
    entries = source.read(start, stop)
    return by_folder(entries) if names_by_folder(source) else entries


def _subject(image: T) -> str:
    if image.subject is None:
        raise InputError(
            f"{image.where}: no subject, so it can't be chosen by subject; "
            "name the column with --columns subject=..."
        )
    return image.subject
