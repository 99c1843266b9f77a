"""Protocols as published: a descriptor and a copy of the data give a :class:`Protocol`.

In: the name of a shipped descriptor (or a descriptor file) and the folder or file with the user's copy. Out:
the folds and where their images lie. Start at :func:`open_protocol`; each layout is a small module of
:mod:`~syper_data.protocols.formats`, which reads lists and opens no image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from syper_data.errors import ConfigError, InputError, UsageError
from syper_data.protocols.descriptor import Descriptor, find_descriptor
from syper_data.protocols.protocol import Fold, Pictures, Protocol

MERGING = ("ufpr",)  # the layouts in which both eyes can count as one identity


@dataclass(frozen=True)
class Request:
    """What a reader is given; ``folds`` are chosen ones, ``images`` where they lie besides ``root``."""

    descriptor: Descriptor
    root: Path
    images: Path | None
    folds: tuple[str, ...]
    merged: bool = False

    @property
    def place(self) -> Path:
        """Where the images lie."""
        return self.images if self.images is not None else self.root


@dataclass(frozen=True)
class Reading:
    """What a reader gives: ``lists`` are the files that it read."""

    folds: tuple[Fold, ...]
    pictures: Pictures
    lists: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


Reader = Callable[[Request], Reading]


def open_protocol(
    name: str | Path,
    root: str | Path | None = None,
    *,
    images: str | Path | None = None,
    folds: Sequence[str] | None = None,
    merged: bool = False,
) -> Protocol:
    """Read the protocol ``name`` from the copy of its data at ``root``.

    ``name`` is a shipped descriptor's, or the path of a descriptor file. ``images`` says where the images lie,
    if not with the lists: a folder, Parquet, a dataset directory. ``merged`` (UFPR-Periocular): a person's two
    eyes are one identity, and listed non-mated comparisons of one person's eyes are dropped.

    ``root`` may be left out where nobody's data are needed.

    Raises:
        UsageError: no such protocol or fold, no ``root``, or ``merged`` where there are no two eyes.
        InputError: a list is missing, damaged or contradictory; the message names file and line.
    """
    request = request_for(name, root, images=images, folds=folds, merged=merged)
    return protocol_of(request, read_request(request))


def protocol_of(request: Request, reading: Reading) -> Protocol:
    """What was read, under the descriptor's name."""
    descriptor = request.descriptor
    subset = f"{descriptor.subset}, both eyes merged" if request.merged else descriptor.subset
    return Protocol(
        name=descriptor.name,
        dataset=descriptor.dataset,
        subset=subset.strip(", "),
        folds=reading.folds,
        pictures=reading.pictures,
        spectrum=descriptor.spectrum,
        notes=tuple(dict.fromkeys((*descriptor.notes, *reading.notes))),
        source_files={_name_of(path, request.root): list_sha256(path) for path in reading.lists},
    )


def request_for(
    name: str | Path,
    root: str | Path | None = None,
    *,
    images: str | Path | None = None,
    folds: Sequence[str] | None = None,
    merged: bool = False,
) -> Request:
    """Check the arguments of :func:`open_protocol` and find the descriptor."""
    descriptor = find_descriptor(name)
    if merged and descriptor.reader not in MERGING:
        raise UsageError(f"{descriptor.name}: both eyes can be merged only in layouts of {', '.join(MERGING)}")
    asked = f"; the data: {' '.join(descriptor.ask.split())}" if descriptor.ask else ""
    if root is None and descriptor.reader != "generated":
        raise UsageError(f"{descriptor.name}: --root must say where the data lie{asked}")
    given = Path(root or "."), None if images is None else Path(images)
    for place in given:
        if place is not None and not place.exists():
            raise InputError(f"{place}: no such file or folder{asked}")
    return Request(descriptor, *given, descriptor.chosen(folds), merged)


def read_request(request: Request) -> Reading:
    """Have the descriptor's reader read the lists."""
    module = import_module(f"syper_data.protocols.formats.{request.descriptor.reader}")
    reader: Reader = module.read
    try:
        return reader(request)
    except ConfigError as error:
        raise InputError(f"{request.descriptor.path or request.descriptor.name}: {error}") from error


def list_sha256(path: Path) -> str:
    """SHA-256 of a list file, in hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _name_of(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
