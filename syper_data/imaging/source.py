"""The one reader of image sources: a folder of images, Parquet, a dataset directory, a folder that
``datasets`` saved, or a Hub dataset (only where the caller writes ``hf:OWNER/NAME``).

:class:`ImageSource` lists what is there without decoding it, and reads any range of it;
:func:`read_images` is the short form for "all of it, and stop at the first that is broken".
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.errors import InputError
from syper_data.imaging.codec import decode_rgb
from syper_data.imaging.hub_source import HUB, download_hub_dataset
from syper_data.imaging.tables import ArrowPart, ParquetPart, TablePart

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".pgm", ".ppm"
)  # fmt: skip
METADATA_COLUMNS = ("subject", "side", "spectrum", "sample", "source_id")
KEY_COLUMNS = ("seed", "label")
MASKED = "masked"  # whether something hides a part of the eye or face; ``occlude`` writes it
SIDES = ("image_left", "image_right")


@dataclass(frozen=True)
class SourceImage:
    """One image of a source; ``where`` names its file, and the row in it, for messages."""

    pixels: np.ndarray[Any, np.dtype[np.uint8]]  # uint8 [h, w, 3]
    where: str
    subject: str | None = None
    side: str | None = None
    spectrum: str | None = None
    sample: str | None = None
    source_id: str | None = None
    seed: int | None = None
    label: int | None = None
    name: str | None = None  # the file name that a table's image cell carries


@dataclass(frozen=True)
class Unreadable:
    """An entry of a source that gives no image; ``reason`` is one line and names the place. What its row
    says besides is kept, so that it can be told whose image is missing."""

    where: str
    source_id: str
    reason: str
    subject: str | None = None
    side: str | None = None
    sample: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Labels:
    """What a source says of an entry without decoding it; the fields are those of :class:`SourceImage`, and
    ``masked`` as a table's column of that name has it."""

    source_id: str
    subject: str | None = None
    side: str | None = None
    spectrum: str | None = None
    sample: str | None = None
    seed: int | None = None
    label: int | None = None
    name: str | None = None
    where: str = ""
    masked: object = None


Entry = SourceImage | Unreadable


