"""The StyleGAN2 residual discriminator: an image (and its class) to one logit.

Written from Karras et al. 2020a (Fig. 7c, section 4.1: residual connections suit the discriminator),
Karras et al. 2018 (minibatch standard deviation, equalized learning rate) and, for classes, Miyato &
Koyama 2018 and Karras et al. 2020b (projection on a mapped label).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syper_data.errors import ConfigError
from syper_data.gan.config import NetworkConfig
from syper_data.gan.layers import EqualizedConv, EqualizedLinear, fir_kernel, normalize_second_moment

_UNIT_VARIANCE = math.sqrt(0.5)  # of a sum of two terms of unit variance
_MBSTD_EPS = 1e-8


@dataclass(frozen=True)
class DiscriminatorConfig(NetworkConfig):
    """Architecture of a StyleGAN2 residual discriminator.

    ``resolution``, ``img_channels``, ``channel_base``, ``channel_max``, ``conv_clamp`` and
    ``resample_filter`` mean what they mean in
    :class:`~syper_data.gan.config.GeneratorConfig`. ``c_dim`` classes, if any, are embedded in
    ``cmap_dim`` dimensions and pass ``mapping_layers`` dense layers. ``mbstd_group_size`` images
    share their standard deviation, as ``mbstd_num_channels`` maps (0: none).

    Raises:
        ConfigError: a value is out of range, with the value and the bound.
    """

    resolution: int
    c_dim: int = 0
    cmap_dim: int = 512
    mapping_layers: int = 8
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    mbstd_group_size: int = 4
    mbstd_num_channels: int = 1
    conv_clamp: float | None = None
    resample_filter: tuple[int, ...] = (1, 3, 3, 1)

    def __post_init__(self) -> None:
        bounds = {
            "c_dim": (0, 1_000_000),
            "cmap_dim": (1, 4096),
            "mapping_layers": (0, 32),
            "img_channels": (1, 4),
            "channel_base": (8, 1 << 20),
            "channel_max": (1, 4096),
            "mbstd_group_size": (1, 4096),
            "mbstd_num_channels": (0, 4096),
        }
        self._check(8, bounds)
        if self.mbstd_num_channels and self.channels(4) % self.mbstd_num_channels:
            raise ConfigError(
                f"mbstd_num_channels is {self.mbstd_num_channels}: must divide the {self.channels(4)} "
                "channels at 4 px"
            )

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """``resolution``, ... 16, 8: what the residual blocks take in, in their order."""
        return tuple(self.resolution >> i for i in range(self.resolution.bit_length() - 3))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the second halving the resolution, beside a filtered 1x1 shortcut."""

    def __init__(self, config: DiscriminatorConfig, resolution: int) -> None:
        super().__init__()
        wide, out = config.channels(resolution), config.channels(resolution // 2)
        self.conv0 = EqualizedConv(wide, wide, 3, conv_clamp=config.conv_clamp)
        self.conv1 = EqualizedConv(wide, out, 3, conv_clamp=config.conv_clamp)
        self.skip = EqualizedConv(wide, out, 1, bias=False, lrelu=False)

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:  # [n, c, r, r] -> [n, c', r/2, r/2]
        shortcut: Tensor = self.skip(x, gain=_UNIT_VARIANCE, down=kernel)
        y: Tensor = self.conv1(self.conv0(x), gain=_UNIT_VARIANCE, down=kernel)
        return shortcut + y


class Head(nn.Module):
    """The 4 px part: minibatch standard deviation, 3x3 convolution, two dense layers; float32."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.group_size, self.std_channels = config.mbstd_group_size, config.mbstd_num_channels
        c = config.channels(4)
        self.conv = EqualizedConv(c + self.std_channels, c, 3, conv_clamp=config.conv_clamp)
        self.fc = EqualizedLinear(c * 4 * 4, c, lrelu=True)
        self.out = EqualizedLinear(c, config.cmap_dim if config.c_dim else 1)

    def forward(self, x: Tensor) -> Tensor:  # float32 [n, c, 4, 4] -> [n, 1 or cmap_dim]
        if self.std_channels:
            x = torch.cat([x, minibatch_std(x, self.group_size, self.std_channels)], dim=1)
        y: Tensor = self.out(self.fc(self.conv(x).flatten(1)))
        return y


class LabelMapping(nn.Module):
    """One-hot classes to the directions on which image features are projected."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.embed = EqualizedLinear(config.c_dim, config.cmap_dim)
        self.layers = nn.Sequential(
            *(
                EqualizedLinear(config.cmap_dim, config.cmap_dim, lr_multiplier=0.01, lrelu=True)
                for _ in range(config.mapping_layers)
            )
        )

    def forward(self, c: Tensor) -> Tensor:  # float32 [n, c_dim] -> [n, cmap_dim]
        y: Tensor = self.layers(normalize_second_moment(self.embed(c)))
        return y


class Discriminator(nn.Module):
    """Images to logits: high for real ones."""

    kernel: Tensor

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.fromrgb = EqualizedConv(
            config.img_channels, config.channels(config.resolution), 1, conv_clamp=config.conv_clamp
        )
        for resolution in config.block_resolutions:
            self.add_module(f"b{resolution}", ResidualBlock(config, resolution))
        self.b4 = Head(config)
        if config.c_dim:
            self.mapping = LabelMapping(config)
        self.register_buffer("kernel", fir_kernel(config.resample_filter), persistent=False)

    def blocks(self) -> list[ResidualBlock]:
        """The residual blocks, fine to coarse."""
        return [cast(ResidualBlock, self.get_submodule(f"b{r}")) for r in self.config.block_resolutions]

    def forward(self, images: Tensor, c: Tensor | None = None, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """``images`` [n, channels, r, r] in [-1, 1], ``c`` one-hot float32 [n, c_dim] or None ->
        float32 logits [n, 1]. ``dtype`` is that of the convolutions above 4 px."""
        x: Tensor = self.fromrgb(images.to(dtype).contiguous(memory_format=torch.channels_last))
        for block in self.blocks():
            x = block(x, self.kernel)
        y: Tensor = self.b4(x.float())
        if not self.config.c_dim:
            return y
        if c is None:
            raise ValueError("a class-conditional network needs labels")
        directions: Tensor = self.mapping(c)
        return (y * directions).sum(dim=1, keepdim=True) / math.sqrt(self.config.cmap_dim)


def minibatch_std(x: Tensor, group_size: int, num_channels: int) -> Tensor:
    """How much a group of images differs, as constant maps (Karras et al. 2018, section 3).

    ``x`` [n, c, h, w] -> float32 [n, num_channels, h, w]. The channels are split into
    ``num_channels`` runs; of each, the standard deviation over the images of a group is averaged
    over channels and pixels. There are ``ceil(n / group_size)`` groups and image ``i`` belongs to
    group ``i mod groups``: a batch that ``group_size`` does not divide gives groups whose sizes
    differ by one, and a smaller batch is one group. An image alone in its group has deviation 1e-4, the floor.
    """
    n, _, h, w = x.shape
    groups = -(-n // group_size)
    member = F.one_hot(torch.arange(n, device=x.device) % groups, groups).float()  # [n, groups]
    average = member.t() / member.sum(dim=0)[:, None]  # rows sum to one
    flat = x.float().flatten(1)
    deviation = flat - member @ (average @ flat)
    spread = (average @ deviation.square() + _MBSTD_EPS).sqrt()  # [groups, c * h * w]
    per_run = spread.reshape(groups, num_channels, -1).mean(dim=2)
    return (member @ per_run)[:, :, None, None].expand(-1, -1, h, w)
