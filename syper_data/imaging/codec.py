"""Decoding images from bytes, and encoding them with settings that a manifest can record."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import PIL
from PIL import Image, features

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

    Raises:
        InputError: the bytes are no image, truncated, or larger than 64 megapixels.
    """
    if not data:
        raise InputError(f"{where}: the image is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"{where}: {image.width}x{image.height} pixels, more than {MAX_PIXELS}")
            pixels = np.asarray(image.convert(mode))
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged data
        raise InputError(f"{where}: not a decodable image ({type(error).__name__})") from error
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def decode_rgb(data: bytes, where: str) -> Pixels:
    """Encoded image bytes to uint8 [h, w, 3]; grey and palette images become RGB."""
    return decode(data, "RGB", where)