@dataclass(frozen=True)
class ImageSource:
    """What lies at ``path``, listed but not decoded: ``len`` entries in a fixed order (file name,
    then row). Pictures are one entry each, tables one a row, an unreadable table one."""

    path: str
    root: Path
    columns: Mapping[str, str]
    pictures: tuple[Path, ...]
    tables: tuple[TablePart, ...]

    @classmethod
    def open(cls, path: str | Path, columns: Mapping[str, str] | None = None) -> ImageSource:
        """List a source. ``columns`` maps our names to the source's: ``{"subject": "person"}``; to ``""`` where
        its column of our name means something else and is not to be read.

        Raises:
            InputError: nothing is there, or a column that was asked for is in none of the tables.
            SyperError: the Hub or the network failed.
        """
        given = str(path)
        if given.startswith(HUB):
            parts = [ArrowPart.open(file, part) for file, part in download_hub_dataset(given)]
            return cls._tables(given, Path(), columns, parts)
        path = Path(path)
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        if path.is_file():
            if path.suffix != ".parquet":
                raise InputError(f"{path}: an image source is a folder, a Parquet file or a dataset directory")
            return cls._tables(given, path.parent, columns, [ParquetPart.open(path, path.name)])
        saved = _saved_tables(path)
        if saved:
            return cls._tables(given, path, columns, saved)
        root = path / "data" if (path / "manifest.json").is_file() else path
        files = sorted(p for p in root.rglob("*") if not p.is_dir() and not p.name.startswith("."))
        tables = [p for p in files if p.suffix == ".parquet"]
        pictures = tuple(p for p in files if p.suffix.lower() in IMAGE_SUFFIXES)
        if tables:
            found = [ParquetPart.open(p, str(p.relative_to(root))) for p in tables]
            return cls._tables(given, path, columns, found)
        if not pictures:
            raise InputError(f"{path}: holds neither images nor Parquet files")
        return cls(given, path, dict(columns or {}), pictures, ())

    @classmethod
    def _tables(
        cls, path: str, root: Path, columns: Mapping[str, str] | None, parts: Sequence[TablePart]
    ) -> ImageSource:
        columns = dict(columns or {})
        asked = (columns.get("image", "image"), *filter(None, columns.values()))
        for part in parts:
            if part.damage is None:
                for theirs in asked:
                    if theirs not in part.names:
                        listed = ", ".join(sorted(part.names))
                        where = path if path.startswith(HUB) else part.where
                        raise InputError(f"{where}: no column {theirs!r}; it has {listed}")
        return cls(path, root, columns, (), tuple(parts))

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for part in self.tables:
            starts.append(starts[-1] + (1 if part.damage is not None else part.rows))
        return starts

    def __len__(self) -> int:
        return self._starts[-1] if self.tables else len(self.pictures)

    def listing_sha256(self) -> str:
        """A digest of names and sizes (of tables also the row counts): has the source changed?"""
        lines = [f"{p.relative_to(self.root)}\t{p.stat().st_size if p.exists() else 0}" for p in self.pictures]
        lines += [f"{t.name}\t{t.bytes}\t{t.rows}" for t in self.tables]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Entry]:
        """Entries ``start .. stop - 1``, decoded one at a time; what is broken is a value."""
        stop = len(self) if stop is None else min(stop, len(self))
        for picture in self.pictures[start:stop]:
            yield self._picture(picture)
        for part, first, end in zip(self.tables, self._starts, self._starts[1:], strict=False):
            if first < stop and start < end:
                yield from self._rows(part, max(start - first, 0), min(stop, end) - first)

    def labels(self) -> list[Labels]:
        """The labels of every entry, in the source's order; no image is decoded.

        Raises:
            InputError: a table is damaged.
        """
        names = [p.relative_to(self.root).as_posix() for p in self.pictures]
        found = [Labels(name, name=p.name, where=name) for name, p in zip(names, self.pictures, strict=True)]
        for part in self.tables:
            found += self.labels_in(part)
        return found

    def labels_in(self, part: TablePart) -> list[Labels]:
        """:meth:`labels` of one of ``tables``."""
        if part.damage is not None:
            raise InputError(part.damage)
        present = self._present(part, MASKED)
        image = present.pop("image", None)
        found = []
        for row, values in enumerate(part.labels(sorted(set(present.values())), image)):
            meta = _metadata(values, present, part)
            source_id = meta.pop("source_id", None) or f"{part.name}#{row}"
            meta |= {ours: _whole(values[present[ours]]) for ours in KEY_COLUMNS if ours in present}
            name = None if image is None else values[image]
            masked = values[present[MASKED]] if MASKED in present else None
            found.append(Labels(source_id, name=name, where=f"{part.name}, row {row}", masked=masked, **meta))
        return found

    def take(self, rows: Sequence[int]) -> Iterator[Entry]:
        """The entries at these positions, in rising order, decoded one at a time as in :meth:`read`."""
        at = 0
        for part, first, end in zip(self.tables, self._starts, self._starts[1:], strict=False):
            stop = bisect_left(rows, end, at)
            inside, at = [row - first for row in rows[at:stop]], stop
            if inside and part.damage is None:
                yield from self._taken(part, inside)
            elif inside:
                yield Unreadable(part.where, part.name, part.damage or "")
        if not self.tables:
            yield from (self._picture(self.pictures[row]) for row in rows)

    def _taken(self, part: TablePart, rows: Sequence[int]) -> Iterator[Entry]:
        present = self._present(part)
        done = 0
        try:
            for values in part.take(sorted(set(present.values())), rows):
                yield _entry(values, present, part, rows[done])
                done += 1
        except InputError as error:
            for lost in rows[done:]:
                yield Unreadable(f"{part.where}, row {lost}", f"{part.name}#{lost}", str(error))

    def _present(self, part: TablePart, *more: str) -> dict[str, str]:
        """Our names of the columns that a table has, and its own."""
        ours_all = ("image", *METADATA_COLUMNS, *KEY_COLUMNS, *more)
        wanted = {ours: self.columns.get(ours, ours) for ours in ours_all}
        return {ours: theirs for ours, theirs in wanted.items() if theirs and theirs in part.names}

    def _picture(self, path: Path) -> Entry:
        name = str(path.relative_to(self.root))
        try:
            data = path.read_bytes()
        except OSError as error:
            return Unreadable(str(path), name, f"{path}: cannot be read: {error.strerror}")
        try:
            return SourceImage(decode_rgb(data, str(path)), name, source_id=name)
        except InputError as error:
            return Unreadable(str(path), name, str(error))

    def _rows(self, part: TablePart, start: int, stop: int) -> Iterator[Entry]:
        if part.damage is not None:
            yield Unreadable(part.where, part.name, part.damage)
            return
        present = self._present(part)
        row = start
        try:
            for values in part.read(sorted(set(present.values())), start, stop):
                yield _entry(values, present, part, row)
                row += 1
        except InputError as error:
            for lost in range(row, stop):
                yield Unreadable(f"{part.where}, row {lost}", f"{part.name}#{lost}", str(error))


