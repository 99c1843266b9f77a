"""Detail: sharpness."""

from __future__ import annotations

import numpy as np

from syper_data.filtering.quality.measure import Measure, Pixels, luma


class Sharpness(Measure):
    """Standard deviation of the luma's Laplacian (4 neighbours), in levels of 0..255.

    The focus measure of Pech-Pacheco et al. (2000), its root taken so that the unit is one of
    brightness. Blur lowers it; noise and upscaling artefacts raise it.
    """

    name = "sharpness"
    unit = "levels"
    low = "blurred"
    high = "noisy"

    def measure(self, pixels: Pixels) -> float:
        """See the class."""
        grey = luma(pixels).astype(np.int16)
        laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
        return float(laplacian.std(dtype=np.float32))
