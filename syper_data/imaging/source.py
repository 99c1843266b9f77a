"""The one reader of image sources: a folder of images, Parquet files, or a dataset directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from syper_data.errors import InputError
from syper_data.imaging.codec import decode_rgb

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
METADATA_COLUMNS = ("subject", "side", "spectrum", "sample", "source_id")
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


def read_images(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[SourceImage]:
    """Every image of the source, in a fixed order (file name, then row).

    ``columns`` maps our names to the source's: ``{"subject": "person"}``. Columns that are absent
    give None.

    Raises:
        InputError: nothing is there, a file is unreadable, or an image does not decode.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.is_file():
        if path.suffix != ".parquet":
            raise InputError(f"{path}: an image source is a folder, a Parquet file or a dataset directory")
        yield from _read_parquet(path, columns or {})
        return
    root = path / "data" if (path / "manifest.json").is_file() else path
    files = sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))
    tables = [p for p in files if p.suffix == ".parquet"]
    pictures = [p for p in files if p.suffix.lower() in IMAGE_SUFFIXES]
    if not tables and not pictures:
        raise InputError(f"{path}: holds neither images nor Parquet files")
    for table in tables:
        yield from _read_parquet(table, columns or {})
    for picture in [] if tables else pictures:
        where = str(picture.relative_to(path))
        yield SourceImage(decode_rgb(picture.read_bytes(), str(picture)), where, source_id=where)


def canonical(image: SourceImage) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The pixels with the nose at the right edge: ``image_right`` crops are mirrored."""
    return np.ascontiguousarray(image.pixels[:, ::-1]) if image.side == "image_right" else image.pixels


def _read_parquet(path: Path, columns: Mapping[str, str]) -> Iterator[SourceImage]:
    try:
        file = pq.ParquetFile(path)
        names = set(file.schema_arrow.names)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({_first_line(error)})") from error
    wanted = {ours: columns.get(ours, ours) for ours in ("image", *METADATA_COLUMNS)}
    if wanted["image"] not in names:
        raise InputError(f"{path}: no column {wanted['image']!r}; it has {', '.join(sorted(names))}")
    missing = [theirs for ours, theirs in columns.items() if theirs not in names and ours in wanted]
    if missing:
        raise InputError(f"{path}: no column {missing[0]!r}; it has {', '.join(sorted(names))}")
    present = {ours: theirs for ours, theirs in wanted.items() if theirs in names}
    row = 0
    try:
        for batch in file.iter_batches(100, columns=sorted(set(present.values()))):
            for values in batch.to_pylist():
                yield _from_row(values, present, f"{path}, row {row}")
                row += 1
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}, after row {row}: unreadable ({_first_line(error)})") from error


def _from_row(values: Mapping[str, Any], present: Mapping[str, str], where: str) -> SourceImage:
    cell = values[present["image"]]
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes):
        raise InputError(f"{where}: the image column holds no bytes")
    meta = {
        ours: None if values[present[ours]] is None else str(values[present[ours]])
        for ours in METADATA_COLUMNS
        if ours in present
    }
    if meta.get("side") not in (None, *SIDES):
        raise InputError(f"{where}: side is {meta['side']!r}: must be {' or '.join(SIDES)}")
    return SourceImage(decode_rgb(data, where), where, **meta)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
