"""One writer a folder: an operating-system lock on an open file, which dies with its owner."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from syper_data.dataset.atomic import output_errors
from syper_data.errors import LockedError, OutputError

LOCK_NAME = ".lock"


@contextmanager
def folder_lock(folder: Path, *, forget: bool = False) -> Iterator[None]:
    """Hold ``folder`` (created if absent) for the length of the block.

    ``forget``: where the block fails, a folder that was created for it and holds nothing is removed again.

    Raises:
        LockedError: another process holds it, with that process's id.
        OutputError: the folder cannot be made or written.
    """
    folder = Path(folder)
    path = folder / LOCK_NAME
    new = not folder.exists()
    descriptor = _locked(folder, path)
    try:
        with output_errors(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        yield
    except BaseException:
        if forget and new:
            _remove_empty(folder, path)
        raise
    finally:
        os.close(descriptor)


def _locked(folder: Path, path: Path) -> int:
    """An open file that is locked and that lies at ``path``: not one that another process has just removed."""
    while True:
        with output_errors(folder):
            if folder.exists() and not folder.is_dir():
                raise OutputError(f"{folder}: is a file, not a folder")
            folder.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except FileNotFoundError:
                continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise LockedError(
                f"{folder}: another run (process {owner}) is writing here; wait for it to end"
            ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)


def _remove_empty(folder: Path, path: Path) -> None:
    with suppress(OSError):
        if list(folder.iterdir()) == [path]:
            path.unlink()
            folder.rmdir()
