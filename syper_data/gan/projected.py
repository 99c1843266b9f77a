"""Projected discriminator (Sauer et al. 2021, "Projected GANs Converge Faster").

A frozen feature net sees the image; fixed random 1x1 convolutions mix its channels (cross-channel
mixing) and fixed random 3x3 convolutions mix its scales from coarse to fine (cross-scale mixing);
on each of the four mixed scales a small discriminator is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from syper_data.gan.feature_net import FEATURE_CHANNELS, FEATURE_STRIDES, FeatureNet


class RandomMixing(nn.Module):
    """Fixed random projections of a feature pyramid to ``width`` channels a scale (section 3.2)."""

    def __init__(self, width: int, seed: int, dtype: torch.dtype) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        for i, channels in enumerate(FEATURE_CHANNELS):
            across = torch.randn(width, channels, 1, 1, generator=rng) * (2 / channels) ** 0.5
            scales = torch.randn(width, width, 3, 3, generator=rng) * (2 / (9 * width)) ** 0.5
            self.register_buffer(f"across{i}", across.to(dtype))
            self.register_buffer(f"scales{i}", scales.to(dtype).contiguous(memory_format=torch.channels_last))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Maps at strides 4..32 -> as many maps of ``width`` channels at the same strides."""
        mixed: list[Tensor] = []
        coarser: Tensor | None = None
        for i in reversed(range(len(features))):
            x = F.conv2d(features[i], self.get_buffer(f"across{i}"))
            if coarser is not None:
                x = x + F.interpolate(coarser, size=x.shape[-2:], mode="bilinear", align_corners=False)
            coarser = F.conv2d(x, self.get_buffer(f"scales{i}"), padding=1)
            mixed.append(coarser)
        return mixed[::-1]


class ScaleDiscriminator(nn.Module):
    """Strided spectral-norm convolutions from one feature scale to a small map of logits.

    The two fine scales (strides 4 and 8) are halved until 8 px and judged by a valid 4x4
    convolution, 5x5 logits: the generator gets a gradient for each region and the discriminator
    does not win by one global cue. The two coarse ones are halved until 4 px and give one logit
    for the whole image: without them, eyes were seen above brows.
    """

    def __init__(self, size: int, width: int, *, whole_image: bool) -> None:
        super().__init__()
        channels = width
        stages: list[nn.Module] = []
        while size > (4 if whole_image else 8):
            out = min(channels * 2, 2 * width)
            stages += [
                spectral_norm(nn.Conv2d(channels, out, 4, stride=2, padding=1, bias=False)),
                nn.BatchNorm2d(out),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            channels, size = out, size // 2
        stages.append(spectral_norm(nn.Conv2d(channels, 1, 4)))
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> Tensor:  # [n, width, s, s] -> float32 [n, k]
        y: Tensor = self.stages(x)
        return y.float().flatten(1)


class ProjectedDiscriminator(nn.Module):
    """Images to logits, one set a feature scale. Only the scale discriminators have parameters.

    ``project`` holds the fixed part and ``judge`` the trained part, so that a training step can
    project an image once and use the result for both players. ``calibrate`` brings the mixed
    features of real images to unit variance, which the random projections alone do not.
    """

    gain: Tensor

    def __init__(
        self,
        feature_net: FeatureNet,
        *,
        resolution: int,
        width: int = 64,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.feature_net = feature_net
        self.mixing = RandomMixing(width, seed, dtype)
        self.heads = nn.ModuleList(
            [ScaleDiscriminator(resolution // s, width, whole_image=s >= 16) for s in FEATURE_STRIDES]
        )
        self.register_buffer("gain", torch.ones(len(self.heads)))
        self.dtype = dtype

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> None:
        """Set each scale's gain from real images [n, 3, r, r] in [-1, 1]."""
        self.gain.fill_(1)
        self.gain.copy_(torch.stack([1 / p.float().std().clamp_min(1e-6) for p in self.project(images)]))

    def project(self, images: Tensor) -> list[Tensor]:
        """Images [n, 3, r, r] in [-1, 1] -> the mixed feature pyramid."""
        mixed = self.mixing(self.feature_net(images.to(self.dtype)))
        return [x * gain for x, gain in zip(mixed, self.gain.to(self.dtype), strict=True)]

    def judge(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """The mixed pyramid -> float32 logits [n, k], one tensor a scale."""
        with torch.autocast(pyramid[0].device.type, self.dtype, enabled=self.dtype != torch.float32):
            return [head(x) for head, x in zip(self.heads, pyramid, strict=True)]

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.judge(self.project(images))

    def trained_parameters(self) -> Iterator[nn.Parameter]:
        """What the optimiser moves."""
        return self.heads.parameters()


def hinge_discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Hinge loss of the discriminator, summed over scales (Lim & Ye 2017)."""
    losses = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).sum()


def hinge_generator_loss(fake: Sequence[Tensor]) -> Tensor:
    """Hinge loss of the generator, summed over scales."""
    return torch.stack([-f.mean() for f in fake]).sum()
