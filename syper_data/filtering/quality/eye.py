"""The eye itself: is one to be seen, and is it where a crop has it?

The darkest disk with brighter surroundings to its left and right is sought: in visible light the
iris between two parts of the sclera, in near infrared the pupil between two parts of the iris. Disk
and surroundings are taken as boxes, so that one table of sums (Crow 1984) gives all places at once: a
coarse version of the search that ``cropping`` makes, at a fiftieth of its cost, good enough for a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from syper_data.filtering.quality.measure import Measure, Pixels, luma

Floats = np.ndarray[Any, np.dtype[np.float64]]

IRIS_DIAMETERS = {"vis": 5.4, "nir": 2.4}  # side of a crop in iris diameters: of a face, of an eye image

_SIZE = 64  # pixels a side in the search
_REACH = 16  # how far from the centre an eye is sought
_RADII = {"vis": (0.85, 1.0, 1.18), "nir": (0.3, 0.38, 0.45, 0.6)}  # in iris radii; nir: of the pupil
_PRIOR, _SPREAD = 0.8, 0.15  # a soft preference for the centre: weight, and spread in sides


@dataclass(frozen=True)
class _Eye:
    strength: float  # standard deviations of the luma
    offset: float  # % of the side


class _EyeMeasure(Measure):
    def __init__(self, spectrum: str = "vis", iris_diameters: float | None = None) -> None:
        side = IRIS_DIAMETERS[spectrum] if iris_diameters is None else iris_diameters
        self._radii = tuple(share * _SIZE / (2 * side) for share in _RADII[spectrum])

    def _find(self, pixels: Pixels) -> _Eye:
        small = Image.fromarray(luma(pixels)).resize((_SIZE, _SIZE), Image.Resampling.BOX)
        return _find_eye(small.tobytes(), self._radii)


class EyeContrast(_EyeMeasure):
    """How much darker the iris (in near infrared: the pupil) is than what lies beside it, in standard
    deviations of the crop's luma. A closed, covered or missing eye has nothing of the kind."""

    name = "eye_contrast"
    unit = "standard deviations"
    low = "no eye seen"

    def measure(self, pixels: Pixels) -> float:
        """See the class."""
        return self._find(pixels).strength


class EyeOffset(_EyeMeasure):
    """Distance of the iris (or pupil) from the crop's centre, in percent of the side."""

    name = "eye_offset"
    unit = "% of the side"
    high = "eye off centre"

    def measure(self, pixels: Pixels) -> float:
        """See the class."""
        return self._find(pixels).offset


@lru_cache(maxsize=1)  # both measures ask for the same crop
def _find_eye(grey: bytes, radii: tuple[float, ...]) -> _Eye:
    image = np.frombuffer(grey, np.uint8).reshape(_SIZE, _SIZE).astype(np.float64)
    spread = max(float(image.std()), 1e-6)
    image = np.minimum(image, image.mean() + 1.5 * spread)  # a catch-light in the pupil is no bright pupil
    margin = max(0, round(2 * max(radii)) - (_SIZE // 2 - _REACH))  # large irises reach over the edge
    if margin:
        image = np.pad(image, margin, "edge")
    sums = np.zeros((len(image) + 1, len(image) + 1))
    sums[1:, 1:] = image.cumsum(0).cumsum(1)
    best = (-np.inf, 0.0, 0.0, 0.0)
    for radius in radii:
        inner, half = max(1, round(0.75 * radius)), max(1, round(0.6 * radius))
        near, far = round(1.15 * radius), round(2 * radius)
        disk = _box_means(sums, -inner, inner, -inner, inner)
        left, right = _box_means(sums, -half, half, -far, -near), _box_means(sums, -half, half, near, far)
        strength = (np.minimum(left, right) + 0.25 * np.abs(left - right) - disk) / spread
        score = strength - _prior()
        y, x = divmod(int(score.argmax()), score.shape[1])
        if score[y, x] > best[0]:
            best = (float(score[y, x]), float(strength[y, x]), float(x - _REACH), float(y - _REACH))
    return _Eye(best[1], 100 * float(np.hypot(best[2], best[3])) / _SIZE)


def _box_means(sums: Floats, top: int, bottom: int, left: int, right: int) -> Floats:
    """Mean of the box from (top, left) to (bottom, right), relative to each searched centre, [n, n]."""
    first, n = len(sums) // 2 - _REACH, 2 * _REACH + 1

    def corner(y: int, x: int) -> Floats:
        return sums[first + y : first + y + n, first + x : first + x + n]

    total = corner(bottom, right) - corner(top, right) - corner(bottom, left) + corner(top, left)
    return total / ((bottom - top) * (right - left))


@lru_cache(maxsize=1)
def _prior() -> Floats:
    squares = (np.arange(-_REACH, _REACH + 1) / _SIZE) ** 2
    prior: Floats = _PRIOR * (squares[:, None] + squares[None]) / (2 * _SPREAD**2)
    return prior
