"""One step of a recognizer's training: what moves, what does not, and where the draws come from."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from small_recognizer_training import RECIPE, SMALL, make_run
from small_training import same
from syper_data.errors import ConfigError, DivergedError
from syper_data.execution.team import Team
from syper_data.recognition.augment import AugmentConfig
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.margins import MarginConfig
from syper_data.recognition.recipe import OptimiserConfig, SamplingConfig, ScheduleConfig
from syper_data.recognition.training_run import RecognizerRun, rate_at


def test_steps_lower_the_loss_and_pull_images_to_their_class() -> None:
    recipe = replace(
        SMALL,
        margin=MarginConfig("cosface", 8.0, 0.1),
        sampling=SamplingConfig(identities=4, images=4),
        augment=AugmentConfig.none(),
        optimiser=OptimiserConfig("adamw", 3e-3),
        schedule=ScheduleConfig(warmup=0),
    )
    run = make_run(recipe, count=2, samples=4)
    figures = [run.advance() for _ in range(12)]
    assert list(figures[0]) == ["loss", "accuracy", "cosine", "lr"]
    assert figures[-1]["loss"] < 0.5 * figures[0]["loss"]
    assert figures[-1]["cosine"] > figures[0]["cosine"] + 0.3
    assert figures[-1]["accuracy"] == 1


def test_the_same_seed_takes_the_same_steps_and_a_restored_run_goes_on_alike() -> None:
    first, again = make_run(SMALL), make_run(SMALL)
    assert [first.advance() for _ in range(2)] == [again.advance() for _ in range(2)]
    state = copy.deepcopy(first.state())
    after = first.advance()
    torch.manual_seed(99)  # what others draw is nothing to it
    other = make_run(SMALL)
    other.restore(state)
    assert other.advance() == after
    assert same(other.state(), first.state())


def test_the_mean_of_the_weights_follows_them_and_a_restored_run_keeps_it() -> None:
    recipe = replace(SMALL, averaging=0.9)
    run = make_run(recipe)
    assert run.averaged is not run.backbone
    name = next(iter(run.backbone.state_dict()))
    mean = run.averaged.state_dict()[name].clone()
    for step in range(3):
        run.advance()
        kept = min(0.9, (step + 1) / (step + 10))
        mean = kept * mean + (1 - kept) * run.backbone.state_dict()[name]
    torch.testing.assert_close(run.averaged.state_dict()[name], mean)
    assert not torch.equal(run.averaged.state_dict()[name], run.backbone.state_dict()[name])
    other = make_run(recipe)
    other.restore(copy.deepcopy(run.state()))
    run.advance()
    other.advance()
    assert same(other.state(), run.state())
    plain = make_run(SMALL)
    assert plain.averaged is plain.backbone
    assert "averaged" not in plain.state()


def test_a_loss_that_is_not_finite_stops_the_run_before_a_weight_changes() -> None:
    run = make_run(SMALL)
    run.advance()
    run.head.weight.data[0, 0] = float("nan")
    before = copy.deepcopy(run.state())
    with pytest.raises(DivergedError, match=r"training diverged at step 1 \(loss nan"):
        run.advance()
    assert torch.equal(run.head.weight.nan_to_num(), before["head"]["weight"].nan_to_num())
    for name, value in run.backbone.named_parameters():
        assert torch.equal(value, before["backbone"][name])
    assert same(run.state()["optimiser"]["state"], before["optimiser"]["state"])


def test_biases_norms_and_slopes_do_not_decay() -> None:
    decayed, free = make_run(SMALL).optimiser.param_groups
    assert decayed["weight_decay"] == 5e-4
    assert free["weight_decay"] == 0
    assert {p.ndim for p in free["params"]} == {1}
    assert {p.ndim for p in decayed["params"]} == {2, 4}


def test_the_rate_warms_up_and_decays() -> None:
    cosine = ScheduleConfig(warmup=0.1)
    rates = [rate_at(cosine, i / 100, 100) for i in range(100)]
    assert 0 < rates[0] < 0.1
    assert rates == sorted(rates[:10]) + sorted(rates[10:], reverse=True)
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    step = ScheduleConfig("step", 0, milestones=(0.5, 0.75))
    assert [rate_at(step, x, 100) for x in (0.0, 0.49, 0.5, 0.75)] == pytest.approx([1, 1, 0.1, 0.01])
    assert rate_at(ScheduleConfig("constant", 0), 0.9, 100) == 1


@pytest.mark.parametrize("changes", [{}, {"precision": "bf16"}], ids=["float32", "bf16"])
def test_the_flattening_head_and_the_residual_network_train_too(changes: dict[str, str]) -> None:
    two = SamplingConfig(identities=2, images=1)
    flat = replace(SMALL, stages=(), sampling=two, backbone=BackboneConfig("iresnet18", 112, 128), **changes)
    run = make_run(flat, count=2, samples=2)
    assert all(value == value for value in run.advance().values())
    assert run.finite()


def test_a_batch_that_does_not_divide_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Team, "current", classmethod(lambda cls: cls(0, 4)))
    with pytest.raises(ConfigError, match="the batch of 6 does not divide over 4 processes"):
        make_run(RECIPE)


def test_steps_count_epochs_of_the_images() -> None:
    run = make_run(replace(RECIPE, steps=None, epochs=3))
    assert run.steps == 12  # 24 images, 6 a batch
    assert isinstance(run, RecognizerRun)
    assert not run.done
