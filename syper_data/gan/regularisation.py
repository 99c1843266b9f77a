"""Regularisation of the generator: style mixing and path length (Karras et al. 2019 and 2020a)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

PATH_LENGTH_DECAY = 0.01  # of the running mean of path lengths, a penalty step
PATH_LENGTH_SHRINK = 2  # the penalty sees batch / 2 images: it keeps two graphs


def mix_styles(first: Tensor, second: Tensor, crossover: Tensor, num_ws: int) -> Tensor:
    """w [n, w_dim] of two latents -> [n, num_ws, w_dim], the second from layer ``crossover`` [n] on."""
    layer = torch.arange(num_ws, device=first.device)[None, :, None]
    later = layer >= crossover.to(first.device)[:, None, None]
    return torch.where(later, second[:, None], first[:, None])


def draw_crossover(n: int, num_ws: int, share: float, rng: torch.Generator) -> Tensor:
    """Where the second latent takes over, int64 [n]: in 1..num_ws - 1 for a ``share`` of the images,
    ``num_ws`` (nowhere) for the others."""
    place = torch.randint(1, num_ws, (n,), generator=rng)
    mixed = torch.rand(n, generator=rng) < share
    return torch.where(mixed, place, torch.full_like(place, num_ws))


def path_lengths(images: Tensor, ws: Tensor, directions: Tensor) -> Tensor:
    """``|J_w^T y|`` (2020a, equation 4), with a graph of its own, float32 [n].

    ``images`` [n, c, r, r] made from ``ws`` [n, num_ws, w_dim]; ``directions`` are standard normal
    images, scaled here by 1 / r. The norm is over w_dim, the mean square over the layers.
    """
    scale = 1 / math.sqrt(images.shape[2] * images.shape[3])
    (slope,) = torch.autograd.grad((images * directions * scale).sum(), ws, create_graph=True)
    return slope.square().sum(dim=2).mean(dim=1).sqrt()
