"""One step of training: who learns from what, when, and that nothing depends on being interrupted."""

from __future__ import annotations

import copy
import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from small_training import PROJECTED, RECIPE, VARIETY, crops, make_run, needs_extra, same
from syper_data.errors import ConfigError, SyperError
from syper_data.execution.team import Team
from syper_data.gan.adversary import Seen
from syper_data.gan.crops import load_crops
from syper_data.gan.preparation import check_team
from syper_data.gan.projected import ProjectedAdversary, ProjectedConfig
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.training_run import TrainingRun

CONDITIONAL = replace(RECIPE, auto_classes=True)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "recipe",
    [RECIPE, CONDITIONAL, *(pytest.param(r, marks=needs_extra) for r in (PROJECTED, VARIETY))],
    ids=["stylegan2", "conditional", "projected", "variety"],
)
def test_a_restored_state_continues_as_if_nothing_had_happened(recipe: TrainingRecipe, precision: str) -> None:
    recipe = replace(recipe, precision=precision)
    first = make_run(recipe, subjects=2)
    first.advance()
    buffer = io.BytesIO()
    torch.save(first.state(), buffer)
    losses = first.advance()

    second = make_run(recipe, subjects=2)
    second.restore(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))

    assert second.kimg == 0.004
    assert second.advance() == losses
    assert same(second.state(), first.state())


@pytest.mark.parametrize(
    "recipe", [RECIPE, pytest.param(VARIETY, marks=needs_extra)], ids=["stylegan2", "variety"]
)
def test_a_grey_generator_trains_on_the_brightness_of_colour_crops(recipe: TrainingRecipe) -> None:
    grey = replace(recipe, generator=replace(recipe.generator, img_channels=1))
    run = make_run(grey, subjects=2)
    before = copy.deepcopy(run.generator.state_dict())
    run.advance()

    images = run.samples([(0, None), (1, None)])
    assert images.shape[-1] == 3 and (images == images[..., :1]).all()
    seen = run._to_float(run.crops.pixels[:2])
    luma = run.crops.pixels[:2].astype(float) @ [0.299, 0.587, 0.114] / 127.5 - 1
    assert np.allclose(seen.numpy(), luma[:, None], atol=1e-5)
    moved = {name for name, p in run.generator.named_parameters() if not same(before[name], p)}
    assert moved == {name for name, _ in run.generator.named_parameters()}


@needs_extra
def test_a_step_moves_both_players_and_leaves_the_projection() -> None:
    run = make_run(PROJECTED)
    before = copy.deepcopy({k: dict(m.state_dict()) for k, m in parts(run).items()})
    run.advance()
    after = {k: dict(m.state_dict()) for k, m in parts(run).items()}

    moved = {name for name, p in run.generator.named_parameters() if not same(before["generator"][name], p)}
    # noise strengths and everything else move in the first step already
    assert moved == {name for name, _ in run.generator.named_parameters()}
    assert not same(before["generator"]["mapping.w_avg"], after["generator"]["mapping.w_avg"])
    weights = [name for name in before["heads"] if name.endswith("original")]
    assert weights
    assert not any(same(before["heads"][name], after["heads"][name]) for name in weights)
    assert same(before["features"], after["features"])
    assert same(before["mixing"], after["mixing"])


def test_every_step_draws_other_latents_and_every_seed_its_own() -> None:
    drawn: list[torch.Tensor] = []
    for seed in (3, 4):
        plain = replace(RECIPE.adversary, style_mixing=0.0, path_length_weight=0.0)
        run = make_run(replace(RECIPE, seed=seed, adversary=plain))
        run.generator.mapping.register_forward_hook(lambda module, args, output: drawn.append(args[0]))
        run.advance()
        run.advance()
    assert len(drawn) == 4
    assert torch.cat(drawn).unique(dim=0).shape == (16, 8)


def parts(run: TrainingRun) -> dict[str, torch.nn.Module]:
    assert isinstance(run.adversary, ProjectedAdversary)
    adversary = run.adversary.discriminator
    return {
        "generator": run.generator,
        "heads": adversary.heads,
        "features": adversary.feature_net,
        "mixing": adversary.mixing,
    }


def test_the_average_follows_with_its_half_life() -> None:
    run = make_run(replace(RECIPE, ema_kimg=0.004, ema_rampup=1.0))
    name = "synthesis.b4.const"
    start = run.generator.state_dict()[name].clone()
    run.advance()
    moved, average = (m.state_dict()[name] for m in (run.generator, run.average))
    assert torch.allclose(average, (start + moved) / 2, atol=1e-7)  # one batch is one half-life
    assert same(run.average.state_dict()["mapping.w_avg"], run.generator.state_dict()["mapping.w_avg"])


