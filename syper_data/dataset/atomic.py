"""Files that are there whole or not at all: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from syper_data.errors import OutputError

_TEMPORARY_SUFFIX = ".tmp"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``; renamed to it when the block ends, removed if it fails.

    Temporary names start with a dot and hold the process id, so that leftovers of a killed process
    are recognisable (:func:`remove_leftovers`).

    Raises:
        OutputError: the disk is full, the folder read-only, or a file stands where a folder must.
    """
    path = Path(path)
    temporary = path.parent / f".{path.name}.{os.getpid()}{_TEMPORARY_SUFFIX}"
    try:
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _fsync_file(temporary)
            temporary.replace(path)
            fsync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a whole file under its final name, or leave what was there."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` to fill; renamed to it when the block ends, removed if it
    fails. ``path`` must not be there: a folder that others may hold on to is never changed.

    Raises:
        OutputError: ``path`` exists, the disk is full, or the place can't be written.
    """
    path = Path(path)
    temporary = path.parent / f".{path.name}.{os.getpid()}{_TEMPORARY_SUFFIX}"
    with output_errors(path):
        if path.exists() or path.is_symlink():
            raise OutputError(f"{path}: is there already, and is not changed; choose another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
    try:
        with output_errors(path):
            yield temporary
            for file in sorted(temporary.rglob("*")):
                fsync_folder(file) if file.is_dir() else _fsync_file(file)
            fsync_folder(temporary)
            temporary.rename(path)
            fsync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fsync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> int:
    """Delete temporary files that a killed process left; call it only under the folder's lock."""
    leftovers = [p for p in folder.glob(f".*{_TEMPORARY_SUFFIX}") if p.is_file()]
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn an operating-system error while writing ``path`` into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise OutputError(f"{path}: cannot be written: {reason}") from error
