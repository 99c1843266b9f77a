"""Labelled images for protocols: tables of labels with an image column that nobody decodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SIDES = ("image_left", "image_right")
Row = dict[str, Any]


def people(subjects: int, samples: int, **more: Any) -> list[Row]:
    """Rows of ``subjects`` people, both eyes, ``samples`` images each."""
    return [
        {"subject": f"{s:03d}", "side": side, "sample": n, **more}
        for s in range(1, subjects + 1)
        for side in SIDES
        for n in range(1, samples + 1)
    ]


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """Rows as Parquet; the image cells hold bytes that are no picture."""
    names = sorted({name for row in rows for name in row})
    table: dict[str, Any] = {"image": [{"bytes": b"x", "path": f"{i}.png"} for i in range(len(rows))]}
    table |= {name: [row.get(name) for row in rows] for name in names}
    pq.write_table(pa.table(table), path)
    return path
