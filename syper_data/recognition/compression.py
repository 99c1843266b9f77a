"""What JPEG does to an image, on tensors: quantised 8x8 cosine blocks (ITU-T T.81), no entropy coding.

Without chroma subsampling; the tables are those of annex K, scaled by quality as libjpeg does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))  # JFIF


def compress(images: Tensor, quality: Tensor) -> Tensor:
    """Float32 [n, 3, h, w] in [0, 1], sides multiples of 8, and qualities [n] in 1..100 -> the same shape."""
    n, _, h, w = images.shape
    to_ycc = torch.tensor(_TO_YCC, device=images.device)
    ycc = torch.einsum("kc,nchw->nkhw", to_ycc, images * 255 - 128)  # levels about 0; chroma sums to 0
    blocks = ycc.reshape(n, 3, h // 8, 8, w // 8, 8).permute(0, 1, 2, 4, 3, 5)
    dct = _dct().to(images.device)
    steps = _steps(quality)[:, :, None, None]
    coefficients = (dct @ blocks @ dct.T / steps).round() * steps
    ycc = (dct.T @ coefficients @ dct).permute(0, 1, 2, 4, 3, 5).reshape(n, 3, h, w)
    rgb = torch.einsum("ck,nkhw->nchw", torch.linalg.inv(to_ycc), ycc)
    return ((rgb + 128) / 255).clamp(0, 1)


def _dct() -> Tensor:
    """The orthonormal DCT-II of 8 points.  # [frequency, place]"""
    k, x = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    rows = torch.cos(math.pi * (2 * x + 1) * k / 16) / 2
    rows[0] /= math.sqrt(2)
    return rows


def _steps(quality: Tensor) -> Tensor:
    """The quantisation steps of every image and channel.  # [n, 3, 8, 8]"""
    luma = torch.tensor(_LUMA, dtype=torch.float32).view(8, 8)
    chroma = torch.full((8, 8), 99.0)
    chroma[:4, :4] = torch.tensor(_CHROMA_CORNER, dtype=torch.float32)
    tables = torch.stack([luma, chroma, chroma]).to(quality.device)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None, None]
    return ((tables * scale + 50) / 100).floor().clamp(1, 255)
