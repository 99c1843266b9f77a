"""The dataset directory: manifest, shards, completion record, and how far it has come."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import write_atomically
from syper_data.dataset.manifest import Manifest, Shard, sha256_hex
from syper_data.errors import InputError, VerificationError

MANIFEST = "manifest.json"
COMPLETE = "complete.json"
DRIFT = "drift.json"
DATA = "data"
TOPUPS = "topups"
REJECTED = "rejected"  # in an export of kept images: the list of the others
KEPT = "kept.json"  # there, too, what it holds
COMPLETE_SCHEMA = "syper-complete/1"


@dataclass(frozen=True)
class ShardRecord:
    """What the completion record says of one shard."""

    name: str
    rows: int
    bytes: int
    sha256: str

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ShardRecord:
        """Read one entry; a :class:`KeyError`, :class:`TypeError` or :class:`ValueError` where it is none."""
        for name in ("rows", "bytes"):
            if type(values[name]) is not int or values[name] < 0:
                raise ValueError(f"{name} is {values[name]!r}: must be a whole number")
        return cls(str(values["name"]), values["rows"], values["bytes"], str(values["sha256"]))


@dataclass(frozen=True)
class Completion:
    """The record written last; ``drift`` lists environments accepted besides the manifest's,
    ``topups`` the digests of the top-ups' plans."""

    manifest_sha256: str
    shards: tuple[ShardRecord, ...]
    drift: tuple[dict[str, Any], ...] = ()
    topups: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """The file's bytes."""
        content = {
            "schema": COMPLETE_SCHEMA,
            "manifest_sha256": self.manifest_sha256,
            "rows": sum(s.rows for s in self.shards),
            "bytes": sum(s.bytes for s in self.shards),
            "shards": [asdict(s) for s in self.shards],
            "drift": list(self.drift),
            **({"topups": list(self.topups)} if self.topups else {}),
        }
        return (json.dumps(content, indent=2) + "\n").encode("utf-8")

    @classmethod
    def from_json(cls, data: bytes, where: str, schema: str = COMPLETE_SCHEMA) -> Completion:
        """Read and check; :class:`InputError` on anything unexpected."""
        try:
            content = json.loads(data)
            if content["schema"] != schema:
                raise InputError(f"{where}: schema is {content['schema']!r}, this toolkit reads {schema!r}")
            shards = tuple(ShardRecord.from_dict(s) for s in content["shards"])
            topups = tuple(str(digest) for digest in content.get("topups", ()))
            record = cls(
                str(content["manifest_sha256"]), shards, tuple(map(dict, content.get("drift", ()))), topups
            )
            totals = (content["rows"], content["bytes"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"{where}: not a readable completion record") from error
        if [type(n) for n in totals] != [int, int] or totals != (
            sum(s.rows for s in shards),
            sum(s.bytes for s in shards),
        ):
            raise InputError(f"{where}: the totals are not the sums over the shards")
        return record


@dataclass(frozen=True)
class Plan:
    """A plan on disk: the dataset's manifest, or that of a top-up."""

    manifest: Manifest
    sha256: str


@dataclass(frozen=True)
class PlannedShard:
    """A shard of a dataset: number ``index`` and rows ``start ..`` count over all plans, ``shard`` is
    what its own plan, number ``plan``, calls it."""

    index: int
    plan: int
    start: int
    shard: Shard
    manifest: Manifest

    @property
    def name(self) -> str:
        """The file's name."""
        return self.shard.name

    @property
    def rows(self) -> int:
        """How many images it holds."""
        return self.shard.rows

    def keys(self) -> list[tuple[int, int | None]]:
        """The keys (seed, label) of its rows."""
        return self.manifest.keys(self.shard.start, self.shard.start + self.shard.rows)


@dataclass(frozen=True)
class DatasetDirectory:
    """A dataset on disk, its plans read and checked: the manifest, then the top-ups in order."""

    path: Path
    manifest: Manifest
    manifest_sha256: str
    topups: tuple[Plan, ...] = ()

    @classmethod
    def open(cls, path: Path) -> DatasetDirectory:
        """Read ``path/manifest.json`` and ``path/topups``.

        Raises:
            InputError: no dataset there, or a plan that does not pass the checks.
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
        manifest = Manifest.from_json(data, str(file))
        if manifest.parent_sha256 is not None:
            raise InputError(f"{file}: is the plan of a top-up, not of a dataset")
        return cls(path, manifest, sha256_hex(data), read_topups(path, Plan(manifest, sha256_hex(data))))

    @classmethod
    def create(cls, path: Path, manifest: Manifest) -> DatasetDirectory:
        """Write the manifest of a new dataset."""
        data = manifest.to_json()
        write_atomically(Path(path) / MANIFEST, data)
        return cls(Path(path), manifest, sha256_hex(data))

    def add_topup(self, manifest: Manifest) -> DatasetDirectory:
        """Write the plan of a top-up; it must follow the last plan."""
        data = manifest.to_json()
        plan = Plan(manifest, sha256_hex(data))
        file = topup_path(self.path, len(self.topups))
        require_follows(plan, self.plans, str(file))
        write_atomically(file, data)
        return replace(self, topups=(*self.topups, plan))

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The manifest and the top-ups, in order."""
        return (Plan(self.manifest, self.manifest_sha256), *self.topups)

    @cached_property
    def shards(self) -> list[PlannedShard]:
        """The planned shards of all plans, in order."""
        found: list[PlannedShard] = []
        rows = 0
        for number, plan in enumerate(self.plans):
            for shard in plan.manifest.shards:
                found.append(PlannedShard(len(found), number, rows, shard, plan.manifest))
                rows += shard.rows
        return found

    def keys(self) -> list[tuple[int, int | None]]:
        """The keys (seed, label) of all planned images, in order."""
        return [key for plan in self.plans for key in plan.manifest.keys(0, len(plan.manifest))]

    def __len__(self) -> int:
        """Planned images, of all plans."""
        return sum(len(plan.manifest) for plan in self.plans)

    def shard_path(self, shard: Shard | PlannedShard) -> Path:
        """Where a planned shard lies, or will lie."""
        return self.path / DATA / shard.name

    def missing_shards(self) -> list[PlannedShard]:
        """The planned shards that are not there yet."""
        return [s for s in self.shards if not self.shard_path(s).exists()]

    def unplanned_files(self) -> list[Path]:
        """Parquet files in ``data/`` that no plan lists."""
        planned = {s.name for s in self.shards}
        return sorted(p for p in (self.path / DATA).glob("*.parquet") if p.name not in planned)

    def completion(self) -> Completion | None:
        """The completion record, or None while the dataset is being made or topped up."""
        file = self.path / COMPLETE
        if not file.exists():
            return None
        if (self.path / KEPT).exists():
            raise VerificationError(
                f"{self.path}: has {COMPLETE} and {KEPT}: one of them belongs to another export"
            )
        record = Completion.from_json(file.read_bytes(), str(file))
        if record.manifest_sha256 != self.manifest_sha256:
            raise VerificationError(
                f"{file}: belongs to another manifest than {MANIFEST}: the manifest was edited"
            )
        digests = tuple(plan.sha256 for plan in self.topups)
        if record.topups != digests[: len(record.topups)]:
            raise VerificationError(f"{file}: belongs to other top-ups than those in {TOPUPS}: one was edited")
        if len(record.topups) < len(digests):
            return None
        planned = [(s.name, s.rows) for s in self.shards]
        if [(s.name, s.rows) for s in record.shards] != planned:
            raise VerificationError(f"{file}: does not list the shards that the manifest plans")
        return record

    def require_complete(self) -> Completion:
        """The completion record, or a :class:`InputError` that says how to finish the dataset."""
        record = self.completion()
        if record is None and (self.path / KEPT).exists():
            raise InputError(
                f"{self.path}: is an export of kept images only; give the dataset that it was made of, or make "
                "that again with sample --from-manifest"
            )
        if record is None and (self.path / REJECTED).is_dir():
            raise InputError(
                f"{self.path}: is an export of kept images without its {KEPT}: run the same export-hf command "
                "again, or download it again"
            )
        if record is None:
            left = self.missing_shards()
            base = any(s.plan == 0 for s in left) or not self.topups
            raise InputError(
                f"{self.path}: not complete ({len(left)} of {len(self.shards)} shards missing); "
                f"run the same {'sample' if base else 'top-up'} command again"
            )
        return record

    def complete(self, shards: tuple[ShardRecord, ...], drift: tuple[dict[str, Any], ...]) -> None:
        """Write the completion record, the last file of a dataset."""
        topups = tuple(plan.sha256 for plan in self.topups)
        write_atomically(self.path / COMPLETE, Completion(self.manifest_sha256, shards, drift, topups).to_json())


def topup_path(dataset: Path, index: int) -> Path:
    """The file of top-up number ``index``, counted from 0: ``topups/0001.json`` and so on."""
    return dataset / TOPUPS / f"{index + 1:04d}.json"


def read_topups(path: Path, first: Plan) -> tuple[Plan, ...]:
    """The plans in ``path/topups``, each checked against those before it.

    Raises:
        InputError: a file that is none of ours, a gap in the numbers, a plan that does not follow.
    """
    files = sorted(p for p in (path / TOPUPS).glob("*") if not p.name.startswith("."))
    plans = [first]
    for index, file in enumerate(files):
        if file != topup_path(path, index):
            raise InputError(f"{file}: is no plan of a top-up, or one before it is missing")
        try:
            data = file.read_bytes()
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror}") from error
        plan = Plan(Manifest.from_json(data, str(file)), sha256_hex(data))
        require_follows(plan, plans, str(file))
        plans.append(plan)
    return tuple(plans[1:])


def require_follows(plan: Plan, before: Sequence[Plan], where: str) -> None:
    """Raise :class:`InputError` unless ``plan`` is a top-up of the dataset that ``before`` plans."""
    manifest, first = plan.manifest, before[0].manifest
    if manifest.parent_sha256 != before[-1].sha256:
        raise InputError(f"{where}: does not follow the plan before it (parent_sha256 is another)")
    if manifest.first_shard != sum(len(p.manifest.shards) for p in before):
        raise InputError(f"{where}: first_shard is {manifest.first_shard}, which leaves a gap or an overlap")
    if manifest.generator != first.generator:
        raise InputError(f"{where}: another generator than the dataset's")
    if manifest.settings != first.settings:
        raise InputError(f"{where}: other settings than the dataset's")
    for label in {run.label for run in manifest.runs}:
        spans = sorted(
            (run.start, run.stop) for p in (*before, plan) for run in p.manifest.runs if run.label == label
        )
        for (_, stop), (start, _) in itertools.pairwise(spans):
            if start < stop:
                raise InputError(f"{where}: seed {start} is in the dataset already")
