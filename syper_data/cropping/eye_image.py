"""Crops of images that show one eye and no face, brought to one scale: the iris is the unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syper_data.cropping.geometry import Square, outside_share
from syper_data.cropping.iris_search import Iris, find_iris
from syper_data.cropping.settings import CropSettings
from syper_data.cropping.table import Failure
from syper_data.imaging.source import SourceImage

MakeRow = Callable[[SourceImage, Square, CropSettings, str], dict[str, Any]]


def crop_eye_image(image: SourceImage, settings: CropSettings, make_row: MakeRow) -> dict[str, Any] | Failure:
    """One row, or why there is none.

    The square is centred on the iris, its side ``iris_diameters`` times the iris diameter; with
    ``iris_ratio`` the iris is not measured but taken to lie at the centre, that share of the side.
    """
    h, w = image.pixels.shape[:2]
    if settings.landmarks == "iris_ratio":
        assert settings.iris_ratio is not None
        found: Iris | str = Iris(w / 2, h / 2, min(h, w) / settings.iris_ratio)
    else:
        found = find_iris(image.pixels, image.spectrum or settings.spectrum, settings.iris_pixels)
    if isinstance(found, str):
        return Failure.of(image, image.side, found)
    square = Square(found.x, found.y, found.diameter * settings.iris_diameters)
    outside = outside_share(square, w, h)
    if outside > settings.max_outside:
        reason = f"{outside:.0%} of the crop lies outside of the image, more than {settings.max_outside:.0%}"
        return Failure.of(image, image.side, reason)
    return {
        **make_row(image, square, settings, "iris"),
        "iris_x": found.x,
        "iris_y": found.y,
        "iris_diameter": found.diameter,
        "pupil_diameter": found.pupil_diameter,
        "outside": outside,
    }
