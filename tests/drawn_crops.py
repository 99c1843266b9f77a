"""Drawn eyes as crops: an ellipse, an iris and a pupil on skin, two eyes a subject, in Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from syper_data.imaging.pixels import resize
from syper_data.metrics.distances import Features

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def drawn_eye(seed: int, side: int = 16) -> Pixels:
    """uint8 [side, side, 3], drawn at four times the size."""
    rng = np.random.default_rng(seed)
    big = 4 * side
    image = Image.new("RGB", (big, big), tuple(int(v) for v in rng.integers(90, 230, 3)))
    draw = ImageDraw.Draw(image)
    half = big * rng.uniform(0.12, 0.3)
    draw.ellipse((big * 0.15, big / 2 - half, big * 0.85, big / 2 + half), fill=(240, 240, 240))
    for radius, colour in ((rng.uniform(0.1, 0.2), rng.integers(20, 140, 3)), (0.06, (0, 0, 0))):
        r = big * radius
        draw.ellipse((big / 2 - r, big / 2 - r, big / 2 + r, big / 2 + r), fill=tuple(int(v) for v in colour))
    return resize(np.asarray(image), side, "box")


def png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_crops(
    path: Path,
    images: Iterable[Pixels],
    *,
    subjects: bool = True,
    columns: dict[str, str] | None = None,
    who: str = "face",
) -> Path:
    """Images as Parquet; consecutive pairs are the two eyes of a subject, named ``who`` and a number."""
    stored = [png(x) for x in images]
    table = {"image": [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(stored)]}
    if subjects:
        table["subject"] = [f"{who}-{i // 2}" for i in range(len(stored))]  # type: ignore[misc]
    renamed = {(columns or {}).get(name, name): values for name, values in table.items()}
    pq.write_table(pa.table(renamed), path)
    return path


class ThumbnailJudge:
    """A judge without weights: the pixels of an 4x4 thumbnail, scaled to about unit size."""

    name = "thumbnail_4_box"

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "features": "48, pixels"}

    def vectors(self, pixels: Pixels, report: Any = None, what: str = "") -> Features:
        self.calls.append((what, len(pixels)))
        small = np.stack([resize(x, 4, "box") for x in pixels]).reshape(len(pixels), -1)
        return small.astype(np.float64) / 64 - 2
