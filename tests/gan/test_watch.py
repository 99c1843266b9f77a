"""Early warnings: a collapsed generator and a copying one are named, an honest one is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from small_training import RECIPE, crops
from syper_data.gan.crops import Pixels, load_crops
from syper_data.gan.synthesis import Key
from syper_data.gan.training_run import TrainingRun
from syper_data.gan.watch import CROPS, FAKES, WARN_FROM_CROPS, Watch


@pytest.fixture(scope="module")
def run() -> TrainingRun:
    """A run on 240 crops, far enough for warnings; its generator is replaced by each test."""
    made = TrainingRun(replace(RECIPE, total_kimg=100), load_crops(crops(count=240), 16))
    made.step = 5000
    return made


def looked(run: TrainingRun, monkeypatch: pytest.MonkeyPatch, images: Pixels) -> dict[str, Any]:
    def samples(self: TrainingRun, keys: list[Key]) -> Pixels:
        assert len(keys) == FAKES
        return images[np.arange(FAKES) % len(images)]

    monkeypatch.setattr(TrainingRun, "samples", samples)
    return Watch.of(run).look(run)


def fresh() -> Pixels:
    """Images of the same kind that are in no training set."""
    return load_crops(crops(count=FAKES, seed=99), 16).pixels


def test_new_images_of_the_same_kind_raise_no_warning(run: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    line = looked(run, monkeypatch, fresh())
    assert line["spread"] == pytest.approx(1, abs=0.1)
    assert line["nearest"] == pytest.approx(1, abs=0.15)
    assert "warning" not in line


def test_one_image_over_and_over_is_a_collapse(run: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    line = looked(run, monkeypatch, fresh()[:1])
    assert line["spread"] == 0
    assert line["warning"].startswith("collapse: fakes spread 0.00 as far as crops, below 0.5")


def test_pale_variations_of_the_mean_are_a_collapse(run: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    images = fresh()
    mean = images.mean(axis=0, keepdims=True)
    line = looked(run, monkeypatch, (mean + 0.3 * (images - mean)).astype(np.uint8))
    assert line["spread"] == pytest.approx(0.3, abs=0.05)
    assert "collapse" in line["warning"]


@pytest.mark.parametrize("share", [0.15, 1.0])
def test_copies_of_training_crops_are_named_even_if_they_are_few(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    images = fresh()
    count = int(share * FAKES)
    images[:count] = run.crops.pixels[:count] // 2 + run.crops.pixels[:count] // 2  # nearly
    line = looked(run, monkeypatch, images)
    assert line["nearest"] < 0.1
    assert line["warning"].startswith("memorisation: a tenth of the fakes is 0.0")


def test_a_tenth_of_the_crops_is_enough_to_find_a_generator_that_copies(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syper_data.gan.watch.CROPS", 40)
    assert CROPS >= 1000
    copies = run.crops.pixels[np.random.default_rng(0).permutation(240)[:FAKES]]
    assert "memorisation" in looked(run, monkeypatch, copies)["warning"]


def test_crops_are_compared_with_those_of_other_subjects() -> None:
    """Two crops of one eye are near to each other; that says nothing about a generator."""
    images = crops(count=120)
    twins = [replace(image, pixels=image.pixels ^ 1) for image in images]
    known = [replace(image, subject=str(i % 120)) for i, image in enumerate([*images, *twins])]
    strangers = Watch.of(TrainingRun(RECIPE, load_crops([*images, *twins], 16)))
    families = Watch.of(TrainingRun(RECIPE, load_crops(known, 16)))
    assert families.spaces[0].nearest > 20 * strangers.spaces[0].nearest


def test_nothing_is_warned_of_early_or_on_a_handful_of_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    few = TrainingRun(RECIPE, load_crops(crops(count=WARN_FROM_CROPS - 1), 16))
    few.step = 5000
    early = TrainingRun(RECIPE, load_crops(crops(count=240), 16))
    for run in (few, early):
        line = looked(run, monkeypatch, fresh()[:1])
        assert line["spread"] == 0
        assert "warning" not in line


def test_watching_changes_nothing_of_the_run() -> None:
    runs = [TrainingRun(RECIPE, load_crops(crops(), 16)) for _ in range(2)]
    Watch.of(runs[0]).look(runs[0])
    assert runs[0].advance() == runs[1].advance()
    assert all(
        torch.equal(a, b)
        for a, b in zip(runs[0].generator.parameters(), runs[1].generator.parameters(), strict=True)
    )


def test_one_subject_alone_has_no_distance_to_strangers() -> None:
    images = [replace(image, subject="one") for image in crops()]
    run = TrainingRun(RECIPE, load_crops(images, 16))
    assert Watch.of(run).look(run)["nearest"] is None
