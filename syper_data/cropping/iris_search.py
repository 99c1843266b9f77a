"""The iris in an image of one eye."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Iris:
    """Centre and diameters in image pixels."""

    x: float
    y: float
    diameter: float
    pupil_diameter: float | None = None


def find_iris(pixels: Pixels, spectrum: str) -> Iris | str:
    """The iris, or one line on why none is found."""
    raise NotImplementedError
