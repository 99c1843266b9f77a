"""Planted copies: each does what it says, as strongly as it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from syper_data.filtering.copies import COPY_KINDS, CopyKind, planted

KINDS = {kind.name: kind for kind in COPY_KINDS}


def picture(side: int = 96) -> Any:
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [128 + 60 * np.sin(7 * x + c) * np.cos(5 * y - c) for c in range(3)]
    return np.stack(waves, axis=2).astype(np.uint8)


def centroid(pixels: Any) -> Any:
    """Of a bright spot on black."""
    weight = pixels[:, :, 0].astype(float)
    y, x = np.mgrid[0 : weight.shape[0], 0 : weight.shape[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def spots(*centres: tuple[float, float], side: int = 100) -> Any:
    y, x = np.mgrid[0:side, 0:side]
    value = sum(255 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 18) for a, b in centres)
    return np.repeat(np.minimum(255, value)[:, :, None], 3, 2).astype(np.uint8)


@pytest.mark.parametrize("kind", COPY_KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", [(96, 96), (40, 60)])
def test_a_copy_is_seeded_and_keeps_the_shape(kind: CopyKind, shape: tuple[int, int]) -> None:
    pixels = np.ascontiguousarray(picture()[: shape[0], : shape[1]])
    before = pixels.copy()
    copy = planted(kind, pixels, 5, seed=1)
    assert (copy.shape, copy.dtype) == (pixels.shape, np.uint8)
    assert (copy == planted(kind, pixels, 5, seed=1)).all()
    assert (pixels == before).all()
    if kind.name not in ("unchanged", "mirrored", "blurred"):
        others = [planted(kind, pixels, row, seed) for row, seed in ((6, 1), (7, 1), (5, 2), (8, 1))]
        assert any((copy != other).any() for other in others)
    if kind.name != "unchanged":
        assert (copy != pixels).any()
        assert np.abs(copy.astype(float) - pixels).mean() < (80 if kind.name == "mirrored" else 40)


def test_mirrored_is_left_and_right_exchanged_and_unchanged_is_the_image() -> None:
    pixels = picture()
    assert (planted(KINDS["mirrored"], pixels, 0, 0) == pixels[:, ::-1]).all()
    assert (planted(KINDS["unchanged"], pixels, 0, 0) == pixels).all()


def test_shifted_moves_by_4_percent_of_the_width() -> None:
    pixels = spots((50, 50))
    moved = [centroid(planted(KINDS["shifted"], pixels, row, 0)) - centroid(pixels) for row in range(12)]
    assert [np.hypot(*m) for m in moved] == pytest.approx([4.0] * 12, abs=0.15)
    assert np.ptp([np.arctan2(*m) for m in moved]) > 2


def test_rescaled_is_5_percent_larger_or_smaller_about_the_centre() -> None:
    pixels = spots((20, 50), (80, 50))
    scales = []
    for row in range(12):
        copy = planted(KINDS["rescaled"], pixels, row, 0)
        left, right = centroid(copy[:, :50]), centroid(copy[:, 50:])
        right[0] += 50
        assert (left + right) / 2 == pytest.approx([50, 50], abs=0.6)
        scales.append(round(float(right[0] - left[0]) / 60, 2))
    assert set(scales) == {1.05, 0.95}


def test_recropped_shows_90_percent_of_the_width() -> None:
    pixels = spots((35, 50), (65, 50))
    for row in range(6):
        copy = planted(KINDS["recropped"], pixels, row, 0)
        left, right = centroid(copy[:, :50]), centroid(copy[:, 50:])
        right[0] += 50
        assert right[0] - left[0] == pytest.approx(30 / 0.9, abs=0.4)
        assert np.abs((left + right) / 2 - 50).max() <= 5 / 0.9 + 0.6


def test_blurred_has_the_spread_of_a_gaussian_of_one_pixel() -> None:
    pixels = np.zeros((31, 31, 3), np.uint8)
    pixels[15, 15] = 255
    copy = planted(KINDS["blurred"], pixels, 0, 0)[:, :, 0].astype(float)
    x = np.arange(31) - 15
    assert (copy.sum(0) * x * x).sum() / copy.sum() == pytest.approx(1, abs=0.25)


def test_relit_and_colour_shifted_stay_within_their_gains_and_grey_stays_grey() -> None:
    flat = np.full((64, 64, 3), 100, np.uint8)
    for row in range(10):
        relit = planted(KINDS["relit"], flat, row, 0)
        assert 100 * 0.8 * 0.75 - 1 <= relit.min() < relit.max() <= 100 * 1.2 * 1.25 + 1
        assert relit.max() / relit.min() > 1.25
        grey = planted(KINDS["colour_shifted"], flat, row, 0)
        assert (grey == grey[:, :, :1]).all()
        coloured = planted(KINDS["colour_shifted"], picture(), row, 0) / np.maximum(1, picture().astype(float))
        assert 0.89 < np.median(coloured, axis=(0, 1)).min() < np.median(coloured, axis=(0, 1)).max() < 1.11
