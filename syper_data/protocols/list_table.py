"""Lists as tables: CSV, text with another separator, or Parquet; columns as text, whatever their type was.

Millions of rows are read and numbered in seconds: the work is pyarrow's.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq

from syper_data.errors import InputError
from syper_data.protocols.lists import LABELS, Place
from syper_data.protocols.pictures import name_fault
from syper_data.protocols.protocol import Bools, Rows

SEPARATORS = {"comma": ",", "tab": "\t", "space": " ", "semicolon": ";"}


@dataclass(frozen=True)
class ListTable:
    """Columns of a list by our names, as text. ``first`` is the line of the first row in a text file, None in
    Parquet, where rows count from 0."""

    path: Path
    columns: Mapping[str, pa.ChunkedArray]
    first: int | None

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def place(self) -> Place:
        """Where row i stands."""
        if self.first is None:
            return lambda i: f"{self.path}, row {i}"
        first = self.first
        return lambda i: f"{self.path}, line {_line_of(self.path, i + first)}"

    def numbered(self, *names: str, paths: bool = False) -> tuple[list[Rows], list[str]]:
        """The columns ``names`` as codes of one sorted list of their values, and that list.

        Raises:
            InputError: an empty cell, or (``paths``) a value that is no relative path inside a folder.
        """
        joined = pa.chunked_array([c for name in names for c in self.columns[name].chunks], pa.string())
        encoded = pc.dictionary_encode(joined).combine_chunks()
        encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
        values = encoded.dictionary.to_pylist()
        raw = np.asarray(encoded.indices.fill_null(-1), np.int64)
        empty = [i for i, value in enumerate(values) if not value]
        lost = np.flatnonzero((raw < 0) | np.isin(raw, empty))
        if len(lost):
            raise InputError(f"{self.place(int(lost[0]) % len(self))}: an empty cell")
        if paths:
            for i, fault in ((i, name_fault(value)) for i, value in enumerate(values)):
                if fault is not None:
                    raise InputError(f"{self.place(int(np.argmax(raw == i)) % len(self))}: {fault}")
        order = sorted(range(len(values)), key=values.__getitem__)
        rank = np.empty(len(values), np.int64)
        rank[order] = np.arange(len(values))
        codes = rank[raw]
        return list(codes.reshape(len(names), -1)), [values[i] for i in order]

    def truth(self, name: str) -> Bools:
        """A column of labels: 0 or 1, true or false.

        Raises:
            InputError: any other value; the message names the row.
        """
        (codes,), values = self.numbered(name)
        wrong = [i for i, value in enumerate(values) if value not in LABELS]
        if wrong:
            row = int(np.flatnonzero(np.isin(codes, wrong))[0])
            raise InputError(f"{self.place(row)}: the label is {values[codes[row]][:40]!a}: must be 0 or 1")
        table: Bools = np.array([LABELS[value] for value in values], bool)
        return table[codes]


def read_list_table(
    path: Path,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    *,
    columns: Mapping[str, str] | None = None,
    header: Sequence[str] | None = None,
    separator: str = "comma",
) -> ListTable:
    """Read a list. ``columns`` maps our names to the file's; ``header`` names the columns of a file without
    such a first line. Windows line ends, a byte order mark and a missing last newline are accepted.

    Raises:
        InputError: no such file, not such a table, a column is missing, or there is no row.
    """
    try:
        table = _parquet(path) if path.suffix == ".parquet" else _text(path, header, SEPARATORS[separator])
    except (pa.ArrowException, OSError) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a readable list ({reason[:200]})") from error
    chosen = {}
    for ours in (*needed, *optional):
        theirs = (columns or {}).get(ours, ours)
        if theirs in table.column_names:
            chosen[ours] = _as_text(table[theirs], path, theirs)
        elif ours in needed:
            raise InputError(f"{path}: no column {theirs!r}; it has {', '.join(table.column_names)[:200]}")
    if not table.num_rows:
        raise InputError(f"{path}: lists nothing")
    in_text = path.suffix != ".parquet"
    return ListTable(path, chosen, (2 if header is None else 1) if in_text else None)


def _parquet(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read()


def _text(path: Path, header: Sequence[str] | None, separator: str) -> pa.Table:
    names = list(header) if header is not None else _first_line(path, separator)
    return pv.read_csv(
        path,
        read_options=pv.ReadOptions(column_names=names, skip_rows=0 if header is not None else 1),
        parse_options=pv.ParseOptions(delimiter=separator),
        convert_options=pv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )


def _first_line(path: Path, separator: str) -> list[str]:
    """The names of the columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file, delimiter=separator), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a text file in UTF-8") from error
    if len(set(names)) != len(names):
        raise InputError(f"{path}: two columns have one name: {', '.join(names)[:200]}")
    return names


def _line_of(path: Path, row: int) -> int:
    """The number of the line that is the ``row``-th of those that are not blank."""
    with path.open("rb") as file:
        filled = (number for number, line in enumerate(file, 1) if line.strip())
        return next(islice(filled, row - 1, None), row)


def _as_text(column: pa.ChunkedArray, path: Path, name: str) -> pa.ChunkedArray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
    ):
        raise InputError(f"{path}: column {name!r} holds {kind}: must be text, whole numbers or truth values")
    return column.cast(pa.string())