def read_images(path: str | Path, columns: Mapping[str, str] | None = None) -> Iterator[SourceImage]:
    """Every image of the source, in a fixed order (file name, then row).

    ``columns`` is as in :meth:`ImageSource.open`. Columns that are absent give None.

    Raises:
        InputError: nothing is there, a file is unreadable, or an image does not decode.
    """
    for entry in ImageSource.open(path, columns).read():
        if isinstance(entry, Unreadable):
            raise InputError(entry.reason)
        yield entry


def canonical(image: SourceImage) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The pixels with the nose at the right edge: ``image_right`` crops are mirrored."""
    return np.ascontiguousarray(image.pixels[:, ::-1]) if image.side == "image_right" else image.pixels


def _entry(values: Mapping[str, Any], present: Mapping[str, str], part: TablePart, row: int) -> Entry:
    where = f"{part.where}, row {row}"
    meta = _metadata(values, present, part)
    source_id = meta.pop("source_id", None) or f"{part.name}#{row}"
    cell = values[present["image"]]
    name = cell.get("path") if isinstance(cell, dict) else None
    try:
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if data is None and isinstance(part, ArrowPart) and isinstance(cell, dict):
            data = _linked(cell.get("path"))  # datasets keeps a path where it was given files
        if not isinstance(data, bytes):
            raise InputError(f"{where}: the image column holds no bytes")
        if meta.get("side") not in (None, *SIDES):
            raise InputError(
                f"{where}: side is {meta['side']!r}: must be {' or '.join(SIDES)}; or leave the column unread, "
                "--columns side="
            )
        pixels = decode_rgb(data, where)
    except InputError as error:
        kept = {k: meta.get(k) for k in ("subject", "side", "sample")}
        return Unreadable(where, source_id, str(error), **kept, name=name)
    meta |= {ours: _whole(values[present[ours]]) for ours in KEY_COLUMNS if ours in present}
    return SourceImage(pixels, where, source_id=source_id, name=name, **meta)


def _metadata(values: Mapping[str, Any], present: Mapping[str, str], part: TablePart) -> dict[str, Any]:
    return {
        ours: _text(values[present[ours]], part.classes.get(present[ours], ()))
        for ours in METADATA_COLUMNS
        if ours in present
    }


def _text(value: object, classes: Sequence[str]) -> str | None:
    """A label's text: of a class's number its name, of datasets' -1 (no label) none."""
    if classes and isinstance(value, int):
        return None if value == -1 else classes[value] if 0 <= value < len(classes) else str(value)
    return None if value is None else str(value)


def _linked(path: object) -> bytes | None:
    try:
        return Path(path).read_bytes() if isinstance(path, str) else None
    except OSError:
        return None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _saved_tables(path: Path) -> list[TablePart]:
    """The parts of a folder that ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk`` wrote."""
    states = sorted([*path.glob("state.json"), *path.glob("*/state.json")])
    files = [f for state in states for f in sorted(state.parent.glob("*.arrow"))]
    return [ArrowPart.open(f, str(f.relative_to(path))) for f in files]
