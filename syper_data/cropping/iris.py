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
    brightness across it, in units of the patch's standard deviation, ``contrast`` in its own."""

    x: float
    y: float
    radius: float
    strength: float
    contrast: float


def find_circle(
    patch: Floats,
    radii: tuple[float, float],
    *,
    arc: float,
    reach: int | None = None,
    spread: float | None = None,
    expected_radius: float | None = None,
    disk: float = 0.4,
    innermost: float = 1.0,
) -> Circle:
    """The strongest dark circle of a grey patch float32 [h, w].

    ``radii`` is the range of the radius in pixels, ``arc`` the half opening of each side arc in
    degrees; 90 is the whole circle. The centre is sought within ``reach`` pixels of the patch's
    centre (None: everywhere). With ``spread`` (pixels) the centre is expected at the patch's centre, and with
    ``expected_radius`` the radius there; both priors are Gaussian and soft. ``disk`` is the weight of a dark
    inside against a sharp edge. Of the radii that peak at ``innermost`` of the best score or more, the
    smallest is taken: lids and lashes make larger circles, never smaller ones.
    """
    import torch

    values, kernels = _radii(radii), _kernels(radii, arc)
    image = torch.from_numpy((patch - patch.mean()) / max(float(patch.std()), 1e-6))[None, None]
    h, w = patch.shape
    half = kernels.shape[-1] // 2
    top, left_edge = (0, 0) if reach is None else (max(0, h // 2 - reach), max(0, w // 2 - reach))
    bottom, right_edge = h - top, w - left_edge
    padded = torch.nn.functional.pad(image, (half, half, half, half), mode="replicate")
    seen = padded[:, :, top : bottom + 2 * half, left_edge : right_edge + 2 * half]
    responses = torch.nn.functional.conv2d(seen, kernels)[0]
    parts = responses.reshape(5, len(values), bottom - top, right_edge - left_edge)
    # all parts of the circle must brighten but one, which a lid may cover: the weaker count most
    ordered = parts[:4].sort(dim=0).values
    strength = ordered[1]
    score = strength + 0.25 * ordered.mean(dim=0) - disk * parts[4]
    if spread is not None:
        y, x = torch.meshgrid(
            torch.arange(top, bottom) + 0.5 - h / 2,
            torch.arange(left_edge, right_edge) + 0.5 - w / 2,
            indexing="ij",
        )
        score -= (x**2 + y**2) / (2 * spread**2) * 0.3
    if expected_radius is not None:
        ratio = torch.log(torch.tensor(values) / expected_radius) / 0.12
        score -= (ratio**2 / 2 * 0.3)[:, None, None].float()
    cube = score.numpy()
    i = _first_peak(cube.max(axis=(1, 2)), innermost)
    y0, x0 = (int(n) for n in np.unravel_index(int(cube[i].argmax()), cube[i].shape))
    return Circle(
        left_edge + x0 + 0.5 + _peak(cube[i, y0], x0),
        top + y0 + 0.5 + _peak(cube[i, :, x0], y0),
        float(values[i] + _peak(cube[:, y0, x0], i) * (values[1] - values[0] if len(values) > 1 else 0)),
        float(strength[i, y0, x0]),
        float(strength[i, y0, x0]) * float(patch.std()),
    )


def _radii(limits: tuple[float, float]) -> list[float]:
    low, high = limits
    return list(np.linspace(low, high, max(2, math.ceil((high - low) / 0.75) + 1)))


@lru_cache(maxsize=8)
def _kernels(limits: tuple[float, float], arc: float) -> Any:
    """[5 n, 1, k, k]: of n radii the change across the four arcs (upper and lower half of the left
    and of the right side), and the mean of the disk."""
    import torch

    values = _radii(limits)
    widths = [max(1.5, 0.13 * r) for r in values]  # of the compared rings
    reach = math.ceil(values[-1] + 2 * widths[-1])
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    distance, angle = np.hypot(x, y), np.degrees(np.abs(np.arctan2(y, x)))
    sides = [side & half for side in (angle >= 180 - arc, angle <= arc) for half in (y <= 0, y >= 0)]
    kernels: list[Floats] = []
    for side in sides:
        for r, width in zip(values, widths, strict=True):
            out = side * np.exp(-(((distance - r - width) / (0.6 * width)) ** 2))
            inside = side * np.exp(-(((distance - r + width) / (0.6 * width)) ** 2))
            kernels.append((out / out.sum() - inside / inside.sum()).astype(np.float32))
    for r in values:
        disk = (distance < r * 0.9) * 1.0
        kernels.append((disk / disk.sum()).astype(np.float32))
    return torch.from_numpy(np.stack(kernels))[:, None]


def _first_peak(line: Floats, share: float) -> int:
    """Index of the first local maximum that reaches ``share`` of the largest value."""
    padded = np.concatenate([[-np.inf], line, [-np.inf]])
    peaks = np.flatnonzero((line >= padded[:-2]) & (line >= padded[2:]) & (line >= share * line.max()))
    return int(peaks[0]) if len(peaks) else int(line.argmax())


def _peak(line: Floats, i: int) -> float:
    """Offset of the parabola's vertex through the three values around index ``i``, -0.5..0.5."""
    if not 0 < i < len(line) - 1:
        return 0.0
    a, b, c = (float(v) for v in line[i - 1 : i + 2])
    bend = a - 2 * b + c
    return float(np.clip(0.5 * (a - c) / bend, -0.5, 0.5)) if bend < 0 else 0.0
