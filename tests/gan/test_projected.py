"""The projected discriminator: a fixed projection, trained heads, hinge losses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syper_data.gan.adversary import Fakes, Terms
from syper_data.gan.feature_net import FEATURE_CHANNELS, FEATURE_STRIDES
from syper_data.gan.projected import (
    ProjectedAdversary,
    ProjectedConfig,
    ProjectedDiscriminator,
    RandomMixing,
    ScaleDiscriminator,
    hinge_discriminator_loss,
    hinge_generator_loss,
)


class PooledFeatures(nn.Module):
    """Stands in for the feature net: mean colours at its strides, spread over its channels."""

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(9)
        self.spread = [torch.randn(c, 3, 1, 1, generator=rng) for c in FEATURE_CHANNELS]

    def forward(self, images: Tensor) -> list[Tensor]:
        return [
            F.conv2d(F.avg_pool2d(images, stride), weight.to(images.dtype))
            for stride, weight in zip(FEATURE_STRIDES, self.spread, strict=True)
        ]


def build(seed: int = 0, dtype: torch.dtype = torch.float32) -> ProjectedDiscriminator:
    torch.manual_seed(1)
    return ProjectedDiscriminator(PooledFeatures(), resolution=128, width=6, seed=seed, dtype=dtype)


def images(n: int) -> Tensor:
    return torch.randn(n, 3, 128, 128, generator=torch.Generator().manual_seed(2))


def pyramid(n: int = 2) -> list[Tensor]:
    rng = torch.Generator().manual_seed(3)
    return [
        torch.randn(n, c, 64 // s, 64 // s, generator=rng)
        for c, s in zip(FEATURE_CHANNELS, FEATURE_STRIDES, strict=True)
    ]


def test_the_projection_keeps_the_scales_and_gives_each_the_same_width() -> None:
    shapes = [tuple(p.shape) for p in build().project(images(3))]
    assert shapes == [(3, 6, 32, 32), (3, 6, 16, 16), (3, 6, 8, 8), (3, 6, 4, 4)]


def test_every_scale_gives_one_row_of_finite_float32_logits_an_image() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        logits = build(dtype=dtype)(images(3))
        assert [tuple(x.shape) for x in logits] == [(3, 25), (3, 25), (3, 1), (3, 1)]
        assert all(x.dtype == torch.float32 and torch.isfinite(x).all() for x in logits)


@pytest.mark.parametrize(
    ("size", "whole", "count"), [(64, False, 25), (8, False, 25), (16, True, 1), (4, True, 1)]
)
def test_a_scale_gives_a_map_of_logits_or_one_for_the_whole_image(size: int, whole: bool, count: int) -> None:
    torch.manual_seed(1)
    assert ScaleDiscriminator(size, 4, whole_image=whole)(torch.randn(2, 4, size, size)).shape == (2, count)


def test_mixing_follows_its_seed_and_nothing_else() -> None:
    torch.manual_seed(1)
    first = RandomMixing(5, 7, torch.float32)(pyramid())
    torch.manual_seed(2)
    again = RandomMixing(5, 7, torch.float32)(pyramid())
    other = RandomMixing(5, 8, torch.float32)(pyramid())

    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.allclose(a, b) for a, b in zip(first, other, strict=True))


def test_mixing_carries_coarse_scales_into_finer_ones_and_not_back() -> None:
    mixing, features = RandomMixing(5, 7, torch.float32), pyramid()
    before = mixing(features)
    for changed in range(4):
        after = mixing([f + 1 if i == changed else f for i, f in enumerate(features)])
        differs = [not torch.equal(a, b) for a, b in zip(after, before, strict=True)]
        assert differs == [i <= changed for i in range(4)]


def test_mixing_roughly_keeps_the_variance_of_the_coarsest_scale() -> None:
    rng = torch.Generator().manual_seed(4)
    features = [torch.randn(2, c, 32, 32, generator=rng) for c in FEATURE_CHANNELS]
    assert 1 < RandomMixing(64, 0, torch.float32)(features)[3].var() < 8  # the gains are 2 and 2


def test_only_the_heads_have_parameters_and_gradients_reach_image_and_heads() -> None:
    adversary = build()
    assert not list(adversary.mixing.parameters())
    heads = {id(p) for p in adversary.heads.parameters()}
    assert {id(p) for p in adversary.parameters()} == heads

    x = images(2).requires_grad_()
    hinge_generator_loss(adversary(x)).backward()

    assert x.grad is not None
    assert x.grad.abs().max() > 0
    weights = [p for name, p in adversary.named_parameters() if "original" in name]
    assert weights
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in weights)


def test_training_leaves_the_projection_as_it_was() -> None:
    adversary = build()
    before = [p.clone() for p in adversary.project(images(2))]
    optimiser = torch.optim.SGD(adversary.heads.parameters(), 0.5)
    logits = [x.detach().clone() for x in adversary(images(2))]
    hinge_generator_loss(adversary(images(2))).backward()
    optimiser.step()

    assert all(torch.equal(a, b) for a, b in zip(before, adversary.project(images(2)), strict=True))
    assert not any(torch.allclose(a, b) for a, b in zip(logits, adversary(images(2)), strict=True))


def test_calibration_brings_every_scale_to_unit_variance_and_is_fixed() -> None:
    adversary = build()
    raw = [p.std().item() for p in adversary.project(images(4))]
    assert max(abs(s - 1) for s in raw) > 0.2

    for _ in range(2):  # the second time from scratch again
        adversary.calibrate(images(4))
        assert [p.std().item() for p in adversary.project(images(4))] == pytest.approx([1.0] * 4, abs=1e-4)
    assert adversary.gain.tolist() == pytest.approx([1 / s for s in raw], rel=1e-4)
    assert not adversary.gain.requires_grad


def test_a_logit_sees_only_its_part_of_the_map() -> None:
    torch.manual_seed(1)
    head = ScaleDiscriminator(8, 4, whole_image=False).eval()
    x = torch.randn(1, 4, 8, 8)
    changed = x.clone()
    changed[:, :, 5, 1] += 1  # rows 2..5 of windows 4 px high hold row 5, columns 0..1 hold column 1
    moved = ((head(x) - head(changed)).abs() > 1e-6).view(5, 5)
    expected = torch.zeros(5, 5, dtype=torch.bool)
    expected[2:, :2] = True
    assert torch.equal(moved, expected)


def test_judging_a_projection_is_judging_the_images() -> None:
    adversary = build().eval()
    assert all(
        torch.equal(a, b)
        for a, b in zip(adversary(images(2)), adversary.judge(adversary.project(images(2))), strict=True)
    )


def test_head_weights_have_a_largest_singular_value_near_one() -> None:
    head = build().heads[0]
    for _ in range(30):  # every pass in training mode improves the estimate
        head(torch.randn(2, 6, 32, 32))
    norms = [
        torch.linalg.matrix_norm(stage.weight.flatten(1), 2).item()
        for stage in head.stages
        if isinstance(stage, nn.Conv2d)
    ]
    assert len(norms) > 1
    assert norms == pytest.approx([1.0] * len(norms), abs=0.02)


def test_hinge_losses_by_hand() -> None:
    real = [torch.tensor([[2.0], [0.5]]), torch.tensor([[-1.0], [1.0]])]
    fake = [torch.tensor([[-3.0], [0.0]]), torch.tensor([[0.5], [-0.5]])]
    # scale 0: mean(0, 0.5) + mean(0, 1) = 0.75; scale 1: mean(2, 0) + mean(1.5, 0.5) = 2
    assert hinge_discriminator_loss(real, fake).item() == pytest.approx(2.75)
    # -mean(-3, 0) - mean(0.5, -0.5)
    assert hinge_generator_loss(fake).item() == pytest.approx(1.5)


def test_logits_beyond_the_margin_cost_nothing() -> None:
    far = [torch.full((3, 1), 1.0)]
    assert hinge_discriminator_loss(far, [-far[0]]).item() == 0
    assert hinge_discriminator_loss([far[0] * 9], [far[0] * -9]).item() == 0


def test_tones_are_asked_of_fakes_that_were_not_augmented() -> None:
    adversary = ProjectedAdversary(ProjectedConfig(width=6, variety=2.0), build())
    tinted = images(24) * 0.1 + torch.randn(24, 3, 1, 1, generator=torch.Generator().manual_seed(5))
    adversary.survey([tinted[:12], tinted[12:]])
    fakes = images(4) * 0.1 + torch.randn(4, 3, 1, 1, generator=torch.Generator().manual_seed(6))

    def terms(augmented: Tensor) -> Terms:
        with torch.no_grad():
            seen, real = adversary.look(augmented), adversary.look(tinted[:4])
            adversary.tones.fakes, adversary.tones.count = [], 0  # type: ignore[union-attr]
            return adversary.generator_terms(
                adversary.judge(seen, None), seen, Fakes(fakes, fakes[:, 0], None), real
            )

    plain, cut = terms(fakes), terms(fakes * 0.5)
    assert plain["tones"].weight == plain["variety"].weight == 2.0
    assert torch.equal(plain["tones"].value, cut["tones"].value)
    assert not torch.equal(plain["variety"].value, cut["variety"].value)
