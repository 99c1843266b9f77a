"""The record of an export of kept images: which shards it has, and the list of the keys that it leaves out.

Such an export carries the plan of the whole dataset. With this record it is known whether it is all there:
what is kept and what is rejected make up the plan, each key once.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from syper_data.dataset.directory import (
    COMPLETE,
    KEPT,
    REJECTED,
    TOPUPS,
    Completion,
    DatasetDirectory,
    ShardRecord,
)
from syper_data.errors import InputError, VerificationError

KEPT_SCHEMA = "syper-kept/1"
REJECTED_FILE = f"{REJECTED}/train-00000-of-00001.parquet"


@dataclass(frozen=True)
class KeptRecord:
    """``kept`` is as a completion record, of the export's own shards; ``rejected`` the file of the keys left out,
    None where none was."""

    kept: Completion
    rejected: ShardRecord | None

    def to_json(self) -> bytes:
        """The bytes of ``kept.json``."""
        content = json.loads(self.kept.to_json())
        content |= {"schema": KEPT_SCHEMA, "rejected": None if self.rejected is None else asdict(self.rejected)}
        return (json.dumps(content, indent=2) + "\n").encode("utf-8")

    @classmethod
    def from_json(cls, data: bytes, where: str) -> KeptRecord:
        """Read and check; :class:`InputError` on anything unexpected."""
        try:
            content = json.loads(data)
            rejected = None if content["rejected"] is None else ShardRecord.from_dict(content["rejected"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(f"{where}: not a readable record of kept images") from error
        if rejected is not None and rejected.name != REJECTED_FILE:
            raise InputError(f"{where}: the rejected keys lie in {rejected.name!r}, not in {REJECTED_FILE}")
        return cls(Completion.from_json(data, where, KEPT_SCHEMA), rejected)


def read_kept(dataset: DatasetDirectory) -> KeptRecord | None:
    """The record of an export of kept images; None where the folder is none.

    Raises:
        InputError: the record is unreadable, or names a file that is no shard of an export.
        VerificationError: it belongs to another plan.
    """
    file = dataset.path / KEPT
    if not file.is_file():
        return None
    record = KeptRecord.from_json(file.read_bytes(), str(file))
    if record.kept.manifest_sha256 != dataset.manifest_sha256:
        raise VerificationError(f"{file}: belongs to another manifest than the one beside it: one was edited")
    if record.kept.topups != tuple(plan.sha256 for plan in dataset.topups):
        raise VerificationError(f"{file}: belongs to other top-ups than those in {TOPUPS}: one was edited")
    if (dataset.path / COMPLETE).exists():
        raise VerificationError(
            f"{dataset.path}: has {COMPLETE} and {KEPT}: one of them belongs to another export"
        )
    count = len(record.kept.shards)
    if not count:
        raise InputError(f"{file}: lists no shard")
    if [s.name for s in record.kept.shards] != [shard_name(i, count) for i in range(count)]:
        raise InputError(f"{file}: its shards are not numbered as those of an export")
    return record


def shard_name(index: int, count: int) -> str:
    """The file of shard ``index`` of ``count`` in an export of kept images."""
    return f"train-{index:05d}-of-{count:05d}.parquet"
