"""Differentiable augmentation for both players of the GAN (Zhao et al. 2020, "DiffAugment").

Each transform is applied to an image with probability ``probability``, so that the undistorted
distribution stays identifiable (Karras et al. 2020b, section 2.2: below about 0.8 nothing leaks).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from syper_data.gan.config import check_number


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths of the transforms.

    ``colour`` scales brightness (+-0.5), saturation (0..2) and contrast (0.5..1.5); ``shift`` is
    the largest translation and ``cutout`` the side of the erased square, both as a share of the
    image side.
    """

    probability: float = 0.5
    colour: float = 1.0
    shift: float = 0.125
    cutout: float = 0.5

    def __post_init__(self) -> None:
        for name in ("probability", "colour", "shift", "cutout"):
            check_number(f"augment.{name}", getattr(self, name), 0, 1)


def augment(images: Tensor, config: AugmentConfig, rng: torch.Generator) -> Tensor:
    """``images`` [n, c, r, r] in [-1, 1] -> augmented images; every draw comes from ``rng``."""
    n, _, side, _ = images.shape
    if config.probability == 0:
        return images

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng).to(images.device, images.dtype)

    def chosen() -> Tensor:
        return (draw(n, 1, 1, 1) < config.probability).to(images.dtype)

    x = images
    if config.colour:
        strength = chosen() * config.colour
        saturation = 1 + (draw(n, 1, 1, 1) * 2 - 1) * strength
        contrast = 1 + (draw(n, 1, 1, 1) - 0.5) * strength
        brightness = (draw(n, 1, 1, 1) - 0.5) * strength
        grey = x.mean(dim=1, keepdim=True)
        x = (x - grey) * saturation + grey
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        x = (x - mean) * contrast + (mean + brightness)
    if config.shift:
        reach = round(side * config.shift)
        use = chosen().flatten() > 0
        offset = torch.randint(-reach, reach + 1, (n, 2), generator=rng)
        offset = torch.where(use.cpu()[:, None], offset, torch.zeros_like(offset))
        padded = F.pad(x, (reach, reach, reach, reach))
        x = torch.stack(
            [
                padded[i, :, reach + dy : reach + dy + side, reach + dx : reach + dx + side]
                for i, (dy, dx) in enumerate(offset.tolist())
            ]
        )
    if config.cutout:
        size = round(side * config.cutout)
        first = torch.randint(0, side, (n, 2), generator=rng) - size // 2  # [n, (row, column)]
        offset = torch.arange(side) - first[:, :, None]
        inside = (offset >= 0) & (offset < size)  # [n, 2, side]
        hole = (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None].to(images.device, images.dtype)
        x = x * (1 - hole * chosen())
    return x
