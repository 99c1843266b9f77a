"""Generator files with random weights, small enough to sample in milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch

from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator
from syper_data.gan.generator_file import save_generator

REPOSITORY = Path(__file__).resolve().parent.parent


def small_generator(seed: int = 0, **changes: object) -> Generator:
    """A random network: 16 px, 8-d latents, at most 8 channels; noise strengths are not zero."""
    values: dict[str, object] = {
        "resolution": 16,
        "z_dim": 8,
        "w_dim": 8,
        "mapping_layers": 2,
        "channel_base": 128,
        "channel_max": 8,
    }
    torch.manual_seed(seed)
    generator = Generator(GeneratorConfig(**{**values, **changes}))  # type: ignore[arg-type]
    for layer in generator.synthesis.layers():
        layer.noise_strength.data.fill_(0.2)
    return generator


def save_small_generator(path: Path, seed: int = 0, spectrum: str = "vis", **changes: object) -> Path:
    """Write :func:`small_generator` as a generator file."""
    save_generator(small_generator(seed, **changes), path, spectrum=spectrum, summary={"made_for": "tests"})
    return path
