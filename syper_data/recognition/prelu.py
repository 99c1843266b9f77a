"""PReLU whose backward pass works in pieces that fit the cache; torch's takes a third of a training step
of MobileFaceNet on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_PIECE = 1 << 16  # values a thread; measured, decision 12


class _Prelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slopes: Tensor) -> Tensor:
        ctx.save_for_backward(x, slopes)
        return torch.prelu(x, slopes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        """dx = g where x > 0, else slope g; dslope = sum of x g where x <= 0."""
        x, slopes = ctx.saved_tensors
        n, c, h, w = x.shape
        xs, gs = (t.permute(0, 2, 3, 1).reshape(-1, c) for t in (x, grads[0]))
        dx, dslopes = torch.empty_like(xs), torch.zeros_like(slopes)
        rows = max(_PIECE * torch.get_num_threads() // c, 1)
        for part, g, out in zip(*(torch.split(t, rows) for t in (xs, gs, dx)), strict=True):
            passed = torch.ops.aten.threshold_backward(g, part, 0)  # g where x > 0, else 0
            rest = g - passed
            dslopes += (part * rest).sum(0)
            torch.addcmul(passed, rest, slopes, out=out)
        return dx.view(n, h, w, c).permute(0, 3, 1, 2), dslopes


class QuickPReLU(nn.PReLU):
    """:class:`torch.nn.PReLU`, with the same gradients to rounding."""

    def forward(self, x: Tensor) -> Tensor:
        """Float32 [n, c, h, w] with a slope a channel; anything else takes torch's own way."""
        if x.ndim != 4 or x.dtype != torch.float32 or self.weight.numel() != x.shape[1] or not x.requires_grad:
            return super().forward(x)
        y: Tensor = _Prelu.apply(x, self.weight)  # type: ignore[no-untyped-call]
        return y


def quicken_prelus(network: nn.Module) -> None:
    """Give every PReLU of a network the quicker backward pass; names and values stay."""
    for module in network.modules():
        if type(module) is nn.PReLU:
            module.__class__ = QuickPReLU
