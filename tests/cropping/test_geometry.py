from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from syper_data.cropping.geometry import (
    ARCFACE_112,
    Pixels,
    Square,
    cut,
    eye_squares,
    inter_eye_distance,
    outside_share,
    similarity,
)


def turned(points: np.ndarray, scale: float, angle: float, x: float, y: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return points @ np.array([(c, s), (-s, c)]) * scale + (x, y)


def noise(h: int = 60, w: int = 80) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (h, w, 3), dtype=np.uint8)


@given(st.floats(0.1, 20), st.floats(-3, 3), st.floats(-500, 500), st.floats(-500, 500))
@settings(max_examples=50, deadline=None)
def test_a_similarity_is_found_back_exactly(scale: float, angle: float, x: float, y: float) -> None:
    for count in (2, 5):
        source = turned(ARCFACE_112[:count], scale, angle, x, y)
        matrix = similarity(source, ARCFACE_112[:count])
        assert np.allclose(source @ matrix[:, :2].T + matrix[:, 2], ARCFACE_112[:count], atol=1e-6)


def test_no_similarity_near_the_fitted_one_has_a_smaller_error_and_none_reflects() -> None:
    rng = np.random.default_rng(1)
    source = ARCFACE_112 + rng.normal(0, 6, (5, 2))
    matrix = similarity(source, ARCFACE_112)

    def error(a: float, b: float, x: float, y: float) -> float:
        mapped = source @ np.array([(a, b), (-b, a)]) + (x, y)
        return float(((mapped - ARCFACE_112) ** 2).sum())

    a, b, x, y = matrix[0, 0], matrix[1, 0], matrix[0, 2], matrix[1, 2]
    for change in rng.normal(0, 1e-3, (200, 4)):
        assert error(a, b, x, y) <= error(a + change[0], b + change[1], x + change[2], y + change[3])
    mirrored = ARCFACE_112 * (-1, 1)
    assert np.linalg.det(similarity(mirrored, ARCFACE_112)[:, :2]) > 0


def test_landmarks_that_coincide_are_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.zeros((5, 2)), ARCFACE_112)


def test_the_squares_are_centred_on_the_eyes_with_the_inter_eye_distance_as_side() -> None:
    face = turned(ARCFACE_112, 3.0, 0.4, 200, 100)
    left, right = eye_squares(face)
    assert (left.x, left.y, right.x, right.y) == pytest.approx((*face[0], *face[1]))
    assert left.side == right.side == pytest.approx(inter_eye_distance(face))
    assert left.angle == pytest.approx(0.4)
    assert eye_squares(face[:2])[0].angle == pytest.approx(
        0.4, abs=0.01
    )  # the template's eyes are not quite level


def test_a_crop_of_whole_pixels_is_those_pixels() -> None:
    photo = noise()
    assert np.array_equal(cut(photo, Square(30, 25, 16), 16), photo[17:33, 22:38])


def test_a_reduced_crop_is_antialiased_as_an_image_library_reduces() -> None:
    photo = noise()
    reference = Image.fromarray(photo[6:54, 6:54]).resize((12, 12), Image.Resampling.BICUBIC)
    crop = cut(photo, Square(30, 30, 48), 12)
    assert np.abs(crop.astype(int) - np.asarray(reference)).max() <= 1
    stripes = np.zeros((60, 80, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(cut(stripes, Square(40, 30, 40), 13).astype(int) - 128).max() < 12  # no false pattern


def test_a_rotated_crop_stands_upright_and_the_eye_is_at_its_centre() -> None:
    y, x = np.mgrid[:200, :200] + 0.5
    face = turned(ARCFACE_112 - 56, 1.2, 0.3, 100, 100)
    photo = np.zeros((200, 200, 3), np.uint8)
    for ex, ey in face[:2]:
        photo[np.hypot(x - ex, y - ey) < 4] = 255
    for square in eye_squares(face):
        crop = cut(photo, square, 96)[:, :, 0] > 128
        rows, columns = np.nonzero(crop)
        assert np.abs(np.array([rows.mean(), columns.mean()]) + 0.5 - 48).max() < 0.6


def test_beyond_the_edge_the_photo_is_reflected_not_stretched() -> None:
    photo = noise(40, 40)
    crop = cut(photo, Square(4, 20, 16), 16)  # 4 columns outside
    assert np.array_equal(crop[:, 4:], photo[12:28, :12])
    assert np.array_equal(crop[:, :4], photo[12:28, 3::-1])


def test_the_share_outside_of_the_photo_is_measured() -> None:
    assert outside_share(Square(50, 50, 20), 100, 100) == 0
    assert outside_share(Square(0, 50, 20), 100, 100) == pytest.approx(0.5)
    assert outside_share(Square(0, 0, 20), 100, 100) == pytest.approx(0.75)
    assert outside_share(Square(-50, 50, 20), 100, 100) == 1


def test_a_large_photo_is_cut_in_strips_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, square = noise(), Square(40, 30, 37, 0.5)
    whole = cut(photo, square, 16)
    monkeypatch.setattr("syper_data.cropping.geometry._STRIP", 100)
    assert np.array_equal(cut(photo, square, 16), whole)
