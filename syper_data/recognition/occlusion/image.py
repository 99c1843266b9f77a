"""One image with something over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from syper_data.errors import InputError
from syper_data.recognition.occlusion import eyes
from syper_data.recognition.occlusion.config import OcclusionConfig
from syper_data.recognition.occlusion.drawing import Float
from syper_data.recognition.occlusion.faces import mask

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_DRAWN: dict[str, Callable[[Float, np.random.Generator], Float]] = {
    "lid": eyes.lid,
    "lashes": eyes.lashes,
    "patch": eyes.patch,
    "hair": eyes.hair,
    "glare": eyes.glare,
    "glasses": eyes.glasses,
    "mask": mask,
}


def occlude_image(
    pixels: Pixels, config: OcclusionConfig, seed: Sequence[int], *, landmarks: Any = None
) -> tuple[Pixels, tuple[str, ...]]:
    """An image uint8 [s, s, 3] with something over it, and which kinds; most likely none where ``share`` is small.

    Eye crops are in canonical orientation. The same seed (whole numbers >= 0) gives the same picture. A grey image
    stays grey. ``landmarks`` [5, 2] in pixels place a face mask; without them the face is an aligned one.

    Raises:
        InputError: not a square uint8 image of three channels.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.shape[0] != pixels.shape[1]:
        raise InputError(f"an image to occlude is {pixels.dtype} {list(pixels.shape)}: must be uint8 [s, s, 3]")
    rng = np.random.default_rng(list(seed))
    if rng.random() >= config.share:
        return pixels, ()
    count = int(rng.integers(1, min(config.most, len(config.kinds)) + 1))
    chosen = sorted(rng.choice(len(config.kinds), count, replace=False).tolist())
    kinds = tuple(config.kinds[i] for i in chosen)
    image: Float = pixels.astype(np.float32)
    for kind in kinds:
        image = mask(image, rng, landmarks) if kind == "mask" else _DRAWN[kind](image, rng)
    if (pixels[:, :, :1] == pixels).all():
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8), kinds
