"""Pictures at one scale: images that show different widths of the world, cut to the same width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from syper_data.rendering.sheet import contact_sheet

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def central_part(image: Pixels, share: float, side: int) -> Pixels:
    """The middle ``share`` (0..1] of the width and height of a uint8 [h, w, 1 or 3], resampled once to
    [side, side, 3]; the cut need not fall on a pixel's edge.

    Raises:
        ValueError: the share is out of its range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share is {share}: must lie in 0..1, without 0")
    h, w, _ = image.shape
    picture = Image.fromarray(np.ascontiguousarray(np.broadcast_to(image, (h, w, 3))))
    box = (w * (1 - share) / 2, h * (1 - share) / 2, w * (1 + share) / 2, h * (1 + share) / 2)
    return np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS, box=box))


def rows_at_one_scale(rows: Sequence[Sequence[Pixels]], spans: Sequence[float], tile: int = 128) -> Pixels:
    """One row of tiles for each set of images: ``spans`` is how much an image of the set shows from
    edge to edge, in any unit (iris diameters); every tile shows as much as the smallest of them.

    Raises:
        ValueError: rows of different lengths, or not one positive span for each.
    """
    if len(rows) != len(spans) or len({len(row) for row in rows}) != 1 or min(spans, default=0) <= 0:
        raise ValueError("one positive span a row, and rows of one length")
    least = min(spans)
    tiles = [central_part(x, least / span, tile) for row, span in zip(rows, spans, strict=True) for x in row]
    return contact_sheet(tiles, len(rows[0]))
