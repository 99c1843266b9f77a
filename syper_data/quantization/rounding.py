"""Numbers rounded to 2^b levels, with gradients that learn the levels' range.

Weights: symmetric, one step an output channel, codes -(2^(b-1) - 1) .. 2^(b-1) - 1 (Krishnamoorthi 2018, section
2.2; Jacob et al., CVPR 2018, section 3). Activations: one step and one whole zero point a tensor, so that zero
is a level and padding costs nothing (Jacob et al.). Both learn their range through the rounding, which passes the
gradient on (Esser et al., "Learned step size quantization", ICLR 2020, equations 1 to 3; the zero point
after Bhalgat et al., "LSQ+", CVPR workshops 2020). The range is a power of two with a real exponent, which
keeps it positive and its learning rate free of its size (Jain et al., "Trained quantization thresholds", MLSys
2020).
A step, a slope or a bias is used as the file will hold it (bfloat16, float16).

Everything works in pieces that fit the cache (a share a thread); what a PReLU gives is rounded in the same pass.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

_PIECE = 1 << 16  # values a thread; benchmarks/quantized_step.py
_LN2 = math.log(2)


def weight_levels(bits: int) -> int:
    """The largest code of a weight."""
    return int(2 ** (bits - 1) - 1)


def activation_levels(bits: int) -> int:
    """The largest code of an activation; the smallest is 0."""
    return int(2**bits - 1)


def step_of(log_range: Tensor, levels: int) -> Tensor:
    """The distance of two levels, as it is stored: bfloat16, in a float32 tensor of any shape."""
    return (torch.exp2(log_range.detach()) / levels).clamp_min(2.0**-60).bfloat16().float()


def zero_of(zero: Tensor, levels: int) -> int:
    """The code of 0: ``zero`` is its share of the levels, 0..1."""
    return round(min(max(float(zero.detach()), 0.0), 1.0) * levels)


def weight_codes(weight: Tensor, log_range: Tensor, bits: int) -> Tensor:
    """Whole numbers in float32, shaped as ``weight`` [o, ...]; ``log_range`` is [o]."""
    levels = weight_levels(bits)
    return (weight.detach() / _rows(step_of(log_range, levels), weight)).round_().clamp_(-levels, levels)


def quantise_weights(weight: Tensor, log_range: Tensor, bits: int) -> Tensor:
    """float32 [o, ...] -> the same on the levels of each row; 2^``log_range`` [o] is the largest level."""
    rounded: Tensor = _Weights.apply(weight, log_range, bits)  # type: ignore[no-untyped-call]
    return rounded


def quantise(x: Tensor, log_range: Tensor, zero: Tensor, bits: int) -> Tensor:
    """float32 of any shape -> the same on 2^``bits`` levels, 2^``log_range`` from end to end.

    ``zero`` (0..1) is the share of the levels that lies below 0. Both are float32 [].
    """
    rounded: Tensor = _Activations.apply(x, None, log_range, zero, bits)  # type: ignore[no-untyped-call]
    return rounded


def quantise_prelu(x: Tensor, slopes: Tensor, log_range: Tensor, zero: Tensor, bits: int) -> Tensor:
    """``quantise(prelu(x, slopes))``, float32 [n, c, h, w] -> the same shape, in one pass."""
    rounded: Tensor = _Activations.apply(x, slopes, log_range, zero, bits)  # type: ignore[no-untyped-call]
    return rounded


def as_half(x: Tensor) -> Tensor:
    """Values rounded to float16, in float32; the gradient passes."""
    rounded: Tensor = _Half.apply(x)  # type: ignore[no-untyped-call]
    return rounded


def _rows(step: Tensor, weight: Tensor) -> Tensor:
    return step.view(-1, *(1 for _ in weight.shape[1:]))


class _Half(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.half().float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class _Weights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, log_range: Tensor, bits: int) -> Tensor:
        levels = weight_levels(bits)
        step = _rows(step_of(log_range, levels), weight)
        rounded = weight_codes(weight, log_range, bits).mul_(step)
        ctx.save_for_backward(weight, rounded, (weight.abs() <= step * (levels + 1e-3)).to(weight.dtype))
        return rounded

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        weight, rounded, inside = ctx.saved_tensors
        dw = grads[0] * inside
        dlog = _LN2 * (grads[0] * rounded - dw * weight).flatten(1).sum(1)
        return dw, dlog, None


class _Activations(torch.autograd.Function):
    """With q = clamp(round(x / s), -z, L - z) and y = s q: dy/ds is q - x/s inside and q outside, which makes
    dL/d(log s) = sum(g y) - sum(dx x); dy/dz is 0 inside and -s outside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slopes: Tensor | None, log_range: Tensor, zero: Tensor, bits: int) -> Tensor:
        levels = activation_levels(bits)
        step, z = float(step_of(log_range, levels)), zero_of(zero, levels)
        x = _dense(x)
        out = torch.empty_like(x)
        for part, piece in zip(*(_pieces(t, slopes is not None) for t in (x, out)), strict=True):
            if slopes is not None:
                part = torch.prelu(part, slopes)
            torch.mul(part, 1 / step, out=piece)
            piece.clamp_(-z, levels - z).round_().mul_(step)
        ctx.save_for_backward(x, out, slopes)
        ctx.step, ctx.zero, ctx.levels = step, z, levels
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, Tensor, Tensor, None]:
        x, out, slopes = ctx.saved_tensors
        low, high = -ctx.zero * ctx.step, (ctx.levels - ctx.zero) * ctx.step
        g = _like(grads[0], x)
        dx = torch.empty_like(x)
        dslopes = None if slopes is None else torch.zeros_like(slopes)
        sums = torch.zeros(2, device=x.device)
        of = [_pieces(t, slopes is not None) for t in (x, out, g, dx)]
        for xs, ys, gs, into in zip(*of, strict=True):
            values = xs if slopes is None else torch.prelu(xs, slopes)
            torch.ops.aten.hardtanh_backward.grad_input(gs, values, low, high, grad_input=into)
            sums[0] += torch.dot(gs.flatten(), ys.flatten()) - torch.dot(into.flatten(), values.flatten())
            sums[1] += gs.sum() - into.sum()
            if slopes is not None:
                passed = torch.ops.aten.threshold_backward(into, xs, 0)  # into where x > 0, else 0
                rest = into - passed
                dslopes += (xs * rest).sum(0)
                torch.addcmul(passed, rest, slopes, out=into)
        dlog, dzero = _LN2 * sums[0], -ctx.step * ctx.levels * sums[1]
        return dx, dslopes, dlog, dzero, None


def _dense(x: Tensor) -> Tensor:
    if x.ndim == 4:
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous()


def _like(g: Tensor, x: Tensor) -> Tensor:
    return g if g.stride() == x.stride() else _dense(g)


def _pieces(x: Tensor, by_channel: bool) -> tuple[Tensor, ...]:
    """Views of a dense tensor in its memory's order: [k], or [k / c, c] where the channels matter."""
    flat = x.permute(0, 2, 3, 1) if x.ndim == 4 else x
    values = _PIECE * torch.get_num_threads()
    if by_channel:
        c = x.shape[1]
        return torch.split(flat.view(-1, c), max(values // c, 1))
    return torch.split(flat.view(-1), values)