def test_learning_rates_fall_linearly_to_zero_over_the_decay() -> None:
    run = make_run(replace(RECIPE, total_kimg=0.04, decay_kimg=0.02))
    rates = []
    for step in (0, 5, 6, 8, 10):
        run.step = step
        run.advance()
        rates.append([o.param_groups[0]["lr"] for o in (run.generator_optimiser, run.adversary_optimiser)])
    expected = [1.0, 1.0, 0.8, 0.4, 0.0]
    lazy = 2 / 3  # both are regularised every second step
    assert [a / RECIPE.generator_lr / lazy for a, _ in rates] == pytest.approx(expected)
    assert [b / RECIPE.discriminator_lr / lazy for _, b in rates] == pytest.approx(expected)


def test_every_crop_is_shown_once_an_epoch_in_an_order_of_its_own() -> None:
    run = make_run()
    shown = []
    for step in range(3):  # 3 batches of 4 are 2 epochs of 6
        run.step = step
        for image in run._reals(torch.Generator()).images:
            pixels = ((image + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(np.uint8)
            shown.append([np.array_equal(pixels, crop) for crop in run.crops.pixels].index(True))
    assert sorted(shown[:6]) == sorted(shown[6:]) == list(range(6))
    assert shown[:6] != shown[6:]


def test_mirroring_flips_some_images_and_only_where_the_recipe_says_so() -> None:
    plain, mirrored = make_run(), make_run(replace(RECIPE, mirror=True, batch=12))
    rows = mirrored._reals(torch.Generator().manual_seed(0)).images
    originals = torch.from_numpy(plain.crops.pixels).permute(0, 3, 1, 2) / 127.5 - 1

    def among(image: torch.Tensor) -> bool:
        return any(torch.allclose(image, o, atol=1e-5) for o in originals)

    straight = [among(row) for row in rows]
    assert 0 < sum(straight) < 12
    assert all(among(row if s else row.flip(2)) for row, s in zip(rows, straight, strict=True))
    assert all(among(row) for row in plain._reals(torch.Generator()).images)


def test_a_class_conditional_step_shows_every_crop_with_its_own_class() -> None:
    run = make_run(CONDITIONAL, subjects=3)
    assert run.recipe.generator.c_dim == 3
    assert not run.recipe.auto_classes
    reals = run._reals(torch.Generator())
    assert reals.c is not None
    assert reals.c.argmax(dim=1).tolist() == [i % 3 for i in reals.rows]
    assert torch.equal(reals.c.sum(dim=1), torch.ones(4))


def test_fakes_have_the_classes_of_the_data_in_their_proportions() -> None:
    images = [replace(image, subject="rare" if i == 0 else "common") for i, image in enumerate(crops(count=10))]
    run = TrainingRun(replace(CONDITIONAL, batch=512), load_crops(images, 16, "subject"))
    c = run._fake_labels(torch.Generator().manual_seed(0), 512)
    assert c is not None
    assert c.mean(dim=0).tolist() == pytest.approx([0.9, 0.1], abs=0.04)  # sorted: common, rare


def test_a_number_of_classes_that_the_data_do_not_have_is_refused() -> None:
    recipe = replace(RECIPE, generator=replace(RECIPE.generator, c_dim=5))
    with pytest.raises(ConfigError, match=r"generator.c_dim is 5, the data have 3 classes: give that or auto"):
        make_run(recipe, subjects=3)


def test_regularisers_run_in_their_intervals_only() -> None:
    adversary = replace(RECIPE.adversary, r1_interval=3, path_length_interval=2)
    run = make_run(replace(RECIPE, adversary=adversary))
    seen = [set(run.advance()) & {"r1", "path"} for _ in range(5)]
    assert seen == [{"r1", "path"}, set(), {"path"}, {"r1"}, {"path"}]


def test_adam_is_corrected_for_the_steps_of_lazy_regularisers() -> None:
    adversary = replace(RECIPE.adversary, r1_interval=16, path_length_interval=4)
    run = make_run(replace(RECIPE, adversary=adversary))
    (generator,), (opponent,) = (o.param_groups for o in (run.generator_optimiser, run.adversary_optimiser))
    assert generator["initial_lr"] == pytest.approx(RECIPE.generator_lr * 4 / 5)
    assert generator["betas"] == pytest.approx((0.0, 0.99 ** (4 / 5)))
    assert opponent["initial_lr"] == pytest.approx(RECIPE.discriminator_lr * 16 / 17)
    assert opponent["betas"] == pytest.approx((0.0, 0.99 ** (16 / 17)))

    off = replace(RECIPE.adversary, r1_gamma=0.0, path_length_weight=0.0)
    run = make_run(replace(RECIPE, adversary=off))
    assert run.generator_optimiser.param_groups[0]["initial_lr"] == RECIPE.generator_lr
    assert run.adversary_optimiser.param_groups[0]["betas"] == (0.0, 0.99)
    assert not {"r1", "path"} & set(run.advance())


def test_a_stylegan2_step_moves_every_weight_of_both_players() -> None:
    run = make_run(CONDITIONAL, subjects=2)
    networks = (run.generator, run.adversary.trained)
    before = copy.deepcopy([dict(n.named_parameters()) for n in networks])
    run.advance()
    for network, old in zip(networks, before, strict=True):
        for name, parameter in network.named_parameters():
            assert not torch.equal(parameter, old[name]), name


def test_ada_adapts_within_a_run_and_its_probability_is_state() -> None:
    run = make_run(replace(RECIPE, augment=replace(RECIPE.augment, probability=0.4, target=-1.0)))
    run.advance()
    assert run.augmenter.probability == pytest.approx(0.4)
    run.advance()  # two batches of 4 at 0.1 kimg for the whole way
    moved = 0.4 + 2 * 4 / 1000 / 0.1
    assert run.augmenter.probability == pytest.approx(min(moved, 0.8))
    other = make_run(run.recipe)
    other.restore(run.state())
    assert other.augmenter.probability == run.augmenter.probability


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({"batch": 6}, 4, "batch is 6: does not divide over 4 processes"),
        ({"batch": 6}, 2, "batch is 6: its half"),
        ({"batch": 4, "mbstd_group_size": 4}, 2, "batch is 4: its groups of 4"),
    ],
)
def test_a_batch_that_processes_cannot_share_is_refused(changes: dict[str, Any], size: int, message: str) -> None:
    recipe = replace(RECIPE, batch=changes.pop("batch"), adversary=replace(RECIPE.adversary, **changes))
    check_team(recipe, Team())
    with pytest.raises(ConfigError, match=message):
        check_team(recipe, Team(0, size))


