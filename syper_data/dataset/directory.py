"""The dataset directory: manifest, shards, completion record, and how far it has come."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import write_atomically
from syper_data.dataset.manifest import Manifest, Shard, sha256_hex
from syper_data.errors import InputError, VerificationError

MANIFEST = "manifest.json"
COMPLETE = "complete.json"
DRIFT = "drift.json"
DATA = "data"
COMPLETE_SCHEMA = "syper-complete/1"


@dataclass(frozen=True)
class ShardRecord:
    """What the completion record says of one shard."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Completion:
    """The record written last; ``drift`` lists environments accepted besides the manifest's."""

    manifest_sha256: str
    shards: tuple[ShardRecord, ...]
    drift: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> bytes:
        """The file's bytes."""
        content = {
            "schema": COMPLETE_SCHEMA,
            "manifest_sha256": self.manifest_sha256,
            "rows": sum(s.rows for s in self.shards),
            "bytes": sum(s.bytes for s in self.shards),
            "shards": [asdict(s) for s in self.shards],
            "drift": list(self.drift),
        }
        return (json.dumps(content, indent=2) + "\n").encode("utf-8")

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Completion:
        """Read and check; :class:`InputError` on anything unexpected."""
        try:
            content = json.loads(data)
            if content["schema"] != COMPLETE_SCHEMA:
                raise InputError(
                    f"{where}: schema is {content['schema']!r}, this toolkit reads {COMPLETE_SCHEMA!r}"
                )
            shards = tuple(
                ShardRecord(str(s["name"]), int(s["rows"]), int(s["bytes"]), str(s["sha256"]))
                for s in content["shards"]
            )
            record = cls(str(content["manifest_sha256"]), shards, tuple(content.get("drift", ())))
            totals = (int(content["rows"]), int(content["bytes"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"{where}: not a readable completion record") from error
        if totals != (sum(s.rows for s in shards), sum(s.bytes for s in shards)):
            raise InputError(f"{where}: the totals are not the sums over the shards")
        return record


@dataclass(frozen=True)
class DatasetDirectory:
    """A dataset on disk, its manifest read and checked."""

    path: Path
    manifest: Manifest
    manifest_sha256: str

    @classmethod
    def open(cls, path: Path) -> DatasetDirectory:
        """Read ``path/manifest.json``.

        Raises:
            InputError: no dataset there, or a manifest that does not pass the checks.
        """
        path = Path(path)
        file = path / MANIFEST
        if not path.is_dir():
            raise InputError(f"{path}: no such folder")
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{path}: no dataset directory (it has no {MANIFEST})") from None
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror}") from error
        return cls(path, Manifest.from_json(data, str(file)), sha256_hex(data))

    @classmethod
    def create(cls, path: Path, manifest: Manifest) -> DatasetDirectory:
        """Write the manifest of a new dataset."""
        data = manifest.to_json()
        write_atomically(Path(path) / MANIFEST, data)
        return cls(Path(path), manifest, sha256_hex(data))

    def shard_path(self, shard: Shard) -> Path:
        """Where a planned shard lies, or will lie."""
        return self.path / DATA / shard.name

    def missing_shards(self) -> list[Shard]:
        """The planned shards that are not there yet."""
        return [s for s in self.manifest.shards if not self.shard_path(s).exists()]

    def unplanned_files(self) -> list[Path]:
        """Parquet files in ``data/`` that the manifest does not plan."""
        planned = {s.name for s in self.manifest.shards}
        return sorted(p for p in (self.path / DATA).glob("*.parquet") if p.name not in planned)

    def completion(self) -> Completion | None:
        """The completion record, or None while the dataset is being made."""
        file = self.path / COMPLETE
        if not file.exists():
            return None
        record = Completion.from_json(file.read_bytes(), str(file))
        if record.manifest_sha256 != self.manifest_sha256:
            raise VerificationError(
                f"{file}: belongs to another manifest than {MANIFEST}: the manifest was edited"
            )
        planned = [(s.name, s.rows) for s in self.manifest.shards]
        if [(s.name, s.rows) for s in record.shards] != planned:
            raise VerificationError(f"{file}: does not list the shards that the manifest plans")
        return record

    def require_complete(self) -> Completion:
        """The completion record, or a :class:`InputError` that says how to finish the dataset."""
        record = self.completion()
        if record is None:
            left = len(self.missing_shards())
            raise InputError(
                f"{self.path}: not complete ({left} of {len(self.manifest.shards)} shards missing); "
                "run the same sample command again"
            )
        return record

    def complete(self, shards: tuple[ShardRecord, ...], drift: tuple[dict[str, Any], ...]) -> None:
        """Write the completion record, the last file of a dataset."""
        write_atomically(self.path / COMPLETE, Completion(self.manifest_sha256, shards, drift).to_json())
