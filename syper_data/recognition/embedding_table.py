"""The file of embeddings: one Parquet table, a row an image, who embedded it in the metadata.

Columns: ``source_id, subject, side, spectrum, sample, seed, label, pixel_sha256`` and ``embedding``, a
fixed-size list of float32 of length 1. The metadata key ``syper_embeddings`` holds JSON with the recognizer's
name and SHA-256 (and, where known, its spectrum and the digests of the people it was trained on), the dimension,
and the images that gave no embedding, with reasons.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from syper_data.dataset.atomic import atomic_path
from syper_data.errors import InputError, OutputError

Vectors = np.ndarray[Any, np.dtype[np.float32]]

FORMAT_VERSION = 1
LENGTH_TOLERANCE = 1e-3  # a vector's length may differ from 1 by this
ROW_GROUP = 4096  # rows; 8 MB at 512 values
COLUMNS = pa.schema(
    [
        ("source_id", pa.string()),
        ("subject", pa.string()),
        ("side", pa.string()),
        ("spectrum", pa.string()),
        ("sample", pa.string()),
        ("seed", pa.int64()),
        ("label", pa.int32()),
        ("pixel_sha256", pa.string()),
    ]
)
PERSON_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{12}")  # whole, or short as in student files
_KEY = b"syper_embeddings"


@dataclass(frozen=True)
class NotEmbedded:
    """An image of the source that gave no embedding, and why in one line."""

    source_id: str
    reason: str


@dataclass(frozen=True)
class EmbeddingsHeader:
    """What a file says of itself, read without its rows.

    ``identities`` are the digests of the people that the recognizer was trained on (as its file holds them),
    None where that is not known, as in older files; ``spectrum`` is that of its images, where it is known.
    """

    rows: int
    dim: int
    embedder_name: str
    embedder_sha256: str
    unreadable: tuple[NotEmbedded, ...]
    identities: frozenset[str] | None = None
    spectrum: str | None = None


def conformed(table: pa.Table) -> pa.Table:
    """The columns of :data:`COLUMNS`, in that order and of those types; an absent one is null.

    Raises:
        InputError: an unknown column, or values of another kind.
    """
    strangers = [name for name in table.column_names if name not in COLUMNS.names]
    if strangers:
        raise InputError(f"unknown column {strangers[0]!r}; a table of embeddings has {', '.join(COLUMNS.names)}")
    try:
        columns = [
            table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
            for f in COLUMNS
        ]
    except (pa.ArrowException, KeyError) as error:
        raise InputError(f"its columns are not those of embeddings ({_first_line(error)})") from error
    return pa.Table.from_arrays(columns, schema=COLUMNS)


def check_vectors(vectors: Vectors, first_row: int = 0) -> None:
    """Refuse anything but finite float32 [n, d] of length 1.

    Raises:
        InputError: with the first row that is wrong.
    """
    if vectors.dtype != np.float32 or vectors.ndim != 2:
        raise InputError(f"embeddings are {vectors.dtype} {list(vectors.shape)}: must be float32 [n, d]")
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= LENGTH_TOLERANCE))  # (NaN is wrong, too)
    if len(wrong):
        row, length = first_row + int(wrong[0]), lengths[wrong[0]]
        what = f"has length {length:.4g}, not 1" if np.isfinite(length) else "holds values that are not finite"
        raise InputError(f"row {row}: the embedding {what}; embed the images again")


def write_table(path: Path, table: pa.Table, vectors: Vectors, header: EmbeddingsHeader) -> None:
    """Write a file of embeddings atomically; the same content gives the same bytes.

    Raises:
        OutputError: the disk is full or the folder read-only.
    """
    values = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).reshape(-1)), header.dim)
    embedder: dict[str, Any] = {"name": header.embedder_name, "sha256": header.embedder_sha256}
    if header.spectrum is not None:
        embedder["spectrum"] = header.spectrum
    if header.identities is not None:
        embedder["identities"] = sorted(header.identities)
    about = {
        "format": FORMAT_VERSION,
        "embedder": embedder,
        "dim": header.dim,
        "unreadable": [asdict(u) for u in header.unreadable],
    }
    whole = table.append_column("embedding", values).replace_schema_metadata({_KEY: json.dumps(about)})
    with atomic_path(path) as temporary:
        try:
            pq.write_table(
                whole,
                temporary,
                row_group_size=ROW_GROUP,
                compression={**dict.fromkeys(COLUMNS.names, "zstd"), "embedding.list.element": "none"},
                use_dictionary=["subject", "side", "spectrum", "label"],
                write_page_index=True,
                write_page_checksum=True,
            )
        except pa.ArrowException as error:
            raise OutputError(f"{path}: cannot be written: {_first_line(error)}") from error


def is_embeddings(path: str | Path) -> bool:
    """Whether a file says of itself that it holds embeddings; false for everything else, also absent."""
    try:
        return Path(path).is_file() and _KEY in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def read_header(path: Path) -> EmbeddingsHeader:
    """Check a file's columns and metadata.

    Raises:
        InputError: no such file, truncated, or no file of embeddings.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({_first_line(error)})") from error
    about = (schema.metadata or {}).get(_KEY)
    if about is None:
        raise InputError(
            f"{path}: no file of embeddings; syper-data embed makes one of a folder or file of images"
        )
    try:
        values = json.loads(about)
        version = values["format"]
        if version != FORMAT_VERSION:
            raise InputError(f"{path}: format version {version!r}, this toolkit reads {FORMAT_VERSION}")
        lost = tuple(NotEmbedded(str(u["source_id"]), str(u["reason"])) for u in values["unreadable"])
        dim, embedder = values["dim"], values["embedder"]
        name, sha256, spectrum = str(embedder["name"]), str(embedder["sha256"]), embedder.get("spectrum")
        identities = _identities(embedder.get("identities"))
        if spectrum not in (None, "vis", "nir"):
            raise ValueError(spectrum)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: its metadata say not what embedded it") from error
    wanted = COLUMNS.append(pa.field("embedding", pa.list_(pa.float32(), dim if isinstance(dim, int) else -1)))
    if schema.names != wanted.names or [f.type for f in schema] != [f.type for f in wanted]:
        raise InputError(f"{path}: its columns are not those of embeddings of {dim} values")
    return EmbeddingsHeader(rows, dim, name, sha256, lost, identities, spectrum)


