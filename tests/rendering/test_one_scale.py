"""Images of different spans are cut so that the same thing has the same size in all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from syper_data.rendering.one_scale import central_part, rows_at_one_scale

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def disk(side: int, span: float, channels: int) -> Pixels:
    """A white disk of diameter 1 in the middle of a black image that shows ``span``."""
    at = ((np.arange(side) + 0.5) / side - 0.5) * span
    inside = np.hypot(at[:, None], at[None]) < 0.5
    return np.repeat(inside[:, :, None], channels, axis=2).astype(np.uint8) * 255


def diameter(tile: Pixels) -> float:
    return float(2 * np.sqrt((tile[:, :, 0] / 255).sum() / np.pi))


def test_an_iris_has_one_size_in_both_rows_whatever_the_crops_span() -> None:
    rows = [[disk(128, 5.4, 3)] * 3, [disk(96, 2.4, 1)] * 3]
    sheet = rows_at_one_scale(rows, (5.4, 2.4), tile=120)
    assert sheet.shape == (240, 360, 3)
    found = [diameter(sheet[y : y + 120, x : x + 120]) for y in (0, 120) for x in (0, 120, 240)]
    assert found == pytest.approx([120 / 2.4] * 6, rel=0.03)


def test_the_whole_of_an_image_of_the_tiles_size_is_left_as_it_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(central_part(noise, 1.0, 32), noise)
    assert np.array_equal(central_part(noise, 0.5, 16), noise[8:24, 8:24])


def test_what_makes_no_sheet_is_refused() -> None:
    image = disk(16, 2.4, 3)
    for share in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"must lie in 0\.\.1"):
            central_part(image, share, 16)
    for rows, spans in (([[image]], (1.0, 2.0)), ([[image], []], (1.0, 2.0)), ([[image]], (0.0,))):
        with pytest.raises(ValueError, match="one positive span a row"):
            rows_at_one_scale(rows, spans)
