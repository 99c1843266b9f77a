"""Several pictures of one generated eye, as if it had been photographed again: what changes, and how far.

A capture is decided by its seed and its number alone. The changes come in the order in which a camera makes
them: where the eye lies in the picture, how fine and how sharp it is, light, noise of the sensor. Numbers come
from ``numpy.random.RandomState``, whose stream is frozen.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from syper_data.errors import ConfigError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_MARGIN = 4  # the border is mirrored over a 4th of the side before the picture is turned
_MOST = {
    "shift": 0.1, "rotation": 20.0, "scale": 0.2, "resolution": 0.9, "blur": 0.05, "gamma": 1.0,
    "contrast": 0.9, "brightness": 0.5, "noise": 0.5,
}  # fmt: skip


@dataclass(frozen=True)
class Changes:
    """How far a capture may lie from the generated eye; each is drawn evenly.

    Either way: ``shift`` (share of the side, both axes), ``rotation`` (degrees), ``scale`` and ``gamma``
    (exponents of e), ``contrast`` (share, about the mean), ``brightness`` (of the range 0..1). From 0 on:
    ``resolution`` (share of the side that is lost by scaling down and up again), ``blur`` (deviation of a
    Gaussian, share of the side), ``noise`` (deviation, of the range).

    Raises:
        ConfigError: a value is out of range.
    """

    shift: float = 0.05
    rotation: float = 8.0
    scale: float = 0.08
    resolution: float = 0.5
    blur: float = 0.012
    gamma: float = 0.35
    contrast: float = 0.25
    brightness: float = 0.12
    noise: float = 0.04

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value <= _MOST[name]:
                raise ConfigError(f"changes.{name} is {value!r}: must lie in 0..{_MOST[name]:g}")


def captured(pixels: Pixels, seed: int, number: int, changes: Changes) -> Pixels:
    """Capture ``number`` of the eye of ``seed``.  # uint8 [h, h, 3] -> uint8 [h, h, 3]"""
    digest = hashlib.sha256(f"capture/{seed}/{number}".encode("ascii")).digest()
    draws = np.random.RandomState(int.from_bytes(digest[:4], "big"))
    x, y, angle, zoom, bright, contrast, gamma = draws.uniform(-1, 1, 7).tolist()
    coarse, blur, noise = draws.uniform(0, 1, 3).tolist()
    side = pixels.shape[0]
    image = _moved(
        pixels,
        (x * changes.shift * side, y * changes.shift * side),
        math.radians(angle * changes.rotation),
        math.exp(zoom * changes.scale),
    )
    small = max(1, round(side * (1 - coarse * changes.resolution)))
    if small < side:
        image = image.resize((small, small), Image.Resampling.BOX).resize((side, side), Image.Resampling.BICUBIC)
    image = image.filter(ImageFilter.GaussianBlur(blur * changes.blur * side))
    light = (np.asarray(image, np.float64) / 255) ** math.exp(gamma * changes.gamma)
    light = light.mean() + (light - light.mean()) * (1 + contrast * changes.contrast)
    light += bright * changes.brightness + draws.standard_normal(light.shape) * noise * changes.noise
    done: Pixels = np.clip(np.floor(light * 255 + 0.5), 0, 255).astype(np.uint8)
    return done


def _moved(pixels: Pixels, shift: tuple[float, float], angle: float, zoom: float) -> Image.Image:
    """Turned about the centre, scaled and shifted in one resampling; the border is mirrored."""
    side = pixels.shape[0]
    margin = side // _MARGIN
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    centre = side / 2
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    # output (u, v) -> padded input: the inverse map, as PIL wants it
    origin_x = margin + centre - cos * (centre + shift[0]) - sin * (centre + shift[1])
    origin_y = margin + centre + sin * (centre + shift[0]) - cos * (centre + shift[1])
    matrix = (cos, sin, origin_x, -sin, cos, origin_y)
    return Image.fromarray(padded).transform(
        (side, side), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BICUBIC
    )
