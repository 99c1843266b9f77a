"""The iris in an image of one eye: centre and diameter, or the physical reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from syper_data.cropping.geometry import Square, cut, to_photo
from syper_data.cropping.iris import Floats, find_circle

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

IRIS_RATIO = 5.4  # inter-eye distances in iris diameters: 63 mm against 11.7 mm

_COARSE = 44  # pixels of the shorter side in the first look
_PUPIL, _LIMBUS, _VIS_LIMBUS = 0.4, 0.12, 0.25  # least contrast, in standard deviations of the searched patch
_LEVELS, _PUPIL_LEVELS = 4, 10  # least contrast of a visible-light iris and of a pupil, in levels of 0..255
_RATIO = (0.15, 0.8)  # pupil to iris diameter of a living eye, with room
_NEAR = (0.75, 1.3)  # a measured iris to what the camera is known to give


@dataclass(frozen=True)
class Iris:
    """Centre and diameters in image pixels."""

    x: float
    y: float
    diameter: float
    pupil_diameter: float | None = None


def find_iris(pixels: Pixels, spectrum: str, expected: float | None = None) -> Iris | str:
    """The iris of an image uint8 [h, w, 3], or one line on why none is found, with value and bound.

    ``nir``: the pupil is the darkest disk anywhere in the image, the iris the circle about it.
    ``vis``: a dark iris hides its pupil, so the iris is sought itself, at the centre of an image
    that spans about one inter-eye distance (5.4 iris diameters). ``expected`` is the diameter in pixels
    that the camera gives, where it is known: the iris is sought between 0.75 and 1.3 times as wide.
    """
    if min(pixels.shape[:2]) < 32:
        return f"the image is {pixels.shape[1]}x{pixels.shape[0]} pixels: too small to show an iris"
    return _pupil_first(pixels, expected) if spectrum == "nir" else _iris_at_centre(pixels, expected)


def _iris_at_centre(pixels: Pixels, expected: float | None) -> Iris | str:
    h, w = pixels.shape[:2]
    side, size = float(min(h, w)), 96
    window = Square(w / 2, h / 2, side)
    red = without_highlights(cut(pixels, window, size)[:, :, 0].astype(np.float32))
    radius = size / (2 * IRIS_RATIO) if expected is None else expected * size / (2 * side)
    low, high = (0.65, 1.45) if expected is None else _NEAR
    circle = find_circle(
        red, (low * radius, high * radius), arc=45, reach=16, spread=0.06 * size, expected_radius=radius
    )
    if circle.contrast < _LEVELS:
        return f"iris boundary contrast {circle.contrast:.1f} of 255 is below {_LEVELS}: too dark, or no eye"
    if circle.strength < _VIS_LIMBUS:
        return f"iris boundary contrast {circle.strength:.2f} is below {_VIS_LIMBUS}: eye closed or covered"
    x, y = to_photo(window, circle.x / size - 0.5, circle.y / size - 0.5)
    return Iris(x, y, 2 * circle.radius * side / size)


def _pupil_first(pixels: Pixels, expected: float | None) -> Iris | str:
    h, w = pixels.shape[:2]
    scale = min(h, w) / _COARSE
    small = Image.fromarray(pixels).convert("L").resize((round(w / scale), round(h / scale)), Image.Resampling.BOX)
    radii = (2.0, 9.5)
    if expected is not None:
        largest = max(2.0, _NEAR[1] * _RATIO[1] * expected / (2 * scale))
        radii = (min(1.5, largest / 2), largest)
    rough = find_circle(without_highlights(np.asarray(small, np.float32)), radii, arc=90, disk=0.8)
    if rough.strength < _PUPIL:
        return f"pupil contrast {rough.strength:.2f} is below {_PUPIL}: eye closed, covered or out of focus"
    x, y, radius = rough.x * w / small.width, rough.y * h / small.height, rough.radius * scale
    for _ in range(2):  # the second pass corrects the first one's window
        window = Square(x, y, 4.5 * radius)
        patch = without_highlights(cut(pixels, window, 48).mean(axis=2, dtype=np.float32))
        circle = find_circle(patch, (6.5, 16.0), arc=75, reach=8)
        x, y = to_photo(window, circle.x / 48 - 0.5, circle.y / 48 - 0.5)
        radius = circle.radius * window.side / 48
    if circle.contrast < _PUPIL_LEVELS:
        return f"pupil contrast {circle.contrast:.1f} of 255 is below {_PUPIL_LEVELS}: too dark, or no eye"
    if circle.strength < _PUPIL:
        return f"pupil contrast {circle.strength:.2f} is below {_PUPIL}: eye closed, covered or out of focus"
    return _limbus(pixels, x, y, radius, expected)


def _limbus(pixels: Pixels, x: float, y: float, pupil: float, expected: float | None) -> Iris | str:
    """The outer boundary about a pupil of radius ``pupil``: up to 5 pupil radii out, and its centre
    within a fifth of the iris radius of the pupil's."""
    size = 112
    window = Square(x, y, 11 * pupil)
    unit = size / window.side
    seen = size / 11  # the pupil's radius in the patch
    patch = without_highlights(cut(pixels, window, size).mean(axis=2, dtype=np.float32))
    rows, columns = np.mgrid[:size, :size] + 0.5 - size / 2
    distance = np.hypot(columns, rows) / seen
    near = patch[(distance > 1.25) & (distance < 1.45)]
    patch[distance < 1.25] = np.median(near)  # or the pupil's own edge would win
    span, radius, innermost = (1.35 * seen, 5 * seen), None, 0.6
    if expected is not None:
        radius, innermost = expected * unit / 2, 1.0
        span = (max(span[0], _NEAR[0] * radius), min(span[1], _NEAR[1] * radius))
        if span[0] >= span[1]:
            return f"a pupil of {2 * pupil:.0f} pixels does not fit an iris of about {expected:g}"
    circle = find_circle(
        patch, span, arc=40, reach=5, spread=2.0, expected_radius=radius, disk=0.0, innermost=innermost
    )
    if circle.strength < _LIMBUS:
        return f"iris boundary contrast {circle.strength:.2f} is below {_LIMBUS}: lids or lashes cover it"
    iris_x, iris_y = to_photo(window, circle.x / size - 0.5, circle.y / size - 0.5)
    iris = circle.radius / unit
    ratio = pupil / iris
    if not _RATIO[0] <= ratio <= _RATIO[1]:
        return f"pupil-to-iris ratio {ratio:.2f} is outside of {_RATIO[0]}..{_RATIO[1]}: not an iris"
    return Iris(iris_x, iris_y, 2 * iris, 2 * pupil)


def without_highlights(grey: Floats) -> Floats:
    """A grey image [h, w] with small bright spots (reflections of the lamps) filled from around:
    a morphological opening over 7 pixels, where it changes much."""
    import torch

    image = torch.from_numpy(np.ascontiguousarray(grey))[None, None]
    low = -torch.nn.functional.max_pool2d(-image, 7, 1, 3)
    opened = torch.nn.functional.max_pool2d(low, 7, 1, 3)
    spot = image - opened > 0.25 * (float(grey.max()) - float(grey.min()))
    filled: Floats = torch.where(spot, opened, image)[0, 0].numpy()
    return np.minimum(filled, np.percentile(filled, 98)).astype(np.float32)
