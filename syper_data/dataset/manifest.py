"""The manifest: the plan of a sampled dataset, all that is needed to make its images again.

It is written before the first image and never changed. Reading it is strict, since a manifest may
come from anywhere: every field is checked, and the shard names are computed, never trusted.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from syper_data.dataset.settings import SamplingSettings
from syper_data.errors import ConfigError, InputError

SCHEMA = "syper-manifest/1"
CLASSES = ("subject", "eye")  # what a class of a generator may be, of its training data
MAX_SEED = 2**32 - 1
MAX_ROWS = 1_000_000_000


@dataclass(frozen=True)
class Run:
    """Consecutive seeds ``start .. stop - 1`` under one label (None for unconditional)."""

    start: int
    stop: int
    label: int | None = None

    def __post_init__(self) -> None:
        for name in ("start", "stop"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigError(f"run {name} is {value!r}: must be a whole number")
        if not 0 <= self.start < self.stop <= MAX_SEED + 1:
            raise ConfigError(f"run {self.start}..{self.stop - 1}: seeds must lie in 0..{MAX_SEED}, at least one")
        label = self.label
        if label is not None and (isinstance(label, bool) or not isinstance(label, int) or label < 0):
            raise ConfigError(f"run label is {label!r}: must be a whole number >= 0 or null")

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class GeneratorIdentity:
    """Which generator made the images; ``sha256`` is that of the generator file.

    ``class_of`` says what a class was in the training data, where the file does: a ``subject`` or an ``eye``.
    """

    name: str
    sha256: str
    resolution: int
    z_dim: int
    c_dim: int
    spectrum: str
    class_of: str | None = None


@dataclass(frozen=True)
class Shard:
    """One planned Parquet file: entries ``start .. start + rows - 1`` of its plan, in which it is
    number ``index``."""

    index: int
    name: str
    start: int
    rows: int


@dataclass(frozen=True)
class Manifest:
    """The plan. ``environment`` is what the bytes depend on besides the settings.

    A top-up is a plan of its own: it names the plan it follows (``parent_sha256``, the digest of that
    file) and the number of its first shard, which continues the dataset's numbering.
    """

    toolkit: str
    generator: GeneratorIdentity
    runs: tuple[Run, ...]
    settings: SamplingSettings
    environment: Mapping[str, str]
    shard_rows: int
    parent_sha256: str | None = None
    first_shard: int = 0

    def __post_init__(self) -> None:
        if (self.parent_sha256 is None) != (self.first_shard == 0) or self.first_shard < 0:
            raise ConfigError(
                f"first_shard is {self.first_shard}: must be 0, and above 0 in a top-up, which names its parent"
            )
        if not self.runs:
            raise ConfigError("the manifest plans no image")
        if len(self) > MAX_ROWS:
            raise ConfigError(f"the manifest plans {len(self)} images, more than {MAX_ROWS}")
        by_label: dict[int | None, list[Run]] = {}
        for run in self.runs:
            by_label.setdefault(run.label, []).append(run)
        for label, runs in by_label.items():
            runs.sort(key=lambda r: r.start)
            for before, after in itertools.pairwise(runs):
                if after.start < before.stop:
                    of = "" if label is None else f" of label {label}"
                    raise ConfigError(f"seed {after.start}{of} occurs twice")
            if self.generator.c_dim == 0 and label is not None:
                raise ConfigError(f"label {label}: the generator is unconditional")
            if self.generator.c_dim and (label is None or label >= self.generator.c_dim):
                raise ConfigError(
                    f"label {'null' if label is None else label}: the generator has {self.generator.c_dim} classes"
                )
        if self.shard_rows < 1 or self.shard_rows % self.settings.block_size:
            raise ConfigError(
                f"shard_rows is {self.shard_rows}: must be a multiple of block_size {self.settings.block_size}"
            )

    def __len__(self) -> int:
        return sum(len(run) for run in self.runs)

    @cached_property
    def _offsets(self) -> list[int]:
        offsets = [0]
        for run in self.runs:
            offsets.append(offsets[-1] + len(run))
        return offsets

    def keys(self, start: int, stop: int) -> list[tuple[int, int | None]]:
        """The keys (seed, label) of manifest entries ``start .. stop - 1``."""
        keys: list[tuple[int, int | None]] = []
        at = bisect.bisect_right(self._offsets, start) - 1
        while start < stop:
            run, offset = self.runs[at], self._offsets[at]
            end = min(stop, offset + len(run))
            keys += [(run.start + i - offset, run.label) for i in range(start, end)]
            start, at = end, at + 1
        return keys

    @cached_property
    def shards(self) -> list[Shard]:
        """The planned shards in order."""
        total = len(self)
        count, first = -(-total // self.shard_rows), self.first_shard
        return [
            Shard(
                i,
                f"train-{first + i:05d}-of-{first + count:05d}.parquet",
                i * self.shard_rows,
                min(self.shard_rows, total - i * self.shard_rows),
            )
            for i in range(count)
        ]

    def to_json(self) -> bytes:
        """The file's bytes; equal plans give equal bytes."""
        content = {
            "schema": SCHEMA,
            "toolkit": self.toolkit,
            "generator": {k: v for k, v in asdict(self.generator).items() if v is not None},
            "runs": [asdict(run) for run in self.runs],
            "settings": self.settings.to_dict(),
            "environment": dict(sorted(self.environment.items())),
            "shard_rows": self.shard_rows,
            "shards": [{"name": s.name, "start": s.start, "rows": s.rows} for s in self.shards],
        }
        if self.parent_sha256 is not None:
            content |= {"parent_sha256": self.parent_sha256, "first_shard": self.first_shard}
        return (json.dumps(content, indent=2) + "\n").encode("utf-8")

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Manifest:
        """Read and check the bytes of a manifest; ``where`` names the file in messages.

        Raises:
            InputError: not JSON, another schema, a missing or wrong field, repeated keys.
        """
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not a readable manifest (not JSON)") from error
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            found = content.get("schema") if isinstance(content, dict) else None
            if str(found).startswith("syper-crops/"):
                raise InputError(f"{where}: these are crops of photos; only sampled datasets can be made again")
            raise InputError(f"{where}: schema is {found!r}, this toolkit reads {SCHEMA!r}")
        try:
            manifest = cls(
                toolkit=_text(content, "toolkit"),
                generator=_identity(_mapping(content, "generator")),
                runs=tuple(_runs(content)),
                settings=SamplingSettings.from_dict(_mapping(content, "settings")),
                environment={str(k): str(v) for k, v in _mapping(content, "environment").items()},
                shard_rows=_whole(content, "shard_rows"),
                parent_sha256=_digest(content, "parent_sha256") if "parent_sha256" in content else None,
                first_shard=_whole(content, "first_shard") if "first_shard" in content else 0,
            )
        except ConfigError as error:
            raise InputError(f"{where}: {error}") from error
        planned = [{"name": s.name, "start": s.start, "rows": s.rows} for s in manifest.shards]
        if content.get("shards") != planned:
            raise InputError(f"{where}: the listed shards do not follow from the runs and shard_rows")
        return manifest


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _mapping(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise ConfigError(f"{name} is missing or not a mapping")
    return value


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str) or not value or len(value) > 200 or not value.isprintable():
        raise ConfigError(f"{name} is missing or not a short text")
    return value


