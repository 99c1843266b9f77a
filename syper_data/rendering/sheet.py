"""Contact sheets: many images in one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def contact_sheet(images: Sequence[Pixels], columns: int, tile: int | None = None) -> Pixels:
    """Images uint8 [h, w, 3] of one size -> one picture, row by row; ``tile`` resizes each side."""
    if not images or columns < 1:
        raise ValueError("a contact sheet needs at least one image and one column")
    tiles = [
        np.asarray(Image.fromarray(i).resize((tile, tile), Image.Resampling.LANCZOS)) if tile else i
        for i in images
    ]
    h, w, c = tiles[0].shape
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * h, columns * w, c), 255, np.uint8)
    for index, image in enumerate(tiles):
        y, x = index // columns * h, index % columns * w
        sheet[y : y + h, x : x + w] = image
    return sheet


def encode_sheet(sheet: Pixels, image_format: str = "PNG") -> bytes:
    """A sheet as PNG bytes, or JPEG at quality 90."""
    buffer = io.BytesIO()
    if image_format == "JPEG":
        Image.fromarray(sheet).save(buffer, "JPEG", quality=90)
    else:
        Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
