"""The parts of a student that hold numbers: layers with weights to round, ranges of activations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syper_data.execution.team import Team
from syper_data.quantization.rounding import (
    as_half,
    quantise,
    quantise_prelu,
    quantise_weights,
    step_of,
    weight_levels,
    zero_of,
)

_SMALLEST = 2.0**-40  # range of a channel without weights
_SHARES = (
    0.3,
    0.4,
    0.5,
    0.55,
    0.6,
    0.65,
    0.7,
    0.75,
    0.8,
    0.85,
    0.9,
    0.95,
    1.0,
)  # of the largest weight, tried as the range


class Layer(nn.Module):
    """A convolution or linear layer whose weights are rounded to ``bits`` a row.

    ``weight`` [o, ...], ``bias`` [o], ``log_range`` [o]: see :mod:`~syper_data.quantization.rounding`. A ``plain``
    layer computes with its weights as they are, a ``settled`` one has no others than rounded ones.
    """

    def __init__(self, module: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        weight = module.weight.detach().clone()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(len(weight)) if module.bias is None else module.bias.detach().clone())
        self.log_range = nn.Parameter(torch.zeros(len(weight)))
        self.convolution: tuple[tuple[int, ...], tuple[int, ...], int] | None = None
        if isinstance(module, nn.Conv2d):
            assert not isinstance(module.padding, str)
            self.convolution = (tuple(module.stride), tuple(module.padding), module.groups)
        self.bits = 8
        self.plain = False
        self.settled = False

    def forward(self, x: Tensor) -> Tensor:
        """[n, i, h, w] -> [n, o, h', w'], or [n, i] -> [n, o]."""
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if not self.plain and not self.settled:
            weight, bias = quantise_weights(weight, self.log_range, self.bits), as_half(bias)
        if self.convolution is None:
            return F.linear(x, weight, bias)
        stride, padding, groups = self.convolution
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)

    def steps(self) -> Tensor:
        """The distance of two levels of every row.  # float32 [o]"""
        return step_of(self.log_range, weight_levels(self.bits))

    @torch.no_grad()
    def settle(self) -> None:
        """Replace the weights by the rounded ones, once for all: nothing is left to round when it computes."""
        self.weight.copy_(quantise_weights(self.weight, self.log_range, self.bits))
        self.bias.copy_(as_half(self.bias))
        self.settled = True

    @torch.no_grad()
    def cover(self) -> None:
        """Set every row's range to its largest weight."""
        self.log_range.copy_(self.weight.flatten(1).abs().amax(1).clamp_min(_SMALLEST).log2())

    @torch.no_grad()
    def fit_range(self) -> None:
        """Set every row's range to that with the smallest squared error of its rounded weights."""
        rows, levels = self.weight.flatten(1), weight_levels(self.bits)
        largest = rows.abs().amax(1).clamp_min(_SMALLEST)
        best, error = largest.log2(), torch.full_like(largest, torch.inf)
        for share in _SHARES:
            tried = (largest * share).log2()
            step = step_of(tried, levels)[:, None]
            rounded = (rows / step).round_().clamp_(-levels, levels).mul_(step)
            found = (rounded - rows).square_().sum(1)
            best, error = torch.where(found < error, tried, best), torch.minimum(found, error)
        self.log_range.copy_(best)


class Slopes(nn.Module):
    """PReLU with a slope a channel, ``weight`` [c]."""

    def __init__(self, module: nn.PReLU) -> None:
        super().__init__()
        self.weight = nn.Parameter(module.weight.detach().clone())
        self.plain = False

    def slopes(self) -> Tensor:
        """The slopes as they are used.  # float32 [c]"""
        return self.weight if self.plain else as_half(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return torch.prelu(x, self.slopes())


class Affine(nn.Module):
    """What is left of a batch norm before a convolution that pads: ``x scale + shift`` a channel."""

    def __init__(self, module: nn.BatchNorm2d) -> None:
        super().__init__()
        assert module.running_var is not None
        assert module.running_mean is not None
        scale = module.weight.detach() * torch.rsqrt(module.running_var + module.eps)
        self.weight = nn.Parameter(scale)
        self.bias = nn.Parameter(module.bias.detach() - module.running_mean * scale)
        self.plain = False

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> the same shape."""
        scale, shift = (p if self.plain else as_half(p) for p in (self.weight, self.bias))
        return torch.addcmul(shift[:, None, None], x, scale[:, None, None])


class ActivationRange(nn.Module):
    """The levels of one tensor: 2^``log_range`` from end to end, the share ``zero`` of them below 0."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.log_range = nn.Parameter(torch.zeros(()))
        self.zero = nn.Parameter(torch.full((), 0.5))
        self.bits = bits

    def forward(self, x: Tensor, slopes: Tensor | None = None) -> Tensor:
        """Rounded to the levels, after a PReLU of these ``slopes`` if there are any; the same shape."""
        if slopes is None:
            return quantise(x, self.log_range, self.zero, self.bits)
        return quantise_prelu(x, slopes, self.log_range, self.zero, self.bits)

    @property
    def levels(self) -> int:
        """The largest code."""
        return int(2**self.bits - 1)

    def step_and_zero(self) -> tuple[float, int]:
        """The distance of two levels, and the code of 0."""
        return float(step_of(self.log_range, self.levels)), zero_of(self.zero, self.levels)

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Move the ends a tenth of the way to the extremes of ``x``, over all processes of a training."""
        ends = torch.stack([x.min().clamp_max(0), x.max().clamp_min(0)])
        low, high = Team.current().mean(ends).tolist()
        whole, below = 2.0 ** float(self.log_range), float(self.zero)
        self.set(0.1 * low - 0.9 * below * whole, 0.1 * high + 0.9 * (1 - below) * whole)

    @torch.no_grad()
    def set(self, low: float, high: float) -> None:
        """Let the levels reach from ``low`` <= 0 to ``high`` >= 0, one of them not 0."""
        self.log_range.fill_(high - low).log2_()
        self.zero.fill_(-low / (high - low))
