"""The same network with fewer layers, for evaluation: batch norms folded into what comes before them."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from syper_data.recognition.backbones import Backbone


def fold_batch_norms(backbone: Backbone) -> Backbone:
    """A copy of an evaluated ``backbone``, equal up to rounding, channels last, without most batch norms.

    A batch norm behind a convolution or linear layer becomes part of its weights. Those at the start of
    IResNet's units stay: the convolution behind them pads with zeros, which the norm would shift.
    ``penultimate`` and ``project`` keep their meaning.
    """
    folded = copy.deepcopy(backbone).eval().requires_grad_(False)
    for module in list(folded.modules()):
        names = dict(module.named_children())
        for before, norm in _pairs(names):
            setattr(module, before, _fused(names[before], names[norm]))
            setattr(module, norm, nn.Identity())
    return folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _fused(layer: nn.Module, norm: nn.Module) -> nn.Module:
    if isinstance(layer, nn.Linear):
        assert isinstance(norm, nn.BatchNorm1d)
        return fuse_linear_bn_eval(layer, norm)
    assert isinstance(layer, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(layer, norm)


def _pairs(children: dict[str, nn.Module]) -> list[tuple[str, str]]:
    """Names of a layer and the batch norm that follows it at once."""
    if "conv2" in children:  # a residual unit's children are not in the order of its forward pass
        return [("conv1", "bn2"), ("conv2", "bn3")]
    return [
        (a, b)
        for a, b in pairwise(children)
        if isinstance(children[a], nn.Conv2d | nn.Linear)
        and isinstance(children[b], nn.BatchNorm2d | nn.BatchNorm1d)
    ]
