"""StyleGAN2 written the slow, obvious way: what the fast networks are checked and timed against.

Plain functions that take our modules' parameters and follow the papers' equations one by one (Karras
et al. 2020a, section 2.2 and appendix B; 2018 and 2020b for the discriminator), in float32. Weights
are modulated and demodulated per image; one grouped convolution applies them. Signals are resampled
by inserting zeros, padding explicitly, filtering at full resolution and dropping samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syper_data.gan.discriminator import Discriminator
from syper_data.gan.generator import Generator, MappingNetwork
from syper_data.gan.layers import ModulatedLayer, ToRGB


def randomized(network: Generator | Discriminator, seed: int) -> Generator | Discriminator:
    """Give every tensor of the state that starts at a constant some noise, so that no term is idle."""
    rng = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():  # shares memory with the network
        if tensor.numel() == 1 or bool((tensor == tensor.flatten()[0]).all()):
            scaled_down = name.startswith(("mapping.fc", "mapping.layers"))  # to a hundredth
            tensor += torch.randn(tensor.shape, generator=rng) * (20.0 if scaled_down else 0.3)
    return network


def upfirdn(x: Tensor, kernel: Tensor, *, up: int = 1, down: int = 1, pad: tuple[int, int]) -> Tensor:
    """Insert ``up - 1`` zeros after every sample, pad (before, after), filter, keep every ``down``-th."""
    n, c, h, w = x.shape
    stretched = x.new_zeros(n, c, h * up, w * up)
    stretched[:, :, ::up, ::up] = x
    padded = F.pad(stretched, (pad[0], pad[1], pad[0], pad[1]))
    taps = kernel.flip(0, 1).expand(c, 1, *kernel.shape)  # convolution, not correlation
    filtered = F.conv2d(padded, taps, groups=c)
    return filtered[:, :, ::down, ::down]


def filter_taps(taps: Sequence[int]) -> Tensor:
    """The outer product of the taps with themselves, summing to one."""
    rows = [[float(a * b) for b in taps] for a in taps]
    return torch.tensor(rows) / sum(map(sum, rows))


def lrelu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 with gain sqrt(2), which keeps the variance."""
    return torch.where(x >= 0, x, x * 0.2) * math.sqrt(2)


def clamp(x: Tensor, bound: float | None) -> Tensor:
    return x if bound is None else torch.maximum(torch.minimum(x, torch.tensor(bound)), torch.tensor(-bound))


def dense(layer: nn.Module, x: Tensor, *, lr: float = 1.0) -> Tensor:
    """Fully connected layer; the equalized learning rate is 1 / sqrt(fan-in), ``lr`` goes on top."""
    return x @ (layer.weight * (lr / math.sqrt(x.shape[1]))).t() + layer.bias * lr


def normalized(x: Tensor) -> Tensor:
    return x / (x.pow(2).mean(dim=1, keepdim=True) + 1e-8).sqrt()


# --- generator


def reference_mapping(mapping: MappingNetwork, z: Tensor, c: Tensor | None = None, psi: float = 1.0) -> Tensor:
    """z (and labels) to w, truncated towards ``w_avg``."""
    x = normalized(z)
    if c is not None:
        x = torch.cat([x, normalized(dense(mapping.embed, c))], dim=1)
    for i in range(mapping.config.mapping_layers):
        x = lrelu(dense(getattr(mapping, f"fc{i}"), x, lr=0.01))
    return mapping.w_avg + psi * (x - mapping.w_avg)


def grouped_convolution(x: Tensor, weights: Tensor, *, padding: int = 0) -> Tensor:
    """``x`` [n, in, h, w] with a weight of its own for every image, [n, out, in, k, k]."""
    n, out = weights.shape[:2]
    y = F.conv2d(x.reshape(1, -1, *x.shape[2:]), weights.flatten(0, 1), padding=padding, groups=n)
    return y.reshape(n, out, *y.shape[2:])


def grouped_transposed_convolution(x: Tensor, weights: Tensor) -> Tensor:
    """Zero insertion and convolution in one step, [n, in, h, w] -> [n, out, 2h + 1, 2w + 1]."""
    n, out = weights.shape[:2]
    joined = weights.transpose(1, 2).flatten(0, 1)  # [n * in, out, k, k]
    y = F.conv_transpose2d(x.reshape(1, -1, *x.shape[2:]), joined, stride=2, groups=n)
    return y.reshape(n, out, *y.shape[2:])


