"""What a quality measure is: a name, a unit, a reason for each side, and one method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Luma = np.ndarray[Any, np.dtype[np.uint8]]

SIDE = 128  # crops are measured at this many pixels a side, so that one threshold fits all sizes


class Measure(ABC):
    """One number that says one thing of an image.

    ``low`` is the reason to reject an image whose number is below the threshold, ``high`` above it;
    None where that side is no fault. Thresholds are not the measure's business: they come from real
    crops. A measure has no state that one image could leave to the next, and takes no arguments.
    """

    name: ClassVar[str]  # a column of the ledger: lower case, digits and underscores
    unit: ClassVar[str]
    low: ClassVar[str | None] = None
    high: ClassVar[str | None] = None

    @abstractmethod
    def measure(self, pixels: Pixels) -> float:
        """The number for one crop, uint8 [128, 128, 3], in canonical orientation."""


def luma(pixels: Pixels) -> Luma:
    """uint8 [h, w, 3] -> uint8 [h, w], the luma of ITU-R BT.601; read only."""
    height, width = pixels.shape[:2]
    return _luma(pixels.tobytes(), width, height)


@lru_cache(maxsize=1)  # most measures of one crop ask for it
def _luma(data: bytes, width: int, height: int) -> Luma:
    return np.asarray(Image.frombytes("RGB", (width, height), data).convert("L"))
