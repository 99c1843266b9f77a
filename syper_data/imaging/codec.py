"""Decoding images from bytes, and encoding them with settings that a manifest can record."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError, features

from syper_data.errors import ConfigError, InputError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

MAX_PIXELS = 64_000_000  # a decompression bomb is refused before it is decoded

# PNG: level 1 by measurement (benchmarks/png_level.py); JPEG without chroma subsampling
_OPTIONS: dict[str, dict[str, Any]] = {
    "png": {"compress_level": 1},
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"quality": 90, "method": 4},
}
_LIBRARY = {"png": "zlib", "jpeg": "jpg", "webp": "webp"}
_SUFFIX = {"png": "png", "jpeg": "jpg", "webp": "webp"}


def encoder_identity(image_format: str) -> dict[str, Any]:
    """Library, version, codec version and options: what a manifest records of the encoder."""
    codec = _LIBRARY[image_format]
    version = features.version(codec) or "unknown"
    if codec == "zlib" and features.check_feature("zlib_ng"):
        codec, version = "zlib-ng", features.version_feature("zlib_ng") or version
    if codec == "jpg" and features.check_feature("libjpeg_turbo"):
        codec, version = "libjpeg-turbo", features.version_feature("libjpeg_turbo") or version
    return {
        "library": "Pillow",
        "version": PIL.__version__,
        "codec": f"{codec} {version}",
        "options": dict(_OPTIONS[image_format]),
    }


def encode(pixels: Pixels, image_format: str, options: dict[str, Any]) -> bytes:
    """uint8 [h, w, 3] or [h, w, 1] -> encoded bytes, with the options of the manifest."""
    allowed = set(_OPTIONS[image_format])
    if set(options) != allowed or not all(isinstance(v, int) for v in options.values()):
        raise ConfigError(f"encoder options for {image_format} must be {', '.join(sorted(allowed))}")
    buffer = io.BytesIO()
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    image.save(buffer, image_format.upper(), **options)
    return buffer.getvalue()


def file_suffix(image_format: str) -> str:
    """The usual file name ending of a format, without the dot."""
    return _SUFFIX[image_format]


def decode(data: bytes, mode: str, where: str) -> Pixels:
    """Encoded bytes to uint8 [h, w, c]: ``mode`` RGB gives 3 channels, L gives 1.

    The stored pixels as they are, for images that the toolkit wrote; photos go through
    :func:`decode_rgb`.

    Raises:
        InputError: the bytes are no image, truncated, or larger than 64 megapixels.
    """
    with _opened(data, where) as image:
        pixels = np.asarray(image.convert(mode))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def decode_rgb(data: bytes, where: str) -> Pixels:
    """Encoded image bytes to uint8 [h, w, 3], upright: what a person sees in a viewer.

    The EXIF orientation is applied; grey, palette and CMYK images become RGB; 16-bit values keep
    their upper 8 bits; transparent parts are laid on white.

    Raises:
        InputError: as :func:`decode`, or pixel values without a known range (float, 32-bit).
    """
    with _opened(data, where) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in ("F", "I"):
            values = "floating-point" if upright.mode == "F" else "32-bit"
            raise InputError(f"{where}: {values} pixel values have no known range; save it with 8 or 16 bits")
        if upright.mode.startswith("I;16"):
            grey = (np.asarray(upright).astype(np.uint16) >> 8).astype(np.uint8)
            return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
        if upright.has_transparency_data:
            layered = upright.convert("RGBA")
            white = Image.new("RGBA", layered.size, "white")
            upright = Image.alpha_composite(white, layered)
        pixels: Pixels = np.asarray(upright.convert("RGB"))
    return pixels


@contextmanager
def _opened(data: bytes, where: str) -> Iterator[Image.Image]:
    """The image, not yet decoded; whatever goes wrong with it in the block is one InputError."""
    if not data:
        raise InputError(f"{where}: the image is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit is below Pillow's; TIFF tags chatter
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > MAX_PIXELS:
                    millions = image.width * image.height / 1e6
                    raise InputError(
                        f"{where}: {image.width}x{image.height} is {millions:.0f} megapixels, "
                        f"more than {MAX_PIXELS // 1_000_000}; make it smaller first"
                    )
                yield image
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged data
        text = str(error)
        kind = type(error).__name__
        if "truncated" in text or "broken data stream" in text:
            kind = "truncated"
        elif isinstance(error, UnidentifiedImageError):
            kind = "of no known format"
        raise InputError(f"{where}: not a decodable image ({kind})") from error