def _digest(content: Mapping[str, Any], name: str, of: str = "") -> str:
    digest = _text(content, name)
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ConfigError(f"{of}{name} is not 64 hexadecimal digits")
    return digest


def _whole(content: Mapping[str, Any], name: str) -> int:
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name} is {value!r}: must be a whole number")
    return value


def _identity(values: dict[str, Any]) -> GeneratorIdentity:
    digest = _digest(values, "sha256", "generator ")
    spectrum = _text(values, "spectrum")
    if spectrum not in ("vis", "nir"):
        raise ConfigError(f"generator spectrum is {spectrum!r}: must be vis or nir")
    numbers = {name: _whole(values, name) for name in ("resolution", "z_dim", "c_dim")}
    class_of = values.get("class_of")
    if class_of is not None and (class_of not in CLASSES or not numbers["c_dim"]):
        raise ConfigError(
            f"generator class_of is {class_of!r}: must be subject or eye, of a generator with classes"
        )
    return GeneratorIdentity(_text(values, "name"), digest, spectrum=spectrum, class_of=class_of, **numbers)


def _runs(content: Mapping[str, Any]) -> Iterator[Run]:
    runs = content.get("runs")
    if not isinstance(runs, list):
        raise ConfigError("runs is missing or not a list")
    for run in runs:
        if not isinstance(run, dict) or set(run) != {"start", "stop", "label"}:
            raise ConfigError("a run holds start, stop and label")
        yield Run(run["start"], run["stop"], run["label"])
