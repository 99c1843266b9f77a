"""The plan of a ``crops`` dataset directory: written first, never changed, checked on reading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from syper_data.cropping.settings import CropSettings
from syper_data.errors import ConfigError, InputError

SCHEMA = "syper-crops/1"
MAX_ENTRIES = 100_000_000
GEOMETRY = {
    "template": "ArcFace, 112 px",
    "alignment": "similarity, least squares over the given points (Umeyama 1991)",
    "centre": "the eye landmark",
    "side": "inter-eye distance",
    "resampling": "once; bicubic, antialiased where reduced",
    "border": "reflected",
}
ONE_EYE_GEOMETRY = {
    "centre": "iris centre",
    "side": "iris_diameters iris diameters",
    "resampling": "once; bicubic, antialiased where reduced",
    "border": "reflected",
}


@dataclass(frozen=True)
class SourceIdentity:
    """What was cropped: the last part of its path, entries, a digest of its names and sizes, and,
    where it is a dataset directory, the SHA-256 of its manifest."""

    name: str
    entries: int
    listing_sha256: str
    manifest_sha256: str | None = None


@dataclass(frozen=True)
class CropShard:
    """One planned Parquet file: the crops of source entries ``start .. stop - 1``."""

    index: int
    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class CropManifest:
    """``landmarks`` identifies the detector (package, digest, runtime) or the landmark file."""

    toolkit: str
    source: SourceIdentity
    columns: Mapping[str, str]
    settings: CropSettings
    landmarks: Mapping[str, str]
    environment: Mapping[str, str]
    shard_entries: int

    def __post_init__(self) -> None:
        for name, value, high in (
            ("entries", self.source.entries, MAX_ENTRIES),
            ("shard_entries", self.shard_entries, MAX_ENTRIES),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
                raise ConfigError(f"{name} is {value!r}: must be a whole number in 1..{high}")

    @property
    def shards(self) -> list[CropShard]:
        """The planned shards in order."""
        total, size = self.source.entries, self.shard_entries
        count = -(-total // size)
        return [
            CropShard(i, f"train-{i:05d}-of-{count:05d}.parquet", i * size, min(total, (i + 1) * size))
            for i in range(count)
        ]

    def to_json(self) -> bytes:
        """The file's bytes; equal plans give equal bytes."""
        content = {
            "schema": SCHEMA,
            "kind": "crops",
            "toolkit": self.toolkit,
            "source": asdict(self.source),
            "columns": dict(sorted(self.columns.items())),
            "geometry": ONE_EYE_GEOMETRY if self.settings.one_eye else GEOMETRY,
            "settings": self.settings.to_dict(),
            "landmarks": dict(sorted(self.landmarks.items())),
            "environment": dict(sorted(self.environment.items())),
            "shard_entries": self.shard_entries,
        }
        return (json.dumps(content, indent=2) + "\n").encode("utf-8")

    @classmethod
    def read(cls, path: Path) -> CropManifest:
        """Read and check a manifest file; :class:`InputError` on anything unexpected."""
        try:
            content = json.loads(path.read_bytes())
            if not isinstance(content, dict) or content.get("schema") != SCHEMA:
                found = content.get("schema") if isinstance(content, dict) else None
                raise InputError(f"{path}: schema is {found!r}, crop writes {SCHEMA!r}")
            return cls(
                toolkit=str(content["toolkit"]),
                source=SourceIdentity(**content["source"]),
                columns=_texts(content["columns"]),
                settings=CropSettings.from_dict(content["settings"]),
                landmarks=_texts(content["landmarks"]),
                environment=_texts(content["environment"]),
                shard_entries=content["shard_entries"],
            )
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        except ConfigError as error:
            raise InputError(f"{path}: {error}") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: not a readable crop manifest") from error


def _texts(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in dict(value).items()}
