"""Augmentation: each transform with its probability and range, image by image, differentiable."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from syper_data.errors import ConfigError
from syper_data.gan.augment import Augmenter, DiffAugmentConfig

OFF: dict[str, float] = {"probability": 1.0, "colour": 0.0, "shift": 0.0, "cutout": 0.0}


def augment(x: Tensor, config: DiffAugmentConfig, generator: torch.Generator) -> Tensor:
    return Augmenter(config)(x, len(x), generator)


def images(n: int, side: int = 16) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_probability_zero_is_the_identity_and_draws_nothing() -> None:
    generator = rng()
    before = generator.get_state()
    x = images(4)
    assert torch.equal(augment(x, DiffAugmentConfig(probability=0.0), generator), x)
    assert torch.equal(generator.get_state(), before)


def test_without_any_transform_nothing_changes() -> None:
    x = images(4)
    assert torch.equal(augment(x, DiffAugmentConfig(**OFF), rng()), x)


def test_the_result_follows_the_random_generator_and_not_the_global_state() -> None:
    x = images(6)
    torch.manual_seed(1)
    first = augment(x, DiffAugmentConfig(), rng(5))
    torch.manual_seed(2)
    assert torch.equal(augment(x, DiffAugmentConfig(), rng(5)), first)
    assert not torch.equal(augment(x, DiffAugmentConfig(), rng(6)), first)


def test_the_input_is_left_alone_and_shape_and_type_are_kept() -> None:
    x = images(3).bfloat16()
    copy = x.clone()
    y = augment(x, DiffAugmentConfig(probability=1.0), rng())
    assert torch.equal(x, copy)
    assert (y.shape, y.dtype) == (x.shape, torch.bfloat16)
    assert not torch.equal(x, y)


@pytest.mark.parametrize("transform", ["colour", "shift", "cutout"])
def test_about_half_of_the_images_are_changed_at_probability_one_half(transform: str) -> None:
    x = images(600, side=8)
    y = augment(x, DiffAugmentConfig(**{**OFF, "probability": 0.5, transform: 0.5}), rng())
    changed = ((y - x).abs() > 1e-5).flatten(1).any(dim=1).float().mean()
    assert 0.38 < changed < 0.56  # a shift may be by (0, 0)


@pytest.mark.parametrize("transform", ["colour", "shift", "cutout"])
def test_an_image_is_augmented_by_itself(transform: str) -> None:
    config = DiffAugmentConfig(**{**OFF, transform: 0.5})
    x = images(4)
    swapped = x.clone()
    swapped[2] = -x[2]
    a, b = augment(x, config, rng()), augment(swapped, config, rng())

    assert torch.equal(a[[0, 1, 3]], b[[0, 1, 3]])
    assert not torch.equal(a[2], b[2])
    alike = augment(x[:1].expand(4, -1, -1, -1), config, rng())
    assert not torch.equal(alike[0], alike[1])


def test_colour_is_affine_and_its_strengths_stay_in_their_ranges() -> None:
    n = 400
    grey_step = torch.zeros(n, 3, 4, 4)
    grey_step[:, :, 2:] = 1.0  # contrast stretches the step about the mean, brightness moves both
    y = augment(grey_step, DiffAugmentConfig(**{**OFF, "colour": 1.0}), rng())
    contrast = (y[:, 0, 2, 0] - y[:, 0, 0, 0]).numpy()
    brightness = y.mean(dim=(1, 2, 3)).numpy() - 0.5
    assert 0.5 <= contrast.min() < 0.55
    assert 1.45 < contrast.max() <= 1.5
    assert -0.5 <= brightness.min() < -0.45
    assert 0.45 < brightness.max() <= 0.5

    red = torch.zeros(n, 3, 4, 4)
    red[:, 0] = 0.3  # of mean 0.1 everywhere: contrast and brightness leave the channels' distances
    z = augment(red, DiffAugmentConfig(**{**OFF, "colour": 1.0}), rng())
    saturation = ((z[:, 0] - z[:, 1]) / 0.3)[:, 0, 0].numpy() / contrast  # the same draws
    assert -1e-4 <= saturation.min() < 0.05
    assert 1.95 < saturation.max() <= 2 + 1e-4


def test_colour_strength_scales_the_ranges() -> None:
    y = augment(torch.zeros(300, 3, 4, 4), DiffAugmentConfig(**{**OFF, "colour": 0.2}), rng())
    assert 0.09 < y.abs().max() <= 0.1


def test_a_shift_moves_the_image_by_whole_pixels_within_reach_and_fills_with_zero() -> None:
    x = torch.zeros(500, 3, 16, 16)
    x[:, :, 8, 8] = 1.0
    y = augment(x, DiffAugmentConfig(**{**OFF, "shift": 0.25}), rng())

    places = y[:, 0].flatten(1).argmax(dim=1)
    rows, columns = places // 16 - 8, places % 16 - 8
    assert set(rows.tolist()) == set(columns.tolist()) == set(range(-4, 5))
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) == 81  # independent axes
    assert torch.equal(y.sum(dim=(2, 3)), torch.ones(500, 3))

    ones = augment(torch.ones(50, 3, 16, 16), DiffAugmentConfig(**{**OFF, "shift": 0.25}), rng())
    assert set(ones.unique().tolist()) == {0.0, 1.0}
    assert ones[:, :, 4:12, 4:12].min() == 1.0


@pytest.mark.parametrize(("share", "side"), [(0.5, 8), (0.3, 5), (0.25, 4), (0.0625, 1)])
def test_cutout_erases_a_square_of_the_stated_side_cropped_at_the_border(share: float, side: int) -> None:
    y = augment(torch.ones(3000, 3, 16, 16), DiffAugmentConfig(**{**OFF, "cutout": share}), rng())
    holes = y[:, 0] == 0
    assert torch.equal(holes[:, None].expand_as(y), y == 0)
    heights, widths = holes.any(dim=2).sum(dim=1), holes.any(dim=1).sum(dim=1)
    assert torch.equal(heights * widths, holes.sum(dim=(1, 2)))  # filled rectangles
    assert heights.max() == widths.max() == side
    assert (heights == side).float().mean() > 0.4
    assert holes.any(dim=0).all()  # every pixel can be hit
    rows, columns = holes.any(dim=2).float().mean(dim=0), holes.any(dim=1).float().mean(dim=0)
    assert max((rows - rows.flip(0)).abs().max(), (columns - columns.flip(0)).abs().max()) < 0.1


def test_gradients_flow_through_all_transforms_to_what_stays_visible() -> None:
    x = images(8).requires_grad_()
    y = augment(x, DiffAugmentConfig(probability=1.0), rng())
    (slope,) = torch.autograd.grad(y.square().sum(), x)
    assert torch.isfinite(slope).all()
    assert (slope.abs().flatten(1).sum(dim=1) > 0).all()
    direction = torch.randn(x.shape, generator=rng(3))
    step = 1e-3
    up, down = (augment(x + s * step * direction, DiffAugmentConfig(probability=1.0), rng()) for s in (1, -1))
    measured = (up.square().sum() - down.square().sum()) / (2 * step)
    assert measured.item() == pytest.approx((slope * direction).sum().item(), rel=1e-2, abs=0.5)


@pytest.mark.parametrize("field", ["probability", "colour", "shift", "cutout"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", None, True])
def test_a_bad_strength_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        DiffAugmentConfig(**{field: value})
    assert str(caught.value).startswith(f"augment.{field} is {value!r}: must be a number in 0..1")
