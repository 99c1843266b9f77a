"""Planted copies: what a leak may look like, as seeded pixel functions with stated strengths.

Each takes uint8 [h, w, 3] and a random generator and returns uint8 of the same shape. Edges are continued.
Lengths are shares of the image's width or pixels of the image as given.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

SHIFT, RESCALE, SIGMA, CROP = 0.04, 0.05, 1.0, 0.9
JPEG_QUALITY = (40, 80)
GAIN, SLOPE, COLOUR = (0.8, 1.2), 0.25, 0.1


@dataclass(frozen=True)
class CopyKind:
    """A name, what is done to the pixels, and the function that does it."""

    name: str
    description: str
    make: Callable[[Pixels, np.random.Generator], Pixels]


def planted(kind: CopyKind, pixels: Pixels, row: int, seed: int) -> Pixels:
    """The copy of reference image ``row``: the same for the same kind, row and seed."""
    rng = np.random.default_rng([seed, row, zlib.crc32(kind.name.encode())])
    return np.ascontiguousarray(kind.make(pixels, rng))


def _unchanged(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return pixels


def _recompressed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    buffer = io.BytesIO()
    quality = int(rng.integers(JPEG_QUALITY[0], JPEG_QUALITY[1] + 1))
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _mirrored(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return pixels[:, ::-1]


def _shifted(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    angle = rng.uniform(0, 2 * np.pi)
    return _resampled(pixels, 1.0, SHIFT * np.cos(angle), SHIFT * np.sin(angle))


def _rescaled(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return _resampled(pixels, 1 + RESCALE if rng.random() < 0.5 else 1 / (1 + RESCALE), 0.0, 0.0)


def _blurred(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    margin = int(np.ceil(4 * SIGMA))
    padded = Image.fromarray(np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
    return np.asarray(padded.filter(ImageFilter.GaussianBlur(SIGMA)))[margin:-margin, margin:-margin]


def _relit(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    h, w = pixels.shape[:2]
    angle, gain = rng.uniform(0, 2 * np.pi), rng.uniform(*GAIN)
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    slope = 1 + SLOPE * (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2)
    return _rounded(pixels * (gain * slope)[:, :, None])


def _colour_shifted(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    gains = rng.uniform(1 - COLOUR, 1 + COLOUR, 3)
    if (pixels == pixels[:, :, :1]).all():
        gains[:] = gains[0]  # a grey image stays grey
    return _rounded(pixels * gains)


def _recropped(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    free = (1 - CROP) / 2
    return _resampled(pixels, 1 / CROP, rng.uniform(-free, free), rng.uniform(-free, free))


COPY_KINDS = (
    CopyKind("unchanged", "the reference image itself, embedded again", _unchanged),
    CopyKind("recompressed", "JPEG of quality 40 to 80", _recompressed),
    CopyKind("mirrored", "left and right exchanged", _mirrored),
    CopyKind("shifted", "by 4 % of the width, any direction", _shifted),
    CopyKind("rescaled", "5 % larger or smaller about the centre", _rescaled),
    CopyKind("blurred", "Gaussian, sigma 1 pixel", _blurred),
    CopyKind("relit", "gain 0.8 to 1.2 and a slope of light of +-25 % from edge to edge, any direction", _relit),
    CopyKind("colour_shifted", "red, green and blue each by a gain of 0.9 to 1.1", _colour_shifted),
    CopyKind("recropped", "90 % of the width at a random place, enlarged to the whole", _recropped),
)


def _resampled(pixels: Pixels, zoom: float, dx: float, dy: float) -> Pixels:
    """Zoomed about the centre, then moved by shares of the width; bicubic."""
    h, w = pixels.shape[:2]
    margin = int(np.ceil(0.15 * max(h, w)))
    padded = Image.fromarray(np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
    left = margin + w / 2 - (w / 2) / zoom - dx * w / zoom
    top = margin + h / 2 - (h / 2) / zoom - dy * w / zoom
    box = (1 / zoom, 0.0, left, 0.0, 1 / zoom, top)
    return np.asarray(padded.transform((w, h), Image.Transform.AFFINE, box, Image.Resampling.BICUBIC))


def _rounded(values: Any) -> Pixels:
    pixels: Pixels = np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
    return pixels
