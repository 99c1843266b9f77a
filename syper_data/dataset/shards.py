"""Shards: Parquet files of images and keys, and the checks of one on reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from syper_data.dataset.atomic import atomic_path
from syper_data.errors import InputError, OutputError, VerificationError

ROW_GROUP = 100  # images; what the Hub's viewer and streaming read at once

_FEATURES = {
    "image": {"_type": "Image"},
    "seed": {"dtype": "int64", "_type": "Value"},
    "label": {"dtype": "int32", "_type": "Value"},
    "spectrum": {"dtype": "string", "_type": "Value"},
    "pixel_sha256": {"dtype": "string", "_type": "Value"},
}
SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("seed", pa.int64()),
        ("label", pa.int32()),
        ("spectrum", pa.string()),
        ("pixel_sha256", pa.string()),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


@dataclass(frozen=True)
class Row:
    """One image of a dataset: encoded bytes, key, and the SHA-256 of the pixels that were encoded."""

    image: bytes
    path: str
    seed: int
    label: int | None
    spectrum: str
    pixel_sha256: str


def write_shard(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as one Parquet file, atomically, with one row group of 100 in memory at a time."""
    with atomic_path(path) as temporary:
        try:
            with open_writer(temporary, SCHEMA) as writer:
                for batch in _batches(rows, ROW_GROUP):
                    writer.write_table(_table(batch), row_group_size=ROW_GROUP)
        except pa.ArrowException as error:
            raise OutputError(f"{path}: cannot be written: {str(error).splitlines()[0]}") from error


def open_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """The one way this toolkit writes image Parquet: page index, page checksums, content-defined
    chunks, and no compression of the image column, whose bytes are compressed already."""
    compression = {
        "image.bytes": "none",
        **dict.fromkeys(("image.path", *(n for n in schema.names if n != "image")), "zstd"),
    }
    return pq.ParquetWriter(
        path,
        schema,
        compression=compression,
        write_page_index=True,
        write_page_checksum=True,
        use_content_defined_chunking=True,
        use_dictionary=[n for n in ("spectrum",) if n in schema.names],
    )


def read_shard(
    path: Path, columns: Sequence[str] | None = None, *, schema: pa.Schema = SCHEMA
) -> Iterator[dict[str, Any]]:
    """The rows of a shard of this ``schema`` as dictionaries, a row group at a time.

    Raises:
        InputError: the file is truncated, damaged or has another schema.
    """
    file = open_shard(path, schema)
    try:
        for batch in file.iter_batches(ROW_GROUP, columns=list(columns) if columns else None):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a text that is none
        raise InputError(f"{path}: damaged ({str(error).splitlines()[0]})") from error


def open_shard(path: Path, schema: pa.Schema = SCHEMA) -> pq.ParquetFile:
    """Open a shard and check its footer and ``schema``; pages are checked against their checksums as
    they are read."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: truncated or damaged ({str(error).splitlines()[0]})") from error
    if not file.schema_arrow.equals(schema):
        raise InputError(f"{path}: its columns are not those of a dataset shard")
    return file


def check_shard(path: Path, keys: Sequence[tuple[int, int | None]]) -> None:
    """Raise :class:`InputError` unless the shard is undamaged, every page of it, and holds exactly
    these keys in this order."""
    file = open_shard(path)
    if file.metadata.num_rows != len(keys):
        raise InputError(f"{path}: {file.metadata.num_rows} rows, the manifest plans {len(keys)}")
    for row, (values, key) in enumerate(zip(read_shard(path), keys, strict=True)):
        if (values["seed"], values["label"]) != key:
            raise InputError(f"{path}, row {row}: key {(values['seed'], values['label'])}, planned {key}")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def require_recorded(path: Path, sha256: str, record: str, size: int | None = None) -> None:
    """Raise :class:`VerificationError` unless a file has the bytes that the file ``record`` says of it."""
    if not path.is_file():
        raise VerificationError(f"{path}: missing, though {record} lists it")
    found = path.stat().st_size
    if size is not None and found != size:
        raise VerificationError(f"{path}: {found} bytes, {record} says {size}: make or get it again")
    digest = file_sha256(path)
    if digest != sha256:
        raise VerificationError(
            f"{path}: SHA-256 {digest[:16]}..., {record} says {sha256[:16]}...: damaged or changed; "
            "make or get it again"
        )


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pydict(
        {
            "image": [{"bytes": r.image, "path": r.path} for r in rows],
            "seed": [r.seed for r in rows],
            "label": [r.label for r in rows],
            "spectrum": [r.spectrum for r in rows],
            "pixel_sha256": [r.pixel_sha256 for r in rows],
        },
        schema=SCHEMA,
    )
