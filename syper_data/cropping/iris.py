"""Where is the iris? Daugman's integro-differential operator, computed for all places at once.

Daugman (1993, equation 1) looks for the circle across which the mean brightness changes most. Here
the change is taken over the two side arcs alone, since lids cover the top and the bottom, and as a
convolution, so that every centre and radius of a small patch is tried: no starting point, no
gradient that leads astray.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Circle:
    """A circle in patch pixels (the first pixel covers 0..1); ``strength`` is the change of
    brightness across it, in units of the patch's standard deviation."""

    x: float
    y: float
    radius: float
    strength: float


def find_circle(
    patch: Floats,
    radii: tuple[float, float],
    *,
    arc: float,
    spread: float | None = None,
    expected_radius: float | None = None,
) -> Circle:
    """The strongest dark circle of a grey patch float32 [h, w].

    ``radii`` is the range of the radius in pixels, ``arc`` the half opening of each side arc in
    degrees. With ``spread`` (pixels) the centre is expected at the patch's centre, and with
    ``expected_radius`` the radius there; both priors are Gaussian and soft.
    """
    import torch

    values, kernels = _radii(radii), _kernels(radii, arc)
    image = torch.from_numpy((patch - patch.mean()) / max(float(patch.std()), 1e-6))[None, None]
    pad = kernels.shape[-1] // 2
    responses = torch.nn.functional.conv2d(
        torch.nn.functional.pad(image, (pad, pad, pad, pad), mode="replicate"), kernels
    )[0]
    left, right, dark = responses.reshape(3, len(values), *patch.shape)
    # both sides must brighten: the weaker counts most
    strength = torch.minimum(left, right) + 0.25 * (left + right) / 2 - 0.4 * dark
    score = strength.clone()
    h, w = patch.shape
    if spread is not None:
        y, x = torch.meshgrid(torch.arange(h) + 0.5 - h / 2, torch.arange(w) + 0.5 - w / 2, indexing="ij")
        score -= (x**2 + y**2) / (2 * spread**2) * 0.3
    if expected_radius is not None:
        ratio = torch.log(torch.tensor(values) / expected_radius) / 0.12
        score -= (ratio**2 / 2 * 0.3)[:, None, None].float()
    i, y0, x0 = (int(n) for n in np.unravel_index(int(score.argmax()), score.shape))
    cube = score.numpy()
    return Circle(
        float(x0 + 0.5 + _peak(cube[i, y0], x0)),
        float(y0 + 0.5 + _peak(cube[i, :, x0], y0)),
        float(values[i] + _peak(cube[:, y0, x0], i) * (values[1] - values[0] if len(values) > 1 else 0)),
        float(torch.minimum(left, right)[i, y0, x0]),
    )


def _radii(limits: tuple[float, float]) -> list[float]:
    low, high = limits
    return list(np.linspace(low, high, max(2, math.ceil((high - low) / 0.75) + 1)))


@lru_cache(maxsize=8)
def _kernels(limits: tuple[float, float], arc: float) -> Any:
    """[3 n, 1, k, k]: of n radii the change across the left arc, across the right, and the disk."""
    import torch

    values = _radii(limits)
    width = max(1.5, values[-1] * 0.15)
    half = math.ceil(values[-1] + 2 * width)
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    distance, angle = np.hypot(x, y), np.degrees(np.abs(np.arctan2(y, x)))
    sides = (angle >= 180 - arc, angle <= arc)
    kernels: list[Floats] = []
    for side in sides:
        for r in values:
            out = side * np.exp(-(((distance - r - width) / (0.6 * width)) ** 2))
            inside = side * np.exp(-(((distance - r + width) / (0.6 * width)) ** 2))
            kernels.append((out / out.sum() - inside / inside.sum()).astype(np.float32))
    for r in values:
        disk = (distance < r * 0.9) * 1.0
        kernels.append((disk / disk.sum()).astype(np.float32))
    return torch.from_numpy(np.stack(kernels))[:, None]


def _peak(line: Floats, i: int) -> float:
    """Offset of the parabola's vertex through the three values around index ``i``, -0.5..0.5."""
    if not 0 < i < len(line) - 1:
        return 0.0
    a, b, c = (float(v) for v in line[i - 1 : i + 2])
    bend = a - 2 * b + c
    return float(np.clip(0.5 * (a - c) / bend, -0.5, 0.5)) if bend < 0 else 0.0
