"""``generate``: batches of images from seeds, nothing written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.dataset.manifest import MAX_SEED
from syper_data.errors import UsageError
from syper_data.gan.bundled import open_generator
from syper_data.gan.generator_file import GeneratorFile
from syper_data.gan.synthesis import torch_threads
from syper_data.sampling.plan import parse_seeds, plan_settings
from syper_data.sampling.render import Renderer

Batch = np.ndarray[Any, np.dtype[np.uint8]]


class Batches:
    """A sized iterable of batches uint8 [n, h, w, c]; each pass makes the images again."""

    def __init__(self, renderer: Renderer, keys: Sequence[tuple[int, int | None]]) -> None:
        self._renderer = renderer
        self.keys = list(keys)

    @property
    def batch_size(self) -> int:
        """Images a batch (the last may be smaller)."""
        return self._renderer.settings.block_size

    def __len__(self) -> int:
        return -(-len(self.keys) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.keys), self.batch_size):
            keys = self.keys[start : start + self.batch_size]
            with torch_threads(self._renderer.settings.threads_per_worker):
                batch = np.stack(list(self._renderer.images(keys)))
            yield batch


def generate(
    generator: str | Path | GeneratorFile | None = None,
    seeds: str | Sequence[int] = "0-7",
    *,
    label: int | None = None,
    psi: float = 1.0,
    noise_mode: str = "const",
    precision: str = "auto",
    output_size: int | None = None,
    resize_filter: str | None = None,
    device: str = "cpu",
) -> Batches:
    """Images of ``seeds`` as batches uint8 [n, h, w, c], the same pixels that :func:`sample` writes.

    ``seeds`` is a sequence of whole numbers (repeats allowed) or ``"0-99,250"``. Defaults and
    meanings are those of :func:`sample`.

    Raises:
        UsageError: a seed out of 0..2^32-1, a missing or needless label, a value out of range.
    """
    loaded = open_generator(generator)
    if isinstance(seeds, str):
        numbers = [s for start, stop in parse_seeds(seeds) for s in range(start, stop)]
    else:
        numbers = [int(s) for s in seeds]
    for seed in numbers:
        if not 0 <= seed <= MAX_SEED:
            raise UsageError(f"seed {seed}: must lie in 0..{MAX_SEED}")
    c_dim = loaded.config.c_dim
    if c_dim and (label is None or not 0 <= label < c_dim):
        raise UsageError(f"the generator has {c_dim} classes: give a label in 0..{c_dim - 1}, not {label}")
    if not c_dim and label is not None:
        raise UsageError(f"label {label}: the generator is unconditional, it has no labels")
    settings = plan_settings(
        loaded,
        psi=psi,
        noise_mode=noise_mode,
        precision=precision,
        output_size=output_size,
        resize_filter=resize_filter,
        device=device,
    )
    return Batches(Renderer(loaded.generator, settings), [(s, label) for s in numbers])
