"""Recognition utility: how steady a recognizer's embedding of an image is when parts of it are left out."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from syper_data.filtering.quality.measure import Measure, Pixels
from syper_data.recognition.embedder import Embedder, load_embedder

PASSES = 100
DROPPED = 0.5
_SEED = 0


class Utility(Measure):
    """SER-FIQ (Terhoerst et al., CVPR 2020, equation 1) on the last layer: 2 sigmoid(-mean distance).

    The image goes through the network once; what enters the last layer is projected 100 times, each time without
    a random half of it. The distances are Euclidean, of embeddings of length 1. The halves are the same for all
    images, so that equal images have equal values.
    """

    name = "utility"
    unit = "2 sigmoid(-mean distance of embeddings under dropout), 0..1"
    low = "of little use for recognition"

    def __init__(self, recognizer: str | Path) -> None:
        self._recognizer = recognizer

    def measure(self, pixels: Pixels) -> float:
        """As in the base class."""
        network, masks = self._embedder.network, self._masks
        block = np.array(self._embedder.oriented(pixels)[None])  # a writable copy
        with torch.inference_mode():
            values = network.penultimate(self._embedder.prepare(block))
            vectors = torch.nn.functional.normalize(network.project(values * masks)).double()
        cosines = (vectors @ vectors.T).clamp(-1, 1)
        pairs = torch.triu_indices(PASSES, PASSES, 1)
        distance = (2 - 2 * cosines[pairs[0], pairs[1]]).clamp(min=0).sqrt().mean()
        return float(2 * torch.sigmoid(-distance))

    @cached_property
    def _embedder(self) -> Embedder:
        return load_embedder(self._recognizer)

    @cached_property
    def _masks(self) -> Any:
        size = self._embedder.network.penultimate(
            torch.zeros(1, 3, self._embedder.input_size, self._embedder.input_size)
        ).shape[1]
        kept = np.random.default_rng(_SEED).random((PASSES, size)) >= DROPPED
        return torch.from_numpy(kept.astype(np.float32)) / (1 - DROPPED)
