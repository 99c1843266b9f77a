"""The building blocks of StyleGAN2 (Karras et al. 2020a), in one fast formulation.

Modulated convolution is computed *unfused*: the input is scaled by the style, one ordinary
convolution serves the whole batch, and the output is scaled by the demodulation factor. That is
equation 3 of the paper with the per-image factors moved outside the sum, so no per-image weights
and no grouped convolution are ever formed. Activation gains fold into those factors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2.0)
DEMODULATION_EPS = 1e-8


def fir_kernel(taps: Sequence[int]) -> Tensor:
    """The separable filter ``taps x taps``, summing to one.  # float32 [k, k]"""
    t = torch.tensor(taps, dtype=torch.float32)
    kernel = torch.outer(t, t)
    return kernel / kernel.sum()


def upsample_image(images: Tensor, kernel: Tensor) -> Tensor:
    """Double the resolution with a 4-tap FIR filter.  # [n, c, h, w] -> [n, c, 2h, 2w]

    Zero insertion, then ``4 * kernel`` so that the mean survives; as one transposed convolution.
    """
    c = images.shape[1]
    weight = (kernel * 4).to(images.dtype).expand(c, 1, *kernel.shape)
    return F.conv_transpose2d(images, weight, stride=2, padding=1, groups=c)


def low_pass(images: Tensor, kernel: Tensor, *, padding: int, stride: int = 1) -> Tensor:
    """Apply the 4-tap FIR filter and keep every ``stride``-th pixel.

    [n, c, h, w] -> [n, c, h + 2 padding - 3, ...] at stride 1; padding 1 and stride 2 halve it.
    """
    c, dtype = images.shape[1], images.dtype
    if stride > 1 and dtype.itemsize < 4 and images.device.type == "cpu":
        images = images.float()  # strided depthwise gradients take 9 to 25 times as long in bf16
    weight = kernel.to(images.dtype).expand(c, 1, *kernel.shape)
    return F.conv2d(images, weight, stride=stride, padding=padding, groups=c).to(dtype)


def normalize_second_moment(x: Tensor) -> Tensor:
    """Scale every row to a mean square of one.  # [n, features]"""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class EqualizedLinear(nn.Module):
    """Fully connected layer with equalized learning rate (Karras et al. 2018, section 4.1).

    Weights are stored with unit variance times ``1 / lr_multiplier`` and scaled by
    ``lr_multiplier / sqrt(in_features)`` when used.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias_init: float = 0.0,
        lr_multiplier: float = 1.0,
        lrelu: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias_init)))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier
        self.lrelu = lrelu

    def forward(self, x: Tensor) -> Tensor:  # float32 [n, in] -> [n, out]
        y = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return F.leaky_relu(y, LRELU_SLOPE) * LRELU_GAIN if self.lrelu else y


class EqualizedConv(nn.Module):
    """Plain 1x1 or 3x3 convolution with equalized learning rate, optional leaky ReLU and clamp."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        lrelu: bool = True,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.padding = kernel_size // 2
        self.lrelu = lrelu
        self.conv_clamp = conv_clamp

    def forward(self, x: Tensor, *, gain: float = 1.0, down: Tensor | None = None) -> Tensor:
        """``x`` [n, in, h, w] -> [n, out, h, w]; ``gain`` scales the output, and the clamp with it.

        ``down`` is the FIR filter with which to halve the resolution on the way.
        """
        stride, padding = 1, self.padding
        if down is not None and padding:  # the filter runs where the strided convolution will look
            x, stride, padding = low_pass(x, down, padding=padding + 1), 2, 0
        elif down is not None:
            x = low_pass(x, down, padding=1, stride=2)
        total = gain * (LRELU_GAIN if self.lrelu else 1.0)
        weight = (self.weight * (self.weight_gain * total)).to(x.dtype)
        bias = None if self.bias is None else (self.bias * total).to(x.dtype)
        y = F.conv2d(x, weight, bias, stride=stride, padding=padding)
        if self.lrelu:
            y = F.leaky_relu(y, LRELU_SLOPE)
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp * gain, self.conv_clamp * gain)


class LayerConstants(NamedTuple):
    """What a modulated layer needs besides its input: computed anew in training, once when frozen."""

    weight: Tensor  # [out, in, 3, 3], or [in, out, 3, 3] for a transposed convolution
    energy: Tensor  # float32 [in, out]: sums of squared weights, for the demodulation
    shift: Tensor  # [1, out, 1 or r, 1 or r]: bias, and constant noise, times the activation gain


