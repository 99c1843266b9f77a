"""Where a protocol's images lie: below a folder, in a table, in a ``.bin`` file.

Each kind knows its images by the names that the protocol uses and gives them in the order asked for. What
a copy does not hold is an error that names the first and counts the rest; what is there and can't be
acquired (a damaged file, an eye that ``crop`` could not cut) is an ``Unreadable`` entry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from syper_data.cropping.table import FAILURES, Failure, read_failures
from syper_data.dataset.directory import MANIFEST
from syper_data.errors import InputError
from syper_data.imaging.codec import decode_rgb
from syper_data.imaging.hub_source import HUB
from syper_data.imaging.source import IMAGE_SUFFIXES, SIDES, Entry, ImageSource, Labels, SourceImage, Unreadable

KEY_FIELDS = ("subject", "side", "sample", "source_id", "name", "spectrum", "seed", "label")

Naming = Callable[[Labels | Failure], str | None]

_HELD, _MOST = 16 << 20, 1024  # bytes of encoded images, and images, that a table's reader holds at once
_DRIVE = re.compile(r"[A-Za-z]:")


def name_fault(name: str) -> str | None:
    """What is wrong with a name that is to be looked up in a folder, or None: absolute paths, those that
    lead out of it, and what is no path at all."""
    parts = name.split("/")
    if not name or "\\" in name or not name.isprintable() or _DRIVE.match(name):
        return f"{name[:80]!a} is no relative path of an image"
    if ".." in parts or name.startswith("/"):
        return f"{name[:80]!a} leaves the folder"
    return f"{name[:80]!a} is no plain path" if "" in parts or "." in parts else None


@dataclass(frozen=True)
class FolderPictures:
    """Image files below ``root / folder``.

    ``files`` maps a name to its path there; a name that is not in it is the path itself. A path without a
    file may stand for the same with an ending of an image. ``sides`` and ``subjects`` say, where it is known,
    which eye an image shows and whose. Links are followed as long as they end inside of the folder.
    """

    root: Path
    folder: str = ""
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    sides: Mapping[str, str] = field(default_factory=dict, repr=False)
    subjects: Mapping[str, str] = field(default_factory=dict, repr=False)
    spectrum: str | None = None

    @property
    def base(self) -> Path:
        """The folder that holds the files."""
        return self.root / self.folder

    def missing(self, names: Sequence[str]) -> list[str]:
        """The names without a file, in their order."""
        return [name for name in names if self._find(name) is None]

    def read(self, names: Sequence[str]) -> Iterator[Entry]:
        """One entry a name, in the order of ``names``.

        Raises:
            InputError: files are missing, or one lies outside of the folder.
        """
        lost = self.missing(names)
        _refuse_missing(self.base, [self.files.get(name, name) for name in lost], names)
        return (self._entry(name) for name in names)

    def _find(self, name: str) -> Path | None:
        path = self.base / self.files.get(name, name)
        if path.is_file():
            return path
        tried = (path.with_name(path.name + suffix) for suffix in IMAGE_SUFFIXES)
        return next((other for other in tried if other.is_file()), None)

    def _entry(self, name: str) -> Entry:
        path = self._find(name)
        if path is None:
            raise InputError(f"{self.base}: {name} was removed while it was read")
        base = os.path.realpath(self.base)
        if not os.path.realpath(path).startswith(base.rstrip(os.sep) + os.sep):
            raise InputError(f"{path}: a link out of {self.base}; give the folder that really holds the images")
        subject, side = self.subjects.get(name), self.sides.get(name)
        try:
            pixels = decode_rgb(path.read_bytes(), str(path))
        except OSError as error:
            return Unreadable(str(path), name, f"{path}: cannot be read: {error.strerror}", subject, side)
        except InputError as error:
            return Unreadable(str(path), name, str(error), subject, side)
        return SourceImage(
            pixels, str(path), subject=subject, side=side, spectrum=self.spectrum, source_id=name, name=name
        )


@dataclass(frozen=True)
class SourcePictures:
    """Images of an image source, known by their labels.

    In a ``crops`` directory the eyes of ``failures.parquet`` are there as well: ``Unreadable``, with the
    reason. ``rows`` and ``failures`` are what :meth:`of` or :meth:`named` found; ``sides`` says, where the
    source does not, which eye an image shows.
    """

    source: ImageSource
    rows: Mapping[str, int] = field(repr=False)
    failures: Mapping[str, Failure] = field(default_factory=dict, repr=False)
    sides: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, source: ImageSource, key: Sequence[str]) -> SourcePictures:
        """List a source; a name is the fields ``key``, of :data:`KEY_FIELDS`, joined with ``/``, and images
        without one of them have none.

        Raises:
            InputError: an unknown field, a damaged table, or two images of one name.
        """
        unknown = [name for name in key if name not in KEY_FIELDS]
        if unknown or not key:
            raise InputError(f"{source.path}: images can't be told apart by {unknown or 'nothing'}")
        return cls.named(source, lambda labels: joined(labels, key))

    @classmethod
    def named(cls, source: ImageSource, naming: Naming, sides: Mapping[str, str] | None = None) -> SourcePictures:
        """List a source; ``naming`` gives the name of an image, or None, from its labels.

        Raises:
            InputError: a damaged table, or two images of one name.
        """
        rows: dict[str, int] = {}
        for row, labels in enumerate(source.labels()):
            name = naming(labels)
            if name is not None and rows.setdefault(name, row) != row:
                raise InputError(f"{source.path}: images {rows[name]} and {row} are both {name}")
        failures: dict[str, Failure] = {}
        for lost in failures_of(source):
            name = naming(lost)
            if name is not None and name not in rows:
                failures[name] = lost
        return cls(source, rows, failures, sides or {})

    def missing(self, names: Sequence[str]) -> list[str]:
        """The names that are neither images nor failures, in their order."""
        return [name for name in names if name not in self.rows and name not in self.failures]

    def read(self, names: Sequence[str]) -> Iterator[Entry]:
        """One entry a name, in the order of ``names``; fastest where that is the source's.

        Raises:
            InputError: images are missing.
        """
        _refuse_missing(self.source.path, self.missing(names), names)
        return self._entries(names)

    def _entries(self, names: Sequence[str]) -> Iterator[Entry]:
        size = sum(t.bytes for t in self.source.tables) + sum(p.stat().st_size for p in self.source.pictures)
        many = int(min(_MOST, max(32, _HELD * len(self.source) // max(1, size))))
        for start in range(0, len(names), many):
            part = names[start : start + many]
            listed = sorted({self.rows[name] for name in part if name in self.rows})
            found = dict(zip(listed, self.source.take(listed), strict=True))
            for name in part:
                if name in self.rows:
                    entry = found[self.rows[name]]
                    yield replace(entry, name=name, side=entry.side or self.sides.get(name))
                else:
                    lost = self.failures[name]
                    where = self.source.path
                    yield Unreadable(where, lost.source_id, lost.reason, lost.subject, lost.side, name=name)


@dataclass(frozen=True)
class BinPictures:
    """Encoded images held in memory; ``images`` maps a name to the bytes of its file."""

    path: Path
    images: Mapping[str, bytes] = field(repr=False)

    def missing(self, names: Sequence[str]) -> list[str]:
        """The names that the file does not hold."""
        return [name for name in names if name not in self.images]

    def read(self, names: Sequence[str]) -> Iterator[Entry]:
        """One entry a name, in the order of ``names``."""
        _refuse_missing(self.path, self.missing(names), names)
        return (self._entry(name) for name in names)

    def _entry(self, name: str) -> Entry:
        where = f"{self.path}, image {name}"
        try:
            return SourceImage(decode_rgb(self.images[name], where), where, source_id=name, name=name)
        except InputError as error:
            return Unreadable(where, name, str(error))


def _refuse_missing(place: object, lost: Sequence[str], names: Sequence[str]) -> None:
    """:class:`InputError` where a copy does not hold all of ``names``."""
    if lost:
        raise InputError(
            f"{place}: {len(lost)} of {len(names)} images of the protocol are missing, the first is {lost[0]}"
        )


def joined(labels: Labels | Failure, key: Sequence[str]) -> str | None:
    """The name of an image: the fields of ``key`` joined with ``/``, None where one is missing."""
    values = [getattr(labels, name, None) for name in key]
    return None if None in values else "/".join(str(value) for value in values)


def failures_of(source: ImageSource) -> list[Failure]:
    """What a ``crops`` directory lists as not cut, eye by eye, a whole photo also as itself; else nothing."""
    made_by_crop = all((source.root / name).is_file() for name in (MANIFEST, FAILURES))
    lost = read_failures(source.root) if made_by_crop and not source.path.startswith(HUB) else []
    return [part for failure in lost for part in _eyes(failure)]


def _eyes(failure: Failure) -> list[Failure]:
    """What a failure lost: one eye, or, of a whole photo, the photo and both."""
    if failure.side is not None:
        return [failure]
    return [failure, *(replace(failure, side=side) for side in SIDES)]
