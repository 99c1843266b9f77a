"""Tables of images, a range of rows at a time: Parquet files, and the Arrow files of ``datasets``."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from syper_data.errors import InputError

_BATCH = 32  # rows decoded from the table at once; photos may be megabytes each


@dataclass(frozen=True)
class TablePart(ABC):
    """One table file: where it lies, its name in the source, rows and columns; ``damage`` is the
    one-line reason why it can't be read, or None. ``classes`` are the columns that ``datasets`` keeps as numbers
    (``ClassLabel``), with their names."""

    where: str
    name: str
    bytes: int
    rows: int
    names: frozenset[str]
    damage: str | None = None
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)  # names that a column's numbers stand for

    @abstractmethod
    def read(self, columns: Sequence[str], start: int, stop: int) -> Iterator[dict[str, Any]]:
        """Rows ``start .. stop - 1`` as dictionaries; :class:`InputError` at the damaged place."""

    @abstractmethod
    def take(self, columns: Sequence[str], rows: Sequence[int]) -> Iterator[dict[str, Any]]:
        """These rows, in rising order, as dictionaries; :class:`InputError` where the table is damaged."""

    @abstractmethod
    def labels(self, columns: Sequence[str], image: str | None) -> list[dict[str, Any]]:
        """All rows of ``columns``, and of the column ``image`` the file names in its cells, without the images;
        :class:`InputError` where the table is damaged."""


class ParquetPart(TablePart):
    """A Parquet file."""

    @classmethod
    def open(cls, path: Path, name: str) -> ParquetPart:
        """Read the footer only."""
        try:
            with pq.ParquetFile(path) as file:
                schema, rows = file.schema_arrow, file.metadata.num_rows
                names, classes = frozenset(schema.names), _classes(schema)
                return cls(str(path), name, path.stat().st_size, rows, names, classes=classes)
        except (pa.ArrowException, OSError) as error:
            reason = f"{path}: not a readable Parquet file ({_first_line(error)})"
            return cls(str(path), name, path.stat().st_size, 0, frozenset(), reason)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Iterator[dict[str, Any]]:
        """As in the base class; only the row groups that the range touches are read."""
        row = start
        try:
            with pq.ParquetFile(self.where) as file:
                first = 0
                for group in range(file.num_row_groups):
                    end = first + file.metadata.row_group(group).num_rows
                    if first < stop and start < end:
                        at = first
                        for batch in file.iter_batches(_BATCH, row_groups=[group], columns=list(columns)):
                            low, high = max(start - at, 0), min(stop - at, len(batch))
                            if low < high:
                                for values in batch.slice(low, high - low).to_pylist():
                                    yield values
                                    row += 1
                            at += len(batch)
                    first = end
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.where}, after row {row}: unreadable ({_first_line(error)})") from error

    def take(self, columns: Sequence[str], rows: Sequence[int]) -> Iterator[dict[str, Any]]:
        """As in the base class; a row group is read once, and only if it holds one of the rows."""
        wanted = np.asarray(rows, np.int64)
        try:
            with pq.ParquetFile(self.where) as file:
                first = 0
                for group in range(file.num_row_groups):
                    end = first + file.metadata.row_group(group).num_rows
                    low, high = np.searchsorted(wanted, (first, end))
                    if low < high:
                        table = file.read_row_group(group, columns=list(columns))
                        yield from table.take(pa.array(wanted[low:high] - first)).to_pylist()
                    first = end
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.where}: unreadable ({_first_line(error)})") from error

    def labels(self, columns: Sequence[str], image: str | None) -> list[dict[str, Any]]:
        """As in the base class; no image is read from the disk."""
        try:
            with pq.ParquetFile(self.where) as file:
                named = image is not None and _has_path(file.schema_arrow.field(image).type)
                table = file.read(columns=[*columns, *([f"{image}.path"] if named else [])])
                return _with_names(table, columns, image, named)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.where}: unreadable ({_first_line(error)})") from error


class ArrowPart(TablePart):
    """An Arrow stream file, as ``datasets`` keeps in its cache and in ``save_to_disk`` folders."""

    @classmethod
    def open(cls, path: Path, name: str) -> ArrowPart:
        """Map the file; no row is decoded."""
        try:
            table = _arrow_table(path)
            names, classes = frozenset(table.schema.names), _classes(table.schema)
            return cls(str(path), name, path.stat().st_size, table.num_rows, names, classes=classes)
        except (pa.ArrowException, OSError) as error:
            reason = f"{path}: not a readable Arrow file ({_first_line(error)})"
            return cls(str(path), name, path.stat().st_size, 0, frozenset(), reason)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Iterator[dict[str, Any]]:
        """As in the base class."""
        try:
            table = _arrow_table(Path(self.where)).select(list(columns))
            for at in range(start, stop, _BATCH):
                yield from table.slice(at, min(_BATCH, stop - at)).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.where}: unreadable ({_first_line(error)})") from error

    def take(self, columns: Sequence[str], rows: Sequence[int]) -> Iterator[dict[str, Any]]:
        """As in the base class."""
        try:
            table = _arrow_table(Path(self.where)).select(list(columns))
            for at in range(0, len(rows), _BATCH):
                yield from table.take(pa.array(rows[at : at + _BATCH], pa.int64())).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.where}: unreadable ({_first_line(error)})") from error

    def labels(self, columns: Sequence[str], image: str | None) -> list[dict[str, Any]]:
        """As in the base class."""
        try:
            table = _arrow_table(Path(self.where))
            named = image is not None and _has_path(table.schema.field(image).type)
            return _with_names(table, columns, image, named)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.where}: unreadable ({_first_line(error)})") from error


def _classes(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of the classes that each ``ClassLabel`` column numbers, from the metadata of ``datasets``."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):  # no metadata, or not theirs
        return {}


def _has_path(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind)) and kind.get_field_index("path") >= 0


def _with_names(table: pa.Table, columns: Sequence[str], image: str | None, named: bool) -> list[dict[str, Any]]:
    """Rows of ``columns``; the cells of ``image`` become their file names, None where they have none."""
    held = {name: table[name].to_pylist() for name in columns}
    if image is not None:
        held[image] = pc.struct_field(table[image], "path").to_pylist() if named else [None] * len(table)
    return [dict(zip(held, row, strict=True)) for row in zip(*held.values(), strict=True)]


def _arrow_table(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_stream(file).read_all()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
