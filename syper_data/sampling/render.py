"""Keys to pixels: synthesis, range, rounding, resize, as the settings say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np

from syper_data.dataset.settings import SamplingSettings
from syper_data.gan.generator import Generator, NoiseMode
from syper_data.gan.synthesis import Key, Synthesizer
from syper_data.imaging.pixels import resize, to_uint8

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


class Renderer:
    """Makes the images of keys under fixed settings."""

    def __init__(self, generator: Generator, settings: SamplingSettings) -> None:
        self.settings = settings
        self.synthesizer = Synthesizer(
            generator,
            precision=settings.precision,
            block_size=settings.block_size,
            noise_mode=cast(NoiseMode, settings.noise_mode),
            psi=settings.psi,
            device=settings.device,
        )

    def images(self, keys: Sequence[Key]) -> Iterator[Pixels]:
        """uint8 [h, w, c] for each key, in order; ``keys`` must begin at a block's first entry."""
        for images in self.synthesizer.blocks(keys):
            for pixels in to_uint8(images, self.settings.value_range):
                yield resize(pixels, self.settings.output_size, self.settings.resize_filter)


def pixel_sha256(pixels: Pixels) -> str:
    """SHA-256 of the uint8 [h, w, c] array's bytes, row by row."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
