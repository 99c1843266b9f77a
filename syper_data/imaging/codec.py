"""Decoding images from bytes, and encoding them with settings that a manifest can record."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from syper_data.errors import InputError

MAX_PIXELS = 64_000_000  # a decompression bomb is refused before it is decoded


def decode_rgb(data: bytes, where: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Encoded image bytes to uint8 [h, w, 3]; grey and palette images become RGB.

    Raises:
        InputError: the bytes are no image, truncated, or larger than 64 megapixels.
    """
    if not data:
        raise InputError(f"{where}: the image is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"{where}: {image.width}x{image.height} pixels, more than {MAX_PIXELS}")
            return np.asarray(image.convert("RGB"))
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged data
        raise InputError(f"{where}: not a decodable image ({type(error).__name__})") from error
