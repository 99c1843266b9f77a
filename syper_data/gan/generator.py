"""The StyleGAN2 generator: mapping network, synthesis network, and the two together.

Written from Karras et al. 2020a ("Analyzing and Improving the Image Quality of StyleGAN") and
2020b ("Training Generative Adversarial Networks with Limited Data"). Module names follow the
published networks' parameter names, so that converted weights need no renaming.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from syper_data.gan.config import GeneratorConfig
from syper_data.gan.layers import (
    EqualizedLinear,
    ModulatedLayer,
    ToRGB,
    fir_kernel,
    normalize_second_moment,
    upsample_image,
)

NoiseMode = Literal["const", "random", "none"]


class MappingNetwork(nn.Module):
    """z (and a class label) to w: normalisation, label embedding, ``num_layers`` dense layers."""

    w_avg: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        width = config.z_dim
        if config.c_dim:
            self.embed = EqualizedLinear(config.c_dim, config.w_dim)
            width += config.w_dim
        for i in range(config.mapping_layers):
            layer = EqualizedLinear(width, config.w_dim, lr_multiplier=0.01, lrelu=True)
            self.add_module(f"fc{i}", layer)
            width = config.w_dim
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, z: Tensor, c: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """``z`` float32 [n, z_dim], ``c`` one-hot float32 [n, c_dim] or None -> w [n, w_dim].

        ``psi`` < 1 moves w towards the mean ``w_avg`` (the truncation trick, Karras et al. 2019).
        """
        x = normalize_second_moment(z)
        if self.config.c_dim:
            if c is None:
                raise ValueError("a class-conditional network needs labels")
            x = torch.cat([x, normalize_second_moment(self.embed(c))], dim=1)
        for i in range(self.config.mapping_layers):
            x = self.get_submodule(f"fc{i}")(x)
        return x if psi == 1.0 else self.w_avg.lerp(x, psi)

    @torch.no_grad()
    def track_average(self, w: Tensor, beta: float = 0.995) -> None:
        """Move ``w_avg`` towards the mean of a batch of w; training only."""
        self.w_avg.copy_(w.detach().float().mean(dim=0).lerp(self.w_avg, beta))


class SynthesisBlock(nn.Module):
    """All layers at one resolution: up-sampling layer, second layer, image contribution."""

    def __init__(self, config: GeneratorConfig, resolution: int) -> None:
        super().__init__()
        out = config.channels(resolution)
        clamp = config.conv_clamp
        if resolution == 4:
            self.const = nn.Parameter(torch.randn(out, 4, 4))
        else:
            self.conv0 = ModulatedLayer(
                config.channels(resolution // 2), out, config.w_dim, resolution, up=True, conv_clamp=clamp
            )
        self.conv1 = ModulatedLayer(out, out, config.w_dim, resolution, up=False, conv_clamp=clamp)
        self.torgb = ToRGB(out, config.img_channels, config.w_dim, conv_clamp=clamp)

    @property
    def layers(self) -> list[ModulatedLayer]:
        """The modulated layers in the order they run."""
        names = ("conv0", "conv1") if hasattr(self, "conv0") else ("conv1",)
        return [cast(ModulatedLayer, getattr(self, name)) for name in names]


class SynthesisNetwork(nn.Module):
    """w to image, skip architecture: every block adds its contribution to an up-sampled image."""

    kernel: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        for resolution in config.block_resolutions:
            self.add_module(f"b{resolution}", SynthesisBlock(config, resolution))
        self.register_buffer("kernel", fir_kernel(config.resample_filter), persistent=False)

    def restore_kernel(self) -> None:
        """Set the filter again after construction on the ``meta`` device (it is not in the state)."""
        self.kernel = fir_kernel(self.config.resample_filter)

    @torch.no_grad()
    def freeze(self, dtype: torch.dtype, noise_mode: NoiseMode) -> None:
        """Compute every layer's constants once, for inference with this dtype and noise mode; the
        weights must not change afterwards."""
        for layer in self.layers():
            layer.freeze(dtype, noise_mode == "const")

    def blocks(self) -> list[SynthesisBlock]:
        """The blocks from 4 px up."""
        return [cast(SynthesisBlock, self.get_submodule(f"b{r}")) for r in self.config.block_resolutions]

    def layers(self) -> list[ModulatedLayer]:
        """Every modulated layer, coarse to fine; noise tensors are given in this order."""
        return [layer for block in self.blocks() for layer in block.layers]

    def forward(
        self,
        ws: Tensor,
        *,
        noise_mode: NoiseMode = "const",
        noise: Sequence[Tensor] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """``ws`` float32 [n, w_dim] or [n, num_ws, w_dim] -> float32 images [n, channels, r, r].

        ``noise_mode="random"`` draws from the global random state unless ``noise`` gives one
        tensor [n, 1, r, r] a layer. ``dtype`` is that of the convolutions.
        """
        if ws.ndim == 2:
            ws = ws[:, None, :].expand(-1, self.config.num_ws, -1)
        n = len(ws)
        x: Tensor | None = None
        image: Tensor | None = None
        index, layer_index = 0, 0
        for block in self.blocks():
            if x is None:
                x = block.const.to(dtype).repeat(n, 1, 1, 1).contiguous(memory_format=torch.channels_last)
            for layer in block.layers:
                given = None if noise is None else noise[layer_index]
                extra = _layer_noise(layer, given, n) if noise_mode == "random" else None
                x = layer(x, ws[:, index], self.kernel, extra, constant_noise=noise_mode == "const")
                index += 1
                layer_index += 1
            rgb = block.torgb(x, ws[:, index])  # shares this w with the next block's first layer
            image = rgb if image is None else upsample_image(image, self.kernel) + rgb
        assert image is not None
        return image


class Generator(nn.Module):
    """z to image. ``generator(z, c, psi=...)`` is ``synthesis(mapping(z, c, psi))``."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config)
        self.synthesis = SynthesisNetwork(config)

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        *,
        psi: float = 1.0,
        noise_mode: NoiseMode = "const",
        noise: Sequence[Tensor] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Float32 images [n, channels, r, r], nominally in [-1, 1], not clamped."""
        ws = self.mapping(z, c, psi)
        images: Tensor = self.synthesis(ws, noise_mode=noise_mode, noise=noise, dtype=dtype)
        return images


def _layer_noise(layer: ModulatedLayer, given: Tensor | None, n: int) -> Tensor:
    if given is not None:
        return given
    return torch.randn(n, 1, layer.resolution, layer.resolution, device=layer.noise_const.device)
