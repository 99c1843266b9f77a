"""A face mask, placed by five landmarks."""

from __future__ import annotations

from typing import Any

import numpy as np

from syper_data.cropping.geometry import ARCFACE_112
from syper_data.errors import InputError
from syper_data.recognition.occlusion.drawing import (
    TEXTURES,
    Float,
    Points,
    cover,
    lay,
    places,
    rounded,
    shadow,
    smooth_noise,
    stroke,
    texture,
)

ALIGNED = ARCFACE_112 / 112  # where an aligned face has its landmarks, shares of the side
_CLOTHS = ((152, 192, 216), (240, 242, 243), (28, 28, 30), (120, 124, 128), (44, 60, 104), (206, 170, 176))


def mask(image: Float, rng: np.random.Generator, landmarks: Any = None) -> Float:
    """A mask over nose, mouth and chin, with straps, folds and shading; float32 [s, s, 3] in 0..255.

    ``landmarks`` [5, 2] in pixels are the eyes, the nose and the corners of the mouth, image-left first; without
    them the face is taken to be aligned to the ArcFace template. In the face's own measures (across: 1 is the
    eyes' distance; down: 0 the eyes, 1 the mouth) the upper edge crosses the nose at 0.1..0.42 and the cheeks at
    0.35..0.6, the sides lie at 0.8..0.98, the chin at 1.6..1.9. Colours and textures are any; every second is
    plain with folds.

    Raises:
        InputError: landmarks of another shape, not finite, or with eyes or mouth in one place.
    """
    side = len(image)
    middle, right, down = _axes(landmarks, side)

    def at(a: float, b: float) -> Points:
        point: Points = middle + a * right + b * down
        return point

    nose, cheek = rng.uniform(0.1, 0.42), rng.uniform(0.35, 0.6)
    wide, chin = rng.uniform(0.8, 0.98), rng.uniform(1.6, 1.9)
    half = [(0.0, nose), (0.28, nose + 0.1), (wide, cheek), (0.98 * wide, 0.9), (0.72 * wide, 1.4), (0.3, chin)]
    outline = [at(a, b) for a, b in half] + [at(-a, b) for a, b in half[:0:-1]]
    shape = cover(side, [rounded(np.array(outline))])
    straps = [
        stroke(np.array([at(s * 0.9 * wide, b), at(s * 1.3, b + slope)]), 0.012)
        for s in (-1, 1)
        for b, slope in ((cheek + 0.08, -0.25), (1.2, -0.35))
    ]
    a, b = _measures(side, middle, right, down)
    image = lay(image, cover(side, straps), rng.uniform(200, 250) * np.ones(3))
    image = shadow(image, shape, (0.0, 0.012), rng.uniform(0.15, 0.35))
    return lay(image, shape, _cloth(rng, a, b, nose))


def _axes(landmarks: Any, side: int) -> tuple[Points, Points, Points]:
    """Between the eyes; from one eye to the other; from the eyes to the mouth.  # shares of the side"""
    points = ALIGNED if landmarks is None else np.asarray(landmarks, np.float64) / side
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise InputError(f"landmarks are {list(points.shape)} values: must be 5 points x, y, all finite")
    middle, right = (points[0] + points[1]) / 2, points[1] - points[0]
    down = (points[3] + points[4]) / 2 - middle
    if abs(right[0] * down[1] - right[1] * down[0]) < 1e-6:
        raise InputError("landmarks: the eyes, or eyes and mouth, lie in one place")
    return middle, right, down


def _measures(side: int, middle: Points, right: Points, down: Points) -> tuple[Float, Float]:
    """Every pixel's place across and down the face."""
    x, y = (p - m for p, m in zip(places(side), middle, strict=True))
    area = right[0] * down[1] - right[1] * down[0]
    a = (x * down[1] - y * down[0]) / area
    b = (y * right[0] - x * right[1]) / area
    return a.astype(np.float32), b.astype(np.float32)


def _cloth(rng: np.random.Generator, a: Float, b: Float, nose: float) -> Float:
    plain = rng.random() < 0.5
    colour = np.array(_CLOTHS[int(rng.integers(len(_CLOTHS)))], np.float32)
    colours = [colour, 0.9 * colour] if plain else rng.uniform(10, 245, (2, 3))
    kind = "plain" if plain else TEXTURES[int(rng.integers(len(TEXTURES)))]
    painted = texture(rng, 0.5 * a, 0.5 * b, colours, kind)
    light = 1.08 - rng.uniform(0.25, 0.5) * a**2 + 0.08 * np.exp(-((a / 0.12) ** 2)) * (b < 1)
    light -= 0.12 * np.exp(-(((b - 0.85) / 0.2) ** 2)) * np.exp(-((a / 0.3) ** 2))  # below the nose
    if plain:
        for fold in nose + rng.uniform(0.35, 0.45) * np.arange(1, 4):
            light -= 0.13 * np.exp(-(((b - fold - 0.05 * a**2) / 0.025) ** 2))
    lit: Float = painted * (light[:, :, None] + 0.03 * smooth_noise(rng, len(a), 8))
    return np.clip(lit, 0, 255)
