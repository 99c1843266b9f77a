"""The ADA pipeline: each transform as the paper says, one probability, nothing drawn elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from syper_data.errors import ConfigError
from syper_data.execution.team import Team
from syper_data.gan.ada import GROUPS, PUBLISHED, AdaConfig, AdaDraws, apply_ada, blit_index, draw_ada, recolour
from syper_data.gan.augment import Augmenter

ALL = AdaConfig(groups="bgcfnc", x_flip=True, rotate90=True)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int, side: int = 16) -> Tensor:
    return torch.rand(n, 3, side, side, generator=rng(1)) * 2 - 1


def draw(config: AdaConfig, n: int, p: float = 1.0, side: int = 16, seed: int = 0) -> AdaDraws:
    draws = draw_ada(config, p, n, side, rng(seed))
    assert draws is not None
    return draws


def test_at_probability_zero_the_image_is_the_same_to_the_bit_and_nothing_is_drawn() -> None:
    generator = rng()
    before = generator.get_state()
    x = images(4)
    assert torch.equal(Augmenter(replace(ALL, probability=0.0))(x, 4, generator), x)
    assert torch.equal(generator.get_state(), before)


def test_an_image_that_no_transform_chose_is_left_to_the_bit() -> None:
    x = images(300)
    y = apply_ada(x, draw(replace(ALL, groups="bgcf"), 300, p=0.02))
    untouched = (x == y).flatten(1).all(dim=1)
    assert 0.4 < untouched.float().mean() < 0.95
    assert not untouched.all()


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_alone_changes_images_and_the_others_draw_nothing(group: str) -> None:
    draws = draw(replace(ALL, groups=group), 8)
    held = {name for name in AdaDraws.__dataclass_fields__ if getattr(draws, name) is not None}
    expected = {
        "blit": {"flip", "quarters", "shift"},
        "geometry": {"geometry"},
        "colour": {"colour"},
        "filter": {"bands"},
        "noise": {"sigma", "noise"},
        "cutout": {"hole"},
    }
    assert held == expected[group]
    changed = (apply_ada(images(8), draws) != images(8)).flatten(1).any(dim=1)
    assert changed.float().mean() > 0.8


def test_the_published_names_add_one_group_after_the_other() -> None:
    assert list(PUBLISHED) == ["b", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"]
    assert [g for g in GROUPS if AdaConfig(groups="bgc").uses(g)] == ["blit", "geometry", "colour"]
    assert [g for g in GROUPS if AdaConfig(groups="colour+cutout").uses(g)] == ["colour", "cutout"]


def test_flips_quarter_turns_and_translations_are_exact() -> None:
    x = images(6, side=8)
    flip = torch.tensor([True, False, False, False, False, False])
    quarters = torch.tensor([0, 1, 2, 3, 0, 0])
    shift = torch.tensor([[0, 0]] * 4 + [[2, 0], [0, -3]])
    y = apply_ada(x, AdaDraws(flip=flip, quarters=quarters, shift=shift))
    assert torch.equal(y[0], x[0].flip(2))
    for k in (1, 2, 3):
        assert torch.equal(y[k], x[k].rot90(k, (1, 2)))
    assert torch.equal(y[4], torch.cat([x[4][:, [2, 1]], x[4][:, :-2]], dim=1))  # down, mirrored above
    assert torch.equal(y[5], torch.cat([x[5][:, :, 3:], x[5][:, :, [6, 5, 4]]], dim=2))
    assert torch.equal(blit_index(AdaDraws(), 1, 3)[0], torch.arange(9))


def test_blitting_draws_what_the_paper_says() -> None:
    draws = draw(replace(ALL, groups="b"), 4000, side=64)
    assert draws.flip is not None
    assert draws.quarters is not None
    assert draws.shift is not None
    assert 0.45 < draws.flip.float().mean() < 0.55
    assert torch.bincount(draws.quarters).tolist() == pytest.approx([1000] * 4, abs=120)
    assert (draws.shift.min(), draws.shift.max()) == (-8, 8)  # an eighth of the side
    quiet = draw(replace(ALL, groups="b", x_flip=False, rotate90=False), 10)
    assert quiet.flip is None
    assert quiet.quarters is None


def test_crops_keep_their_orientation_unless_flips_are_asked_for() -> None:
    assert not AdaConfig().x_flip
    assert not AdaConfig().rotate90
    upright = draw(AdaConfig(groups="geometry", rotation=False), 500).geometry
    assert upright is not None
    assert torch.equal(upright[:, 0, 1], torch.zeros(500))
    assert torch.equal(upright[:, 1, 0], torch.zeros(500))
    assert (upright[:, 0, 0] > 0).all()


def test_geometry_draws_what_the_paper_says() -> None:
    matrices = draw(AdaConfig(groups="geometry", rotation=False), 4000, side=64).geometry
    assert matrices is not None
    area = matrices[:, :2, :2].det().log() / 2 / math.log(2)  # the isotropic scale, in octaves
    aspect = (matrices[:, 0, 0] / matrices[:, 1, 1]).log() / 2 / math.log(2)
    for octaves in (area, aspect):
        assert octaves.mean().item() == pytest.approx(0, abs=0.02)
        assert octaves.std().item() == pytest.approx(0.2, abs=0.01)
    assert (matrices[:, :2, 2] / 64).std(dim=0).tolist() == pytest.approx([0.125] * 2, abs=0.01)
    p = 0.36
    turned = draw(AdaConfig(groups="geometry"), 6000, p=p).geometry
    assert turned is not None
    rotated = (turned[:, 0, 1] != 0).float().mean().item()
    assert rotated == pytest.approx(p, abs=0.025)  # once or twice, together with probability p


def test_a_known_matrix_gives_a_known_image() -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    bump = torch.exp(-((x - 20) ** 2 + (y - 12) ** 2) / 12).expand(1, 3, 32, 32)
    centre = 15.5
    angle = math.pi / 2
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    moved = apply_ada(bump, AdaDraws(geometry=turn[None]))
    # (x, y) from the centre goes to (-y, x)
    expected = torch.exp(-((x - (centre - (12 - centre))) ** 2 + (y - (centre + 20 - centre)) ** 2) / 12)
    assert torch.allclose(moved[0, 0], expected, atol=0.02)


def test_colour_matrices_do_what_the_paper_says() -> None:
    matrices = draw(AdaConfig(groups="colour"), 3000).colour
    assert matrices is not None
    grey = torch.tensor([0.4, 0.4, 0.4, 1.0])
    result = matrices @ grey
    assert torch.allclose(result[:, 3], torch.ones(3000))
    assert result[:, :3].std(dim=1).max() < 1e-4  # hue, saturation and luma flip leave grey grey
    black = matrices[:, 0, 3]
    gain = (result[:, 0] - black) / 0.4  # contrast, negative after a luma flip
    assert 0.45 < (gain < 0).float().mean() < 0.55
    assert (gain.abs().log() / math.log(2)).std().item() == pytest.approx(0.5, abs=0.03)
    assert (black / gain.abs()).std().item() == pytest.approx(0.2, abs=0.02)  # brightness comes first
    red = matrices[:, :3, :3] @ torch.tensor([1.0, 0, 0])
    chroma = (red - red.mean(dim=1, keepdim=True)).norm(dim=1) / gain.abs() / math.sqrt(2 / 3)
    assert (chroma.log() / math.log(2)).std().item() == pytest.approx(1.0, abs=0.05)  # saturation
    first = (red - red.mean(dim=1, keepdim=True))[:, 0] / (red - red.mean(dim=1, keepdim=True)).norm(dim=1)
    assert first.mean().item() == pytest.approx(0, abs=0.05)  # hue turns all the way


def test_a_known_colour_matrix_gives_known_pixels() -> None:
    matrix = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0.5], [2, 0, 0, 0], [0, 0, 0, 1]])
    x = images(2, side=4)
    y = recolour(x, matrix.expand(2, -1, -1))
    assert torch.allclose(y, torch.stack([x[:, 1], x[:, 2] + 0.5, 2 * x[:, 0]], dim=1))


def test_band_gains_keep_the_expected_power_of_natural_images() -> None:
    power = torch.tensor([10.0, 1, 1, 1]) / 13
    single = draw(AdaConfig(groups="filter"), 2000, p=0.05).bands
    assert single is not None
    once = single[(single != 1).any(dim=1)]
    assert 0.1 < len(once) / 2000 < 0.27  # each of four bands with its own chance
    assert (once.square() * power).sum(dim=1).median().item() == pytest.approx(1, abs=1e-4)


def test_noise_has_half_normal_strength() -> None:
    draws = draw(AdaConfig(groups="noise"), 2000, side=2)
    y = apply_ada(torch.zeros(2000, 3, 2, 2), draws)
    assert draws.sigma is not None
    assert draws.sigma.mean().item() == pytest.approx(0.1 * math.sqrt(2 / math.pi), abs=0.005)
    assert y.std().item() == pytest.approx(0.1, abs=0.01)


def test_cutout_erases_half_the_side_about_its_centre() -> None:
    hole = torch.tensor([[0.5, 0.5], [0.0, 1.0], [math.nan, math.nan]])
    y = apply_ada(torch.ones(3, 3, 16, 16), AdaDraws(hole=hole))
    middle = torch.ones(16, 16)
    middle[4:12, 4:12] = 0
    corner = torch.ones(16, 16)
    corner[:4, 12:] = 0
    for image, expected in zip(y, (middle, corner, torch.ones(16, 16)), strict=True):
        assert torch.equal(image, expected.expand(3, -1, -1))


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_gradients_flow_to_every_image_and_nothing_is_nan(p: float) -> None:
    x = images(12).requires_grad_()
    y = apply_ada(x, draw(ALL, 12, p=p))
    assert torch.isfinite(y).all()
    (slope,) = torch.autograd.grad(y.square().sum(), x)
    assert torch.isfinite(slope).all()
    assert (slope.abs().flatten(1).sum(dim=1) > 0).all()
    direction = torch.randn(x.shape, generator=rng(3))
    with torch.no_grad():
        up, down = (apply_ada(x + s * 1e-2 * direction, draw(ALL, 12, p=p)) for s in (1, -1))
    measured = (up.square().sum() - down.square().sum()) / 2e-2
    assert measured.item() == pytest.approx((slope * direction).sum().item(), rel=2e-2, abs=0.5)


def test_extreme_draws_stay_finite() -> None:
    for seed in range(5):
        y = apply_ada(images(32, side=32), draw(ALL, 32, side=32, seed=seed))
        assert torch.isfinite(y).all()


def test_the_result_follows_the_random_generator_and_not_the_global_state() -> None:
    augmenter = Augmenter(replace(ALL, probability=0.7))
    torch.manual_seed(1)
    first = augmenter(images(6), 6, rng(5))
    torch.manual_seed(2)
    assert torch.equal(augmenter(images(6), 6, rng(5)), first)
    assert not torch.equal(augmenter(images(6), 6, rng(6)), first)


def test_a_part_of_the_batch_is_augmented_as_in_the_whole() -> None:
    augmenter = Augmenter(replace(ALL, probability=0.7))
    whole = augmenter(images(8), 8, rng(5))
    for rank in (0, 1):
        team = Team(rank, 2)
        part = augmenter(team.mine(images(8)), 8, rng(5), team)
        assert torch.allclose(part, whole[rank::2], atol=1e-5)


@pytest.mark.parametrize("groups", ["bg", "bgcfnc"])
def test_half_precision_images_keep_their_type(groups: str) -> None:
    y = apply_ada(images(4).bfloat16(), draw(AdaConfig(groups=groups), 4))
    assert y.dtype == torch.bfloat16


def test_p_moves_by_the_sign_heuristic_every_interval_and_stays_in_its_limits() -> None:
    augmenter = Augmenter(AdaConfig(probability=0.5, interval=4, speed_kimg=1.0, limit=0.52))
    for sign in (0.9, 0.9, 0.5):
        augmenter.observe(sign, 5)
    assert augmenter.probability == 0.5
    augmenter.observe(0.9, 5)  # the mean, 0.8, is above the target: 20 images of 1,000
    assert augmenter.probability == pytest.approx(0.52)
    for _ in range(4):
        augmenter.observe(1.0, 5)
    assert augmenter.probability == pytest.approx(0.52)
    for _ in range(4 * 40):
        augmenter.observe(0.1, 5)
    assert augmenter.probability == 0.0


def test_p_is_kept_where_there_is_no_target() -> None:
    augmenter = Augmenter(AdaConfig(probability=0.5, target=None, interval=1))
    augmenter.observe(1.0, 1000)
    assert augmenter.probability == 0.5


def test_the_state_of_the_heuristic_continues() -> None:
    config = AdaConfig(interval=4, speed_kimg=1.0)
    first, second = Augmenter(config), Augmenter(config)
    for _ in range(6):
        first.observe(1.0, 8)
    second.restore(first.state())
    for augmenter in (first, second):
        augmenter.observe(1.0, 8)
        augmenter.observe(1.0, 8)
    assert first.probability == second.probability == pytest.approx(2 * 32 / 1000)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("groups", v) for v in ("", "cb", "blit+wave", None, 3)),
        *(("probability", v) for v in (-0.1, 1.1, None)),
        *(("target", v) for v in (2, "high")),
        *(("interval", v) for v in (0, 1.5)),
        *(("speed_kimg", v) for v in (0, -1, float("nan"))),
        *(("limit", v) for v in (2, None)),
        *((name, v) for name in ("x_flip", "rotate90", "rotation") for v in (1, "no")),
        ("kind", "diffaugment"),
    ],
)
def test_a_bad_setting_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        AdaConfig(**{field: value})
    assert str(caught.value).startswith(f"augment.{field} is {value!r}: must be ")
