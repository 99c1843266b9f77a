"""From a generator's float output to the pixels that are encoded."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from syper_data.errors import SyperError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
FloatImages = np.ndarray[Any, np.dtype[np.float32]]

_FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def to_uint8(images: FloatImages, value_range: str) -> Pixels:
    """Float32 [n, h, w, c] -> uint8, rounded to the nearest level, halves up.

    ``clamp`` maps [-1, 1] to 0..255 as the published generators do: floor(127.5 x + 128), clipped.
    ``minmax_per_image`` maps each image's own minimum and maximum to 0 and 255 (a flat image to 0).

    Raises:
        SyperError: a value is not finite.
    """
    if not np.isfinite(images).all():
        raise SyperError("the generator produced values that are not finite")
    if value_range == "minmax_per_image":
        low = images.min(axis=(1, 2, 3), keepdims=True)
        span = images.max(axis=(1, 2, 3), keepdims=True) - low
        scaled = (images - low) / np.where(span > 0, span, 1) * np.float32(255) + np.float32(0.5)
    else:
        scaled = images * np.float32(127.5) + np.float32(128)
    pixels: Pixels = np.clip(np.floor(scaled), 0, 255).astype(np.uint8)
    return pixels


def resize(pixels: Pixels, size: int, resize_filter: str) -> Pixels:
    """uint8 [h, w, c] -> [size, size, c].

    ``nearest`` takes source row ``floor(i * h / size)``, the convention of the published sampling
    code; the others are Pillow's antialiased filters. ``none`` and an unchanged size copy nothing.
    """
    h, w, c = pixels.shape
    if resize_filter == "none" or (h, w) == (size, size):
        return pixels
    if resize_filter == "nearest":
        rows, columns = np.arange(size) * h // size, np.arange(size) * w // size
        return np.ascontiguousarray(pixels[rows[:, None], columns[None]])
    image = Image.fromarray(pixels[:, :, 0] if c == 1 else pixels)
    resized = np.asarray(image.resize((size, size), _FILTERS[resize_filter]))
    return resized[:, :, None] if c == 1 else resized