def modulated_weights(weight: Tensor, styles: Tensor, *, demodulate: bool) -> Tensor:
    """Equations 1 and 3: scale each input map's weights by its style, then each output map's to unit norm."""
    modulated = weight[None] * styles[:, None, :, None, None]  # [n, out, in, k, k]
    if not demodulate:
        return modulated
    return modulated / (modulated.pow(2).sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()


def reference_layer(
    layer: ModulatedLayer, x: Tensor, w: Tensor, kernel: Tensor, noise: Tensor | None, *, transposed: bool
) -> Tensor:
    """Up-sampling if the layer has it, modulated convolution, noise, bias, leaky ReLU, clamp."""
    weights = modulated_weights(layer.weight, dense(layer.affine, w), demodulate=True)
    if layer.up and transposed:
        y = upfirdn(grouped_transposed_convolution(x, weights), kernel * 4, pad=(1, 1))
    elif layer.up:  # the published networks convolve here, and correlate everywhere else
        y = grouped_convolution(upfirdn(x, kernel * 4, up=2, pad=(3, 2)), weights.flip(3, 4))
    else:
        y = grouped_convolution(x, weights, padding=1)
    if noise is not None:
        y = y + layer.noise_strength * noise
    return clamp(lrelu(y + layer.bias[:, None, None]), layer.conv_clamp)


def reference_torgb(layer: ToRGB, x: Tensor, w: Tensor) -> Tensor:
    """1x1 convolution, modulated but not demodulated."""
    styles = dense(layer.affine, w) / math.sqrt(x.shape[1])
    weights = modulated_weights(layer.weight, styles, demodulate=False)
    return clamp(grouped_convolution(x, weights) + layer.bias[:, None, None], layer.conv_clamp)


def reference_synthesis(
    generator: Generator,
    ws: Tensor,
    noise_mode: str = "const",
    noise: Sequence[Tensor] | None = None,
    *,
    transposed: bool = False,
) -> Tensor:
    """``ws`` [n, w_dim] or [n, num_ws, w_dim] to images, as ``generator.synthesis`` makes them.

    ``noise_mode`` "none", "const", or "random" with one tensor a layer in ``noise``. ``transposed``
    lets a transposed convolution insert the zeros, as published implementations do: the fair
    opponent in a comparison of speeds.
    """
    config = generator.config
    kernel = filter_taps(config.resample_filter)
    if ws.ndim == 2:
        ws = torch.stack([ws] * config.num_ws, dim=1)
    layers = iter(range(len(generator.synthesis.layers())))
    style = 0
    image = None
    x = torch.stack([generator.synthesis.b4.const] * len(ws))
    for resolution in config.block_resolutions:
        block = getattr(generator.synthesis, f"b{resolution}")
        for layer in block.layers:
            index = next(layers)
            used = {"none": None, "const": layer.noise_const, "random": noise and noise[index]}[noise_mode]
            x = reference_layer(layer, x, ws[:, style], kernel, used, transposed=transposed)
            style += 1
        contribution = reference_torgb(block.torgb, x, ws[:, style])
        carried = 0 if image is None else upfirdn(image, kernel * 4, up=2, pad=(2, 1))
        image = carried + contribution
    return image


# --- discriminator


def convolution(
    layer: nn.Module, x: Tensor, *, activate: bool = True, down: Tensor | None = None, bound: float | None
) -> Tensor:
    """Equalized convolution; ``down`` filters first and then drops every second row and column."""
    size = layer.weight.shape[-1]
    weight = layer.weight / math.sqrt(x.shape[1] * size * size)
    pad = size // 2
    if down is None:
        y = F.conv2d(x, weight, padding=pad)
    else:
        y = F.conv2d(upfirdn(x, down, pad=(pad + 1, pad + 1)), weight)[:, :, ::2, ::2]
    if layer.bias is not None:
        y = y + layer.bias[:, None, None]
    return clamp(lrelu(y) if activate else y, bound)


def reference_minibatch_std(x: Tensor, group_size: int, num_channels: int) -> Tensor:
    """The deviation of every channel and pixel within a group of images, averaged; with loops."""
    n, c, h, w = x.shape
    groups = math.ceil(n / group_size)
    maps = [[x.new_zeros(h, w)] * num_channels for _ in range(n)]
    for group in range(groups):
        members = [i for i in range(n) if i % groups == group]
        for run in range(num_channels):
            values = []
            for channel in range(run * c // num_channels, (run + 1) * c // num_channels):
                stack = [x[i, channel] for i in members]
                mean = sum(stack) / len(stack)
                variance = sum((s - mean) ** 2 for s in stack) / len(stack)
                values.append((variance + 1e-8).sqrt().mean())
            for i in members:
                maps[i][run] = (sum(values) / len(values)).expand(h, w)
    return torch.stack([torch.stack(m) for m in maps])


def reference_discriminator(d: Discriminator, images: Tensor, c: Tensor | None = None) -> Tensor:
    """Images (and labels) to logits [n, 1]."""
    config = d.config
    bound = config.conv_clamp
    kernel = filter_taps(config.resample_filter)
    x = convolution(d.fromrgb, images, bound=bound)
    for resolution in config.block_resolutions:
        block = getattr(d, f"b{resolution}")
        shortcut = convolution(block.skip, x, activate=False, down=kernel, bound=None)
        y = convolution(block.conv0, x, bound=bound)
        y = convolution(block.conv1, y, down=kernel, bound=bound)
        x = (shortcut + y) / math.sqrt(2)
    if config.mbstd_num_channels:
        deviation = reference_minibatch_std(x, config.mbstd_group_size, config.mbstd_num_channels)
        x = torch.cat([x, deviation], dim=1)
    x = convolution(d.b4.conv, x, bound=bound)
    y = dense(d.b4.out, lrelu(dense(d.b4.fc, x.reshape(len(x), -1))))
    if c is None:
        return y
    directions = normalized(dense(d.mapping.embed, c))
    for layer in d.mapping.layers:
        directions = lrelu(dense(layer, directions, lr=0.01))
    return torch.stack([a @ b for a, b in zip(y, directions, strict=True)])[:, None] / math.sqrt(config.cmap_dim)