@needs_extra
def test_a_conditional_projected_adversary_learns_its_labels() -> None:
    run = make_run(replace(PROJECTED, auto_classes=True), subjects=2)
    embedding = dict(run.adversary.trained.named_parameters())["0.embed.weight"]
    before = embedding.detach().clone()
    run.advance()
    assert not torch.equal(embedding, before)
    seen = run.adversary.look(torch.zeros(2, 3, 128, 128))
    first, second = (run.adversary.judge(seen, torch.eye(2)[[k, k]]) for k in (0, 1))
    assert not any(torch.allclose(a, b, atol=1e-6) for a, b in zip(first, second, strict=True))
    with pytest.raises(ValueError, match="labels"):
        run.adversary.judge(seen, None)


@needs_extra
def test_joint_normalisation_shows_the_adversary_that_fakes_have_less_contrast() -> None:
    configs = (ProjectedConfig(width=8, joint_norm=together) for together in (False, True))
    apart, joint = (make_run(replace(PROJECTED, adversary=config)) for config in configs)
    real = apart.adversary.look(apart._reals(torch.Generator().manual_seed(0)).images)
    pale = Seen(real.images, [0.1 * x for x in real.judged])

    def difference(run: TrainingRun) -> float:
        reals, fakes = run.adversary.judge_both(real, None, pale, None)
        return float((reals[0] - fakes[0]).detach().abs().mean())

    # apart, batch norm brings the pale features back to size: all that is left is spectral norm's iteration
    assert difference(apart) < 0.1 * difference(joint), (difference(apart), difference(joint))


def test_a_gradient_that_is_not_finite_changes_no_weight() -> None:
    run = TrainingRun(RECIPE, load_crops(crops(), 16))
    before = {k: v.clone() for k, v in run.adversary.trained.state_dict().items()}
    run.adversary.trained.b4.out.bias.register_hook(lambda slope: slope * math.inf)
    with pytest.raises(SyperError, match=r"diverged at 0\.000 kimg \(loss_d [0-9.]+, gradient norm inf\)"):
        run.advance()
    assert same(dict(run.adversary.trained.state_dict()), before)
