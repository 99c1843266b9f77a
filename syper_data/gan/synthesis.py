"""Fast synthesis: keys to images, in fixed blocks, the same bytes for the same key.

The latent of a key is ``numpy.random.RandomState(seed).randn(z_dim)`` cast to float32, as the
published generators do. Random noise derives from (seed, label, layer) and from nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from syper_data.gan.generator import Generator, NoiseMode

Key = tuple[int, int | None]
FloatImages = np.ndarray[Any, np.dtype[np.float32]]


class Synthesizer:
    """A generator prepared for inference: constants precomputed, weights cast once.

    ``block_size`` images are always computed together; a shorter block is padded by repeating its
    last key, so the kernels see one shape and an image does not depend on how many follow it.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        precision: str = "fp32",
        block_size: int,
        noise_mode: NoiseMode = "const",
        psi: float = 1.0,
        device: str = "cpu",
    ) -> None:
        self.generator = generator.to(device).eval().requires_grad_(False)
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.generator.synthesis.freeze(self.dtype, noise_mode)
        self.block_size = block_size
        self.noise_mode: NoiseMode = noise_mode
        self.psi = psi
        self.device = torch.device(device)

    @torch.inference_mode()
    def block(self, keys: Sequence[Key]) -> FloatImages:
        """One block of at most ``block_size`` keys -> float32 [n, h, w, c], nominally in [-1, 1]."""
        if not 0 < len(keys) <= self.block_size:
            raise ValueError(f"a block holds 1..{self.block_size} keys, not {len(keys)}")
        padded = [*keys, *[keys[-1]] * (self.block_size - len(keys))]
        config = self.generator.config
        z = torch.from_numpy(latents([seed for seed, _ in padded], config.z_dim)).to(self.device)
        c = one_hot([label for _, label in padded], config.c_dim)
        noise = self._noise(padded) if self.noise_mode == "random" else None
        images = self.generator(
            z,
            None if c is None else c.to(self.device),
            psi=self.psi,
            noise_mode=self.noise_mode,
            noise=noise,
            dtype=self.dtype,
        )
        pixels: FloatImages = images[: len(keys)].permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return pixels

    def blocks(self, keys: Sequence[Key]) -> Iterator[FloatImages]:
        """All keys in blocks, in order."""
        for start in range(0, len(keys), self.block_size):
            yield self.block(keys[start : start + self.block_size])

    def _noise(self, keys: Sequence[Key]) -> list[Tensor]:
        layers = self.generator.synthesis.layers()
        return [
            torch.from_numpy(np.stack([layer_noise(seed, label, i, layer.resolution) for seed, label in keys])).to(
                self.device
            )
            for i, layer in enumerate(layers)
        ]


def latents(seeds: Sequence[int], z_dim: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Seeds in 0..2^32-1 -> float32 [n, z_dim], the published generators' rule."""
    return np.stack([np.random.RandomState(seed).randn(z_dim) for seed in seeds]).astype(np.float32)


def one_hot(labels: Sequence[int | None], c_dim: int) -> Tensor | None:
    """Labels -> float32 [n, c_dim]; None for an unconditional network."""
    if not c_dim:
        return None
    return torch.nn.functional.one_hot(torch.tensor([label or 0 for label in labels]), c_dim).float()


def layer_noise(
    seed: int, label: int | None, layer: int, resolution: int
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The noise image of one key and layer.  # float32 [1, r, r], standard normal

    Philox counter-based bits seeded by (seed, label + 1, layer), label + 1 = 0 for no label.
    """
    sequence = np.random.SeedSequence((seed, 0 if label is None else label + 1, layer))
    rng = np.random.Generator(np.random.Philox(sequence))
    return rng.standard_normal((1, resolution, resolution), dtype=np.float32)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run the block with exactly ``count`` intra-op threads: another number gives other bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def auto_precision(device: str = "cpu") -> str:
    """bf16 where the hardware multiplies it faster than float32, fp32 elsewhere.

    On CPUs that is where matrix tiles (AMX) are present: AVX-512 bf16 instructions alone were
    measured 1.5 to 2 times slower than float32 on these networks' convolutions.
    """
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.cpu._is_amx_tile_supported() else "fp32"
