"""The first ranges of a student's activations, from images: those that its rounding harms least."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from syper_data.errors import InputError
from syper_data.quantization.layers import ActivationRange
from syper_data.quantization.student import Student

_BINS = 2048  # of the histogram of a tensor and batch: a sample of the values would miss the rare, far ones
_SHARES = torch.linspace(0.2, 1.0, 17)  # of the extremes, tried as the ranges' ends
_SMALLEST = 1e-12


@torch.no_grad()
def calibrate(student: Student, batches: Iterable[Tensor], *, extremes: bool = False) -> None:
    """Set the ranges of activations by what the unrounded network gives for images float32 [n, 3, s, s].

    Each range is that with the smallest squared error of the rounded values, both ends tried at several
    shares of the extremes; or it reaches from one of the ``extremes`` to the other.

    Raises:
        InputError: there are no images, or a tensor has the value 0 throughout: no range fits it.
    """
    names = [name for name, _ in student.ranges()]
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in names}  # values, how often
    count = 0
    mode, student.rounded = student.rounded, False
    try:
        for images in batches:
            count += len(images)
            values = student.run(images, names)
            for name in names:
                seen[name].append(_histogram(values[name]))
    finally:
        student.rounded = mode
    if not count:
        raise InputError("calibration: there are no images")
    for name, part in student.ranges():
        found, often = (torch.cat(part) for part in zip(*seen[name], strict=True))
        low, high = min(float(found.min()), 0.0), max(float(found.max()), 0.0)
        if not np.isfinite(high - low) or high - low < _SMALLEST:
            raise InputError(
                f"calibration: the activations {name} range from {low + 0:g} to {high + 0:g} on {count} images: "
                "no levels fit that; the images or the network are not usable"
            )
        part.set(low, high)
        if not extremes:
            _fit(part, found, often, low, high)


def _histogram(x: Tensor) -> tuple[Tensor, Tensor]:
    """Values and how often there is one about as large; the extremes are exact.  # float32 [k], [k]"""
    low, high = float(x.min()), float(x.max())
    if not np.isfinite(high - low) or high - low < _SMALLEST:
        return torch.tensor([low]), torch.ones(1)
    counts = torch.histc(x, _BINS, low, high)
    return torch.linspace(low, high, _BINS)[counts > 0], counts[counts > 0]


def _fit(part: ActivationRange, values: Tensor, often: Tensor, low: float, high: float) -> None:
    lows = low * (_SHARES if low < 0 else _SHARES[-1:])
    highs = high * (_SHARES if high > 0 else _SHARES[-1:])
    ends = torch.cartesian_prod(lows, highs)  # [k, 2]
    step = (ends[:, 1:] - ends[:, :1]) / part.levels
    zero = (-ends[:, :1] / step).round_()
    rounded = (values / step).round_().clamp_(-zero, part.levels - zero).mul_(step)
    best = int(((rounded - values).square_() @ often).argmin())
    part.set(float(ends[best, 0]), float(ends[best, 1]))
