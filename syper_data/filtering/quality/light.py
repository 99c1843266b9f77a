"""Light: exposure, contrast, glare."""

from __future__ import annotations

import numpy as np

from syper_data.filtering.quality.measure import Measure, Pixels, luma

_GLARE = 225  # levels; skin and sclera of well exposed crops stay below


class Exposure(Measure):
    """Mean luma, in levels of 0..255."""

    name = "exposure"
    unit = "levels"
    low = "too dark"
    high = "too bright"

    def measure(self, pixels: Pixels) -> float:
        """See the class."""
        return float(luma(pixels).mean(dtype=np.float32))


class Contrast(Measure):
    """Standard deviation of the luma (RMS contrast, Peli 1990), in levels of 0..255."""

    name = "contrast"
    unit = "levels"
    low = "low contrast"
    high = "harsh contrast"

    def measure(self, pixels: Pixels) -> float:
        """See the class."""
        return float(luma(pixels).std(dtype=np.float32))


class Glare(Measure):
    """Share of pixels with a luma of 225 or more, in percent of the crop.

    A lamp's reflection on a cornea is a few pixels; on a lens of glasses it is a patch.
    """

    name = "glare"
    unit = "% of pixels"
    high = "glare"

    def measure(self, pixels: Pixels) -> float:
        """See the class."""
        grey = luma(pixels)
        return 100 * float(np.count_nonzero(grey >= _GLARE)) / grey.size
