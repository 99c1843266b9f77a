"""What occlusions are drawn with: antialiased shapes, curves, smooth noise and textures.

Coordinates are shares of the image's side, x to the right, y down: 0.5, 0.5 is the centre. An image is float32
[s, s, 3] in 0..255, a cover float32 [s, s, 1]: the share of each pixel that a shape takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Float = np.ndarray[Any, np.dtype[np.float32]]
Points = np.ndarray[Any, np.dtype[np.float64]]  # [n, 2]: x, y
Array = np.ndarray[Any, np.dtype[Any]]
Pair = Sequence[float] | Array  # x, y
Colour = Sequence[float] | Array

_FINER = 4  # shapes are drawn so many times as large, and averaged down
TEXTURES = ("plain", "gradient", "stripes", "checks", "blotches", "grain")


def cover(side: int, shapes: Sequence[Points], holes: Sequence[Points] = (), *, soft: float = 0.0) -> Float:
    """Polygons, less holes.  ``soft``: the sigma, in shares of the side, of a Gaussian over the edge."""
    big = Image.new("L", (_FINER * side, _FINER * side))
    draw = ImageDraw.Draw(big)
    for fill, polygons in ((255, shapes), (0, holes)):
        for points in polygons:
            draw.polygon([(float(x), float(y)) for x, y in points * (_FINER * side) - 0.5], fill=fill)
    small = big.reduce(_FINER)
    if soft > 0:
        small = small.filter(ImageFilter.GaussianBlur(soft * side))
    share: Float = np.asarray(small, np.float32) / np.float32(255)
    return share[:, :, None]


def lay(image: Float, covered: Float, colour: Colour) -> Float:
    """A colour [3], or an image of colours, over an image where it is covered."""
    painted: Float = image + covered * (np.asarray(colour, np.float32) - image)
    return painted


def shadow(image: Float, covered: Float, by: tuple[float, float], strength: float) -> Float:
    """Darken an image by what lies over it, moved ``by`` (x, y) and softened."""
    side = len(image)
    moved = np.roll(covered[:, :, 0], (round(by[1] * side), round(by[0] * side)), (0, 1))
    soft = Image.fromarray((255 * moved).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.015 * side))
    share: Float = np.asarray(soft, np.float32)[:, :, None] * np.float32(strength / 255)
    return image * (1 - share)


def curve(start: Pair, bend: Pair, end: Pair, n: int = 14) -> Points:
    """A quadratic Bézier curve of ``n`` points."""
    t = np.linspace(0, 1, n)[:, None]
    a, b, c = (np.asarray(p, np.float64) for p in (start, bend, end))
    points: Points = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
    return points


def stroke(line: Points, first: float, last: float | None = None) -> Points:
    """The outline of a line whose width runs from ``first`` to ``last``."""
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    widths = np.linspace(first, first if last is None else last, len(line))[:, None] / 2
    return np.concatenate([line + widths * across, (line - widths * across)[::-1]])


def oval(centre: Pair, half: Pair, *, power: float = 2.0, angle: float = 0.0) -> Points:
    """|x / half|^power + |y / half|^power = 1, turned by ``angle`` (radians): from ellipse to rounded box."""
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    x, y = (np.sign(f(t)) * np.abs(f(t)) ** (2 / power) * h for f, h in zip((np.cos, np.sin), half, strict=True))
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y], 1)


def blob(rng: np.random.Generator, centre: Pair, radius: float, roughness: float) -> Points:
    """A closed smooth outline: the logarithm of its radius is a sum of four waves of falling size."""
    t = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    waves = sum(roughness / k * rng.normal() * np.cos(k * t + rng.uniform(0, 2 * math.pi)) for k in (1, 2, 3, 5))
    r = radius * np.exp(waves)
    return np.stack([centre[0] + r * np.cos(t), centre[1] + r * np.sin(t)], 1)


def rounded(points: Points, times: int = 3) -> Points:
    """A closed polygon with its corners cut again and again (Chaikin, 1974): smooth in the limit."""
    for _ in range(times):
        following = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], 1).reshape(-1, 2)
    return points


def places(side: int) -> tuple[Float, Float]:
    """x and y of every pixel's centre.  # float32 [s, s] each"""
    at = ((np.arange(side) + 0.5) / side).astype(np.float32)
    x, y = np.meshgrid(at, at)
    return x, y


def smooth_noise(rng: np.random.Generator, side: int, cells: int) -> Float:
    """Noise of deviation about 1, smooth between ``cells`` x ``cells`` places.  # float32 [s, s, 1]"""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float32)[:, :, None]


def texture(rng: np.random.Generator, x: Float, y: Float, colours: Sequence[Colour] | Array, kind: str) -> Float:
    """An image of colours in one of :data:`TEXTURES`, between two ``colours``.  # float32 [s, s, 3]

    ``x`` and ``y`` [s, s] are the places on the cloth: stripes and checks follow them. Periods are 0.04..0.2.
    """
    first, second = (np.asarray(c, np.float32) for c in colours)
    angle, period = rng.uniform(0, math.pi), rng.uniform(0.04, 0.2)
    u = (x * math.cos(angle) + y * math.sin(angle))[:, :, None]
    v = (y * math.cos(angle) - x * math.sin(angle))[:, :, None]
    edge = 0.12  # of a period: an edge of the pattern is this soft

    def bands(at: Float) -> Float:
        wave: Float = np.sin(2 * math.pi * at / period)
        share: Float = np.clip(0.5 + wave / (2 * math.pi * edge), 0, 1)
        return share

    if kind == "gradient":
        share = (u - u.min()) / max(float(np.ptp(u)), 1e-6)
    elif kind == "stripes":
        share = bands(u)
    elif kind == "checks":
        share = 0.5 * (bands(u) + bands(v))
    elif kind == "blotches":
        share = np.clip(0.5 + smooth_noise(rng, len(x), int(rng.integers(4, 12))), 0, 1)
    elif kind == "grain":
        share = np.clip(0.25 + 0.25 * rng.standard_normal((*x.shape, 1)).astype(np.float32), 0, 1)
    else:
        share = np.zeros((*x.shape, 1), np.float32)
    mixed: Float = (first + share * (second - first)).astype(np.float32)
    return mixed
