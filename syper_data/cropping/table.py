"""The Parquet files of a ``crops`` directory: its shards, with their failures, and the joined list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from syper_data.dataset.atomic import atomic_path
from syper_data.dataset.shards import ROW_GROUP, open_writer
from syper_data.errors import InputError, OutputError
from syper_data.imaging.source import SourceImage, Unreadable

FAILURES = "failures.parquet"
_FAILURE_KEY = b"syper_failures"

_COMMON: list[tuple[str, pa.DataType, str]] = [
    ("source_id", pa.string(), "string"),
    ("subject", pa.string(), "string"),
    ("side", pa.string(), "string"),
    ("spectrum", pa.string(), "string"),
    ("sample", pa.string(), "string"),
    ("seed", pa.int64(), "int64"),
    ("label", pa.int32(), "int32"),
]
_FACE: list[tuple[str, pa.DataType, str]] = [
    ("face", pa.int32(), "int32"),
    ("faces", pa.int32(), "int32"),
    ("landmarks", pa.list_(pa.list_(pa.float32())), "points"),
    ("inter_eye_distance", pa.float32(), "float32"),
    ("detection_score", pa.float32(), "float32"),
]
_EYE: list[tuple[str, pa.DataType, str]] = [
    ("iris_x", pa.float32(), "float32"),
    ("iris_y", pa.float32(), "float32"),
    ("iris_diameter", pa.float32(), "float32"),
    ("pupil_diameter", pa.float32(), "float32"),
]
_LAST: list[tuple[str, pa.DataType, str]] = [
    ("outside", pa.float32(), "float32"),
    ("pixel_sha256", pa.string(), "string"),
]


@dataclass(frozen=True)
class Failure:
    """What gave no crop: an entry of the source, or (``side``) one eye of it, and the reason; ``subject`` and
    ``sample`` are those that its crop would have had."""

    source_id: str
    side: str | None
    reason: str
    subject: str | None = None
    sample: str | None = None

    @classmethod
    def of(cls, image: SourceImage | Unreadable, side: str | None, reason: str) -> Failure:
        """A failure of an entry of the source, with its labels."""
        return cls(str(image.source_id), side, reason, image.subject, sample_of(image))


def sample_of(image: SourceImage | Unreadable) -> str | None:
    """The sample of an image's crops: what its ``sample`` column says, else its file's name without the
    ending. Rows of a table without file names, and generated images, which have a seed, have none."""
    if image.sample is not None:
        return image.sample
    if isinstance(image, SourceImage) and image.seed is not None:
        return None
    name = image.name or (None if "#" in str(image.source_id) else image.source_id)
    return None if name is None else PurePosixPath(name).stem


def crop_schema(one_eye: bool) -> pa.Schema:
    """The columns of a shard: of face crops, or of crops of images that show one eye."""
    columns = [*_COMMON, *(_EYE if one_eye else _FACE), *_LAST]
    points = {"_type": "List", "feature": {"_type": "List", "feature": {"dtype": "float32", "_type": "Value"}}}
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    for name, _, kind in columns:
        features[name] = points if kind == "points" else {"dtype": kind, "_type": "Value"}
    fields = [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    fields += [(name, kind) for name, kind, _ in columns]
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def write_crop_shard(path: Path, one_eye: bool, rows: Iterable[dict[str, Any] | Failure]) -> tuple[int, int]:
    """Write crops as one Parquet file, atomically; what failed goes into the same file's metadata,
    so that a shard which is there says all about its part of the source. Returns both counts."""
    schema = crop_schema(one_eye)
    count, failures = 0, []
    batch: list[dict[str, Any]] = []
    with atomic_path(path) as temporary:
        try:
            with open_writer(temporary, schema) as writer:
                for row in rows:
                    if isinstance(row, Failure):
                        failures.append(row)
                        continue
                    batch.append(row)
                    if len(batch) == ROW_GROUP:
                        writer.write_table(pa.Table.from_pylist(batch, schema))
                        count, batch = count + len(batch), []
                if batch or not count:
                    writer.write_table(pa.Table.from_pylist(batch, schema))
                    count += len(batch)
                listed = json.dumps([asdict(f) for f in failures])
                writer.add_key_value_metadata({_FAILURE_KEY.decode(): listed})
        except pa.ArrowException as error:
            raise OutputError(f"{path}: cannot be written: {str(error).splitlines()[0]}") from error
    return count, len(failures)


def read_crop_shard(path: Path, one_eye: bool) -> tuple[int, list[Failure]]:
    """Rows and failures of a shard.

    Raises:
        InputError: truncated, damaged, or with other columns.
    """
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(crop_schema(one_eye)):
                raise InputError(f"{path}: its columns are not those of this crop command")
            listed = json.loads((file.metadata.metadata or {}).get(_FAILURE_KEY, b"null"))
            return file.metadata.num_rows, [Failure(**entry) for entry in listed]
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: truncated or damaged ({(str(error).splitlines() or [''])[0]})") from error


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """The joined list: ``source_id``, ``side`` (null for the whole image), ``reason``, ``subject``, ``sample``."""
    schema = pa.schema([(f.name, pa.string()) for f in fields(Failure)])
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist([asdict(f) for f in failures], schema), temporary)


def read_failures(directory: str | Path) -> list[Failure]:
    """What gave no crop in a finished ``crops`` directory."""
    path = Path(directory) / FAILURES
    try:
        return [Failure(**row) for row in pq.read_table(path).to_pylist()]
    except (pa.ArrowException, OSError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({(str(error).splitlines() or [''])[0]})") from error