class ModulatedLayer(nn.Module):
    """One synthesis layer: modulated 3x3 convolution, noise, bias, leaky ReLU, clamp.

    ``up=True`` doubles the resolution first: transposed convolution followed by the FIR filter.
    """

    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        *,
        up: bool,
        conv_clamp: float | None,
    ) -> None:
        super().__init__()
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.resolution = resolution
        self.up = up
        self.conv_clamp = conv_clamp
        self._frozen: dict[tuple[torch.dtype, bool], LayerConstants] = {}

    def constants(self, dtype: torch.dtype, constant_noise: bool) -> LayerConstants:
        """The layer's constants for convolutions in ``dtype``."""
        shift = (self.bias * LRELU_GAIN)[None, :, None, None]
        if constant_noise:
            shift = shift + self.noise_const * (self.noise_strength * LRELU_GAIN)
        weight = self.weight.transpose(0, 1) if self.up else self.weight
        return LayerConstants(
            weight.to(dtype),
            self.weight.square().sum(dim=(2, 3)).t(),
            shift.to(dtype).contiguous(memory_format=torch.channels_last),
        )

    def freeze(self, dtype: torch.dtype, constant_noise: bool) -> None:
        """Compute the constants once, for inference; weights must not change afterwards."""
        self._frozen[dtype, constant_noise] = self.constants(dtype, constant_noise)

    def forward(
        self, x: Tensor, w: Tensor, kernel: Tensor, noise: Tensor | None, *, constant_noise: bool
    ) -> Tensor:
        """``x`` [n, in, h, w] in the computing dtype, ``w`` float32 [n, w_dim], ``noise`` float32
        [n, 1, r, r] or None; returns [n, out, r, r] in the dtype of ``x``. Without gradients ``x``
        is overwritten."""
        own = not torch.is_grad_enabled()  # nothing is kept for a backward pass: work in place
        frozen = self._frozen.get((x.dtype, constant_noise))
        weight, energy, shift = frozen or self.constants(x.dtype, constant_noise)
        styles = self.affine(w)  # float32 [n, in]
        demodulate = torch.rsqrt(styles.square() @ energy + DEMODULATION_EPS) * LRELU_GAIN
        scale = styles.to(x.dtype)[:, :, None, None]
        x = x.mul_(scale) if own else x * scale
        if self.up:
            x = F.conv_transpose2d(x, weight, stride=2)
            c = x.shape[1]
            blur = (kernel * 4).to(x.dtype).expand(c, 1, *kernel.shape)
            x = F.conv2d(x, blur, padding=1, groups=c)
        else:
            x = F.conv2d(x, weight, padding=1)
        scale = demodulate.to(x.dtype)[:, :, None, None]
        x = torch.addcmul(shift, x, scale, out=x) if own else torch.addcmul(shift, x, scale)
        if noise is not None:
            x = x + (noise * (self.noise_strength * LRELU_GAIN)).to(x.dtype)
        x = F.leaky_relu_(x, LRELU_SLOPE) if own else F.leaky_relu(x, LRELU_SLOPE)
        if self.conv_clamp is not None:  # bounds what leaves the layer, its gain included
            bound = self.conv_clamp
            x = x.clamp_(-bound, bound) if own else x.clamp(-bound, bound)
        return x


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to image channels, without demodulation."""

    def __init__(self, in_channels: int, img_channels: int, w_dim: int, *, conv_clamp: float | None) -> None:
        super().__init__()
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(img_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(img_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)
        self.conv_clamp = conv_clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """``x`` [n, in, h, w] and ``w`` float32 [n, w_dim] give float32 [n, img_channels, h, w].

        The style goes into the weights (a few numbers an image), so ``x`` is read once and never
        rescaled: per image one matrix product over pixels.
        """
        n, c, h, width = x.shape
        styles = self.affine(w) * self.weight_gain
        weight = (self.weight[None, :, :, 0, 0] * styles[:, None, :]).to(x.dtype)  # [n, rgb, in]
        pixels = x.permute(0, 2, 3, 1).reshape(n, h * width, c)
        y = torch.bmm(pixels, weight.transpose(1, 2)).float() + self.bias
        y = y.reshape(n, h, width, -1).permute(0, 3, 1, 2)
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)
