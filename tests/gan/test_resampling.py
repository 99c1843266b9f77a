"""Wavelet filters: orthonormal, exact at the identity, right about known maps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from syper_data.gan.resampling import BANDS, SYM2, SYM6, amplify_bands, band_filters, reflect, warp


def smooth(side: int = 32, n: int = 2) -> Tensor:
    """A slow pattern, different along both axes and in every image."""
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    waves = [torch.sin(2 * math.pi * (x * (1 + i / 4) + 0.3 * y) + i) * torch.cos(4 * y + i) for i in range(3 * n)]
    return torch.stack(waves).reshape(n, 3, side, side)


def affine(*rows: tuple[float, float, float], n: int = 2) -> Tensor:
    return torch.tensor(rows).expand(n, -1, -1)


@pytest.mark.parametrize(("taps", "moments"), [(SYM2, 2), (SYM6, 6)], ids=["sym2", "sym6"])
def test_the_coefficients_are_an_orthonormal_wavelet_with_its_vanishing_moments(
    taps: tuple[float, ...], moments: int
) -> None:
    h = torch.tensor(taps, dtype=torch.float64)
    assert len(h) == 2 * moments
    assert h.sum().item() == pytest.approx(math.sqrt(2))
    assert h.square().sum().item() == pytest.approx(1)
    for shift in range(2, len(h), 2):
        assert (h[shift:] * h[:-shift]).sum().item() == pytest.approx(0, abs=1e-10)
    index = torch.arange(len(h), dtype=torch.float64)
    for power in range(moments):
        assert ((-1) ** index * index**power * h).sum().item() == pytest.approx(0, abs=1e-8)


def test_the_identity_map_reproduces_any_image() -> None:
    noise = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(warp(noise, affine((1, 0, 0), (0, 1, 0))), noise, atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (((-1, 0, 0), (0, 1, 0)), lambda x: x.flip(3)),
        (((1, 0, 0), (0, -1, 0)), lambda x: x.flip(2)),
        (((-1, 0, 0), (0, -1, 0)), lambda x: x.flip(2, 3)),
        (((0, 1, 0), (1, 0, 0)), lambda x: x.transpose(2, 3)),
        (((0, -1, 0), (1, 0, 0)), lambda x: x.rot90(1, (2, 3))),
    ],
    ids=["x-flip", "y-flip", "half turn", "transposed", "quarter turn"],
)
def test_known_maps_give_known_images(rows: tuple[tuple[float, ...], ...], expected: object) -> None:
    x = smooth()
    difference = (warp(x, affine(*rows)) - expected(x)).abs()  # type: ignore[operator, arg-type]
    assert difference[..., 4:-4, 4:-4].max() < 0.01
    assert difference.max() < 0.1  # sym6 is not quite symmetric: a mirrored border shows it


@pytest.mark.parametrize("shift", [3.0, -2.0])
def test_a_translation_by_whole_pixels_moves_the_inside_exactly(shift: float) -> None:
    x = smooth()
    moved = warp(x, affine((1, 0, shift), (0, 1, 0)))  # the output at p is the input at p + shift
    k = int(abs(shift))
    inside = (moved[..., 6:-6], x[..., 6 + int(shift) : 26 + int(shift)])
    assert k < 6
    assert torch.allclose(*inside, atol=1e-4)


def test_half_a_pixel_lies_between_the_neighbours() -> None:
    ramp = torch.arange(32.0).expand(1, 3, 32, 32).clone()
    moved = warp(ramp, affine((1, 0, 0.5), (0, 1, 0), n=1))
    assert torch.allclose(moved[..., 8:-8], ramp[..., 8:-8] + 0.5, atol=1e-3)


def test_beyond_the_border_the_image_is_mirrored() -> None:
    x = smooth(side=24)
    moved = warp(x, affine((1, 0, 12.0), (0, 1, 0)))
    right = x[..., 12:]
    mirrored = torch.cat([right, right.flip(3)[..., 1:-1], right[..., :2]], dim=3)[..., :24]
    assert torch.allclose(moved[..., :20], mirrored[..., :20], atol=0.05)


def test_a_constant_stays_constant_under_any_map() -> None:
    inverse = affine((0.7, -0.9, 20.0), (1.4, 0.8, -31.0))
    assert torch.allclose(warp(torch.full((2, 3, 16, 16), 0.3), inverse), torch.tensor(0.3), atol=1e-5)


def test_reflection_of_positions() -> None:
    places = torch.tensor([-4.0, -1.0, 0.0, 2.5, 3.0, 4.0, 7.0])
    assert reflect(places, 4).tolist() == [2.0, 1.0, 0.0, 2.5, 3.0, 2.0, 1.0]


def test_the_bands_sum_to_the_image_and_each_passes_its_octave() -> None:
    filters = band_filters()
    assert filters.shape == (BANDS, 43)
    impulse = torch.zeros(43)
    impulse[21] = 1
    assert torch.allclose(filters.sum(dim=0), impulse, atol=1e-6)
    assert torch.allclose(filters, filters.flip(1), atol=1e-6)
    response = torch.fft.rfft(filters, 512).abs()  # bins of pi / 256
    for band, middle in enumerate((8, 48, 96, 192)):
        assert response[:, middle].argmax().item() == band
    assert torch.allclose(response[:, 0], torch.tensor([1.0, 0, 0, 0]), atol=1e-5)


def test_unit_gains_change_nothing_and_the_finest_band_carries_the_checkerboard() -> None:
    checker = ((torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1).expand(2, 3, 16, 16)
    assert torch.allclose(amplify_bands(checker, torch.ones(2, 4)), checker, atol=1e-5)
    gains = torch.tensor([[1.0, 1, 1, 2], [1.0, 1, 1, 0]])
    doubled, gone = amplify_bands(checker, gains)
    assert torch.allclose(doubled, 4 * checker[0], atol=1e-4)  # along both axes
    assert gone.abs().max() < 1e-4


def test_a_constant_is_scaled_by_the_coarsest_band_alone() -> None:
    flat = torch.ones(1, 3, 16, 16)
    assert torch.allclose(amplify_bands(flat, torch.tensor([[1.0, 5, 5, 5]])), flat, atol=1e-4)
    assert torch.allclose(amplify_bands(flat, torch.tensor([[3.0, 1, 1, 1]])), flat * 9, atol=1e-4)
