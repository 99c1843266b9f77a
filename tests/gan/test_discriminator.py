"""The residual discriminator computes what the papers say; its minibatch statistic has its properties."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stylegan2_reference import randomized, reference_discriminator, reference_minibatch_std
from syper_data.errors import ConfigError
from syper_data.gan.discriminator import Discriminator, DiscriminatorConfig, minibatch_std

TINY: dict[str, Any] = {"resolution": 16, "channel_base": 128, "channel_max": 16}
VARIANTS: dict[str, dict[str, Any]] = {
    "one block": {"resolution": 8},
    "plain": {},
    "wider": {"resolution": 32, "channel_base": 512, "channel_max": 32},
    "conditional": {"c_dim": 3, "cmap_dim": 12, "mapping_layers": 2},
    "conditional without mapping": {"c_dim": 3, "cmap_dim": 12, "mapping_layers": 0},
    "clamped": {"conv_clamp": 0.5},
    "grey": {"img_channels": 1},
    "sharp filter": {"resample_filter": (1, 7, 7, 1)},
    "two statistics": {"mbstd_num_channels": 2, "mbstd_group_size": 3},
    "no statistic": {"mbstd_num_channels": 0},
}


def build(seed: int = 1, **changes: Any) -> Discriminator:
    torch.manual_seed(seed)
    return randomized(Discriminator(DiscriminatorConfig(**{**TINY, **changes})), seed)


def batch(discriminator: Discriminator, n: int) -> tuple[Tensor, Tensor | None]:
    """Noise of a different strength and brightness an image, and labels where they are wanted."""
    config = discriminator.config
    rng = torch.Generator().manual_seed(2)
    shape = (n, config.img_channels, config.resolution, config.resolution)
    level = torch.linspace(0.2, 2, n)[:, None, None, None]
    images = torch.randn(shape, generator=rng) * level + level.flip(0) - 1
    return images, torch.eye(config.c_dim)[torch.arange(n) % config.c_dim] if config.c_dim else None


def features(n: int, channels: int = 6, side: int = 4) -> Tensor:
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(3))


def largest(difference: Tensor) -> float:
    return float(difference.detach().abs().max())


@pytest.mark.parametrize("n", [1, 5, 8])
@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_equal_the_reference(variant: str, n: int) -> None:
    discriminator = build(**VARIANTS[variant])
    images, c = batch(discriminator, n)

    logits = discriminator(images, c)

    expected = reference_discriminator(discriminator, images, c)
    assert logits.shape == (n, 1)
    assert logits.dtype == torch.float32
    assert n == 1 or expected.std() > 0.02
    assert largest(logits - expected) < 1e-4


def test_a_small_clamp_bites() -> None:
    clamped, free = build(conv_clamp=0.5), build()
    images, _ = batch(free, 4)
    assert largest(clamped(images) - free(images)) > 0.05


def test_without_a_statistic_an_image_is_judged_by_itself() -> None:
    discriminator = build(mbstd_num_channels=0)
    images, _ = batch(discriminator, 5)
    together = discriminator(images)
    for i in range(5):
        assert largest(discriminator(images[i : i + 1])[0] - together[i]) < 1e-4


def test_with_the_statistic_the_group_matters_and_other_groups_do_not() -> None:
    discriminator = build(mbstd_group_size=2)
    images, _ = batch(discriminator, 4)  # groups {0, 2} and {1, 3}
    changed = images.clone()
    changed[2] = -images[2]

    difference = (discriminator(changed) - discriminator(images)).abs().flatten()

    assert difference[0] > 1e-3
    assert max(difference[1], difference[3]) < 1e-5


def test_labels_choose_the_direction_and_are_demanded() -> None:
    discriminator = build(**VARIANTS["conditional"])
    images = batch(discriminator, 1)[0].expand(3, -1, -1, -1)
    logits = discriminator(images, torch.eye(3)).flatten()

    assert min(abs(logits[0] - logits[1]), abs(logits[1] - logits[2]), abs(logits[0] - logits[2])) > 0.01
    with pytest.raises(ValueError, match="labels"):
        discriminator(images)


@pytest.mark.parametrize("variant", ["wider", "conditional", "clamped"])
def test_bf16_logits_are_close_to_float32(variant: str) -> None:
    discriminator = build(**VARIANTS[variant])
    images, c = batch(discriminator, 8)
    with torch.no_grad():
        exact, rough = discriminator(images, c), discriminator(images, c, dtype=torch.bfloat16)

    assert rough.dtype == torch.float32
    assert 1e-6 < largest(rough - exact) < 0.03 * float(exact.abs().max())


@pytest.mark.parametrize("variant", ["plain", "conditional", "clamped", "grey", "sharp filter", "two statistics"])
def test_gradients_equal_those_of_the_reference(variant: str) -> None:
    discriminator = build(**VARIANTS[variant])
    images, c = batch(discriminator, 5)
    images.requires_grad_()
    weights = torch.linspace(-1, 2, 5)[:, None]
    names, parameters = zip(*discriminator.named_parameters(), strict=True)

    fast = (discriminator(images, c) * weights).sum()
    slow = (reference_discriminator(discriminator, images, c) * weights).sum()

    got = torch.autograd.grad(fast, [images, *parameters])
    expected = torch.autograd.grad(slow, [images, *parameters])
    for name, a, b in zip(("images", *names), got, expected, strict=True):
        assert b.abs().max() > 0, f"{name} has no gradient"
        assert largest(a - b) < 1e-4 * float(b.abs().max()), name


def test_the_gradient_penalty_can_be_differentiated_again() -> None:
    discriminator = build()
    images, _ = batch(discriminator, 4)
    images.requires_grad_()
    names, parameters = zip(*discriminator.named_parameters(), strict=True)
    penalties = []
    for logits in (discriminator(images), reference_discriminator(discriminator, images)):
        (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        penalties.append(slope.square().sum())  # R1 (Mescheder et al. 2018)

    assert penalties[0].item() == pytest.approx(penalties[1].item(), rel=1e-4)
    got, expected = (torch.autograd.grad(p, parameters, allow_unused=True) for p in penalties)
    weights = [row for row in zip(names, got, expected, strict=True) if row[0].endswith("weight")]
    for name, a, b in weights:
        assert b.abs().max() > 0, f"{name} has no gradient"
        assert largest(a - b) < 1e-3 * float(b.abs().max()), name


def test_half_precision_gradients_point_where_float32_ones_do() -> None:
    discriminator = build()
    images, _ = batch(discriminator, 4)
    images.requires_grad_()
    exact, rough = (
        torch.autograd.grad(discriminator(images, dtype=dtype).sum(), images)[0].flatten()
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert torch.cosine_similarity(exact, rough, dim=0) > 0.99


@settings(deadline=None)
@given(
    n=st.integers(1, 9),
    group_size=st.integers(1, 10),
    runs=st.sampled_from([1, 2, 3, 6]),
)
def test_minibatch_std_equals_the_loops_for_every_batch_and_group(n: int, group_size: int, runs: int) -> None:
    x = features(n)
    maps = minibatch_std(x, group_size, runs)
    assert maps.shape == (n, runs, 4, 4)
    assert largest(maps - reference_minibatch_std(x, group_size, runs)) < 1e-5


def test_minibatch_std_of_two_opposite_images_is_their_distance_from_the_middle() -> None:
    x = torch.stack([torch.full((2, 4, 4), 1.0), torch.full((2, 4, 4), -1.0)])
    x[:, 1] *= 3
    assert largest(minibatch_std(x, 4, 1) - 2.0) < 1e-5
    split = minibatch_std(x, 4, 2)
    assert largest(split[:, 0] - 1.0) < 1e-5
    assert largest(split[:, 1] - 3.0) < 1e-5


def test_minibatch_std_of_equal_images_or_of_one_is_the_floor() -> None:
    assert largest(minibatch_std(features(1).expand(4, -1, -1, -1), 4, 1) - 1e-4) < 1e-6
    assert largest(minibatch_std(features(1), 4, 1) - 1e-4) < 1e-6


def test_minibatch_std_is_constant_over_pixels_and_within_a_group_only() -> None:
    maps = minibatch_std(features(8), 4, 1)  # groups {0, 2, 4, 6} and {1, 3, 5, 7}
    values = maps[:, 0, 0, 0]
    assert torch.equal(maps, values[:, None, None, None].expand_as(maps))
    assert torch.equal(values, values[[0, 1] * 4])
    assert values[0] != values[1]


def test_minibatch_std_scales_with_the_features_and_ignores_an_offset() -> None:
    x = features(4)
    plain = minibatch_std(x, 4, 1)
    assert largest(minibatch_std(3 * x + 5, 4, 1) - 3 * plain) < 1e-4


def test_an_uneven_batch_leaves_no_image_alone() -> None:
    x = features(5)
    values = minibatch_std(x, 4, 1)[:, 0, 0, 0]  # groups {0, 2, 4} and {1, 3}
    assert values.min() > 0.1
    assert torch.equal(values[[0, 2]], values[[2, 4]])
    assert values[1] == values[3]


def test_minibatch_std_of_half_precision_features_is_computed_in_float32() -> None:
    x = (features(4) + 10).bfloat16()
    maps = minibatch_std(x, 4, 1)
    assert maps.dtype == torch.float32
    assert torch.equal(maps, minibatch_std(x.float(), 4, 1))


def test_minibatch_std_of_equal_images_has_a_finite_gradient() -> None:
    x = features(1).repeat(4, 1, 1, 1).requires_grad_()
    (slope,) = torch.autograd.grad(minibatch_std(x, 4, 1).sum(), x)
    assert math.isfinite(largest(slope))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("resolution", v) for v in (0, 4, 12, 2048, 16.0, "16", True, None)),
        *(("c_dim", v) for v in (-1, 1_000_001, True)),
        *(("cmap_dim", v) for v in (0, 4097)),
        *(("mapping_layers", v) for v in (-1, 33)),
        *(("img_channels", v) for v in (0, 5)),
        *(("channel_base", v) for v in (7, 15, (1 << 20) + 1, None)),
        *(("channel_max", v) for v in (0, 4097)),
        *(("mbstd_group_size", v) for v in (0, 4097, 2.0)),
        *(("mbstd_num_channels", v) for v in (-1, 3, 32)),
        *(("conv_clamp", v) for v in (0, -1.0, float("nan"), float("inf"), "256")),
        *(("resample_filter", v) for v in ((), (1, 2, 3, 4), (0, 0, 0, 0), [1, 3, 3, 1])),
    ],
)
def test_a_bad_architecture_value_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        DiscriminatorConfig(**{**TINY, field: value})
    assert str(caught.value).startswith(f"{field} is {value!r}")
    assert "\n" not in str(caught.value)


def test_blocks_run_from_the_image_down_to_8_pixels() -> None:
    config = DiscriminatorConfig(64, channel_base=1024, channel_max=64)
    assert config.block_resolutions == (64, 32, 16, 8)
    assert [config.channels(r) for r in (64, 32, 16, 8, 4)] == [16, 32, 64, 64, 64]
    assert DiscriminatorConfig(8).block_resolutions == (8,)