def _identities(digests: object) -> frozenset[str] | None:
    if digests is None:
        return None
    if not isinstance(digests, list) or not all(
        isinstance(d, str) and PERSON_DIGEST.fullmatch(d) for d in digests
    ):
        raise ValueError("identities are no digests")
    return frozenset(digests)


def read_blocks(path: Path, header: EmbeddingsHeader, rows: int) -> Iterator[tuple[pa.Table, Vectors]]:
    """Columns and vectors, at most ``rows`` rows at a time, checked.

    Raises:
        InputError: damaged, or vectors that are null, not finite or not of length 1.
    """
    first = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(rows):
                yield _block(batch, header.dim, first, path)
                first += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}, after row {first}: damaged ({_first_line(error)})") from error
    if first != header.rows:
        raise InputError(f"{path}: {first} rows, its footer says {header.rows}")


def _block(batch: pa.RecordBatch, dim: int, first: int, path: Path) -> tuple[pa.Table, Vectors]:
    column = batch.column("embedding")
    values = column.flatten()
    if column.null_count or values.null_count:
        raise InputError(f"{path}, rows {first} to {first + len(batch) - 1}: an embedding is null")
    vectors: Vectors = values.to_numpy(zero_copy_only=False).reshape(-1, dim)
    try:
        check_vectors(vectors, first)
    except InputError as error:
        raise InputError(f"{path}, {error}") from None
    return pa.Table.from_batches([batch.select(COLUMNS.names)], COLUMNS), vectors


def joined(blocks: Iterable[tuple[pa.Table, Vectors]], header: EmbeddingsHeader) -> tuple[pa.Table, Vectors]:
    """All blocks of a file, one below the other."""
    vectors = np.empty((header.rows, header.dim), np.float32)
    tables, first = [COLUMNS.empty_table()], 0
    for table, block in blocks:
        tables.append(table)
        vectors[first : first + len(block)] = block
        first += len(block)
    return pa.concat_tables(tables).combine_chunks(), vectors


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
