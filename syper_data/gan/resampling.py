"""Filters made of wavelets: antialiased geometric warps and amplification of frequency bands.

The filters that Karras et al. 2020b (appendix B) name: sym6 for resampling, sym2 for the bands. The
coefficients are those of Daubechies' least asymmetric wavelets with 6 and 2 vanishing moments.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
BANDS = 4  # [0, pi/8], [pi/8, pi/4], [pi/4, pi/2], [pi/2, pi]

_TAPS = len(SYM6)
_DELAY = sum(i * x for i, x in enumerate(SYM6)) / sum(SYM6)  # where the filter puts a sample
_PAD, _MARGIN = 6, 3  # pixels around the image that are up-sampled; that are read as they are


def reflect(positions: Tensor, side: int) -> Tensor:
    """Positions on a line -> in [0, side - 1], mirrored at the centres of the outermost pixels."""
    period = 2 * (side - 1)
    wrapped = positions.remainder(period)
    return torch.minimum(wrapped, period - wrapped)


def warp(images: Tensor, inverse: Tensor) -> Tensor:
    """Resample images [n, c, s, s] by affine maps, with reflection beyond the border.

    ``inverse`` float32 [n, 2, 3] maps a place of the output to one of the input, (x, y, 1) in pixels
    from the centre. The image is doubled with sym6, sampled bilinearly on a grid twice as fine, and
    halved with the same filter: the identity is reproduced to rounding, as sym6 is orthonormal.
    """
    n, c, side, _ = images.shape
    x = images.float()
    kernel = torch.tensor(SYM6, device=x.device)
    fine = F.pad(x, (_PAD,) * 4, mode="reflect").reshape(n * c, 1, side + 2 * _PAD, side + 2 * _PAD)
    fine = F.conv_transpose2d(fine, kernel[None, None, :, None], stride=(2, 1))
    fine = F.conv_transpose2d(fine, kernel[None, None, None, :], stride=(1, 2))
    size = fine.shape[-1]

    line = (torch.arange(2 * side + _TAPS - 2, device=x.device) - _DELAY) / 2 - (side - 1) / 2
    y_out, x_out = torch.meshgrid(line, line, indexing="ij")
    out = torch.stack([x_out, y_out, torch.ones_like(x_out)], dim=-1)  # [m, m, 3]
    places = torch.einsum("nij,hwj->nhwi", inverse.to(x.device, torch.float32), out) + (side - 1) / 2
    inside = (places >= -_MARGIN) & (places <= side - 1 + _MARGIN)
    places = torch.where(inside, places, reflect(places, side))
    grid = (2 * places + 2 * _PAD + _DELAY) * (2 / (size - 1)) - 1
    fine = F.grid_sample(fine.reshape(n, c, size, size), grid, mode="bilinear", align_corners=True)

    fine = fine.reshape(n * c, 1, *fine.shape[2:])
    fine = F.conv2d(fine, kernel[None, None, :, None], stride=(2, 1))
    fine = F.conv2d(fine, kernel[None, None, None, :], stride=(1, 2))
    return fine.reshape(n, c, side, side).to(images.dtype)


def band_filters() -> Tensor:
    """Symmetric kernels of the four bands, coarse to fine; they sum to a unit impulse.  # [4, 43]

    The half-band pair of sym2, low pass ``l`` and high pass ``1 - l``, applied without decimation:
    ``l(z) l(z^2) l(z^4)``, ``l(z) l(z^2) (1 - l(z^4))``, ``l(z) (1 - l(z^2))``, ``1 - l(z)``.
    """
    taps = torch.tensor(SYM2, dtype=torch.float64)
    low = F.conv1d(taps[None, None], taps[None, None], padding=len(SYM2) - 1)[0, 0] / 2  # autocorrelation
    carried = torch.ones(1, dtype=torch.float64)
    bands = []
    for octave in range(BANDS - 1):
        step = 2**octave
        stretched = torch.zeros((len(low) - 1) * step + 1, dtype=torch.float64)
        stretched[::step] = low
        impulse = torch.zeros_like(stretched)
        impulse[len(stretched) // 2] = 1
        bands.append(_convolve(carried, impulse - stretched))
        carried = _convolve(carried, stretched)
    bands.append(carried)
    longest = len(carried)
    return torch.stack([F.pad(b, ((longest - len(b)) // 2,) * 2) for b in bands[::-1]]).float()


def amplify_bands(images: Tensor, gains: Tensor) -> Tensor:
    """Filter each image [n, c, s, s] along both axes with its own ``gains`` [n, 4] of the bands."""
    n, c, side, _ = images.shape
    x = images.float()
    kernels = (gains.to(x.device) @ band_filters().to(x.device)).repeat_interleave(c, dim=0)  # [n * c, taps]
    reach = kernels.shape[1] // 2
    rows = reflect(torch.arange(-reach, side + reach, device=x.device), side)
    x = x[:, :, rows][:, :, :, rows].reshape(1, n * c, len(rows), len(rows))
    x = F.conv2d(x, kernels[:, None, :, None], groups=n * c)
    x = F.conv2d(x, kernels[:, None, None, :], groups=n * c)
    return x.reshape(n, c, side, side).to(images.dtype)


def _convolve(a: Tensor, b: Tensor) -> Tensor:
    return F.conv1d(a[None, None], b.flip(0)[None, None], padding=len(b) - 1)[0, 0]
