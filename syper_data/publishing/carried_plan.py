"""What makes an exported folder verifiable: the dataset's plan and its completion record, or that of kept images.

With both at its root ``syper-data verify`` checks the folder like any dataset directory, here and after a
download. ``load_dataset`` reads the card's ``data_files`` and
leaves them alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from syper_data.dataset.atomic import output_errors, write_atomically
from syper_data.dataset.directory import COMPLETE, DATA, KEPT, MANIFEST, TOPUPS, DatasetDirectory, topup_path
from syper_data.dataset.kept import KeptRecord
from syper_data.dataset.lock import LOCK_NAME
from syper_data.dataset.manifest import sha256_hex
from syper_data.errors import LockedError, VerificationError

PLAN_FILES = (MANIFEST, COMPLETE, KEPT)


def carry_plans(dataset: DatasetDirectory, folder: Path) -> None:
    """Copy the manifest, the first file of an export, and the plans of top-ups.

    Raises:
        VerificationError: one was changed since it was read.
    """
    names = [MANIFEST, *(f"{TOPUPS}/{topup_path(folder, i).name}" for i in range(len(dataset.topups)))]
    for name, plan in zip(names, dataset.plans, strict=True):
        data = (dataset.path / name).read_bytes()
        if sha256_hex(data) != plan.sha256:
            raise VerificationError(f"{dataset.path / name}: was changed while it was exported")
        write_if_other(folder / name, data)


def carry_completion(dataset: DatasetDirectory, folder: Path, kept: KeptRecord | None) -> None:
    """Write the last file of an export, which says that all shards are there: a copy of the dataset's
    completion record or, since shards of kept images are others than it lists, the record of these."""
    name, other = (COMPLETE, KEPT) if kept is None else (KEPT, COMPLETE)
    (folder / other).unlink(missing_ok=True)
    write_if_other(folder / name, (dataset.path / name).read_bytes() if kept is None else kept.to_json())


@contextmanager
def no_stub(folder: Path) -> Iterator[None]:
    """Where an export fails before its first shard, remove the folder that it made for it."""
    fresh = not folder.exists()
    try:
        yield
    except LockedError:  # the folder is somebody else's by now
        raise
    except BaseException:
        if fresh and not any((folder / DATA).glob("*")):
            files = [folder / MANIFEST, folder / LOCK_NAME, *(folder / TOPUPS).glob("*.json")]
            for remove in (
                *(file.unlink for file in files),
                *(empty.rmdir for empty in (folder / DATA, folder / TOPUPS, folder)),
            ):
                with suppress(OSError):  # not there, or somebody else put something into it
                    remove()
        raise


def write_if_other(path: Path, content: bytes) -> None:
    """Write a file atomically; one that holds these bytes already stays as it is."""
    with output_errors(path):
        there = path.is_file() and path.read_bytes() == content
    if not there:
        write_atomically(path, content)
