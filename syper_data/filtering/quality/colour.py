"""Colour casts of visible-light crops, along the two axes of a white balance.

A wrong white balance multiplies the channels (von Kries). Its logarithms are taken, so that the
same cast gives the same change on every skin.
"""

from __future__ import annotations

import math

import numpy as np

from syper_data.filtering.quality.measure import Measure, Pixels


class Warmth(Measure):
    """100 ln(R / B) of the crop's mean colour, in percent: high is orange, low is blue."""

    name = "colour_warmth"
    unit = "%"
    low = "blue cast"
    high = "orange cast"

    def measure(self, pixels: Pixels) -> float:
        """See the class."""
        red, _, blue = _log_mean(pixels)
        return 100 * (red - blue)


class Tint(Measure):
    """100 ln(G / sqrt(R B)) of the crop's mean colour, in percent: high is green, low is magenta."""

    name = "colour_tint"
    unit = "%"
    low = "magenta cast"
    high = "green cast"

    def measure(self, pixels: Pixels) -> float:
        """See the class."""
        red, green, blue = _log_mean(pixels)
        return 100 * (green - (red + blue) / 2)


def _log_mean(pixels: Pixels) -> tuple[float, float, float]:
    """Logarithm of the mean of each channel, one level added so that black has one."""
    height, width = pixels.shape[:2]
    sums = np.ascontiguousarray(pixels).reshape(height, width * 3).sum(axis=0, dtype=np.uint32)
    red, green, blue = (math.log(1 + float(sums[c::3].sum()) / (height * width)) for c in range(3))
    return red, green, blue
