"""The recipe of a recognizer: what it may say, and one line for each mistake."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from small_generators import REPOSITORY
from syper_data.errors import ConfigError, InputError
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.recipe import RecognizerRecipe, Stage

POOLED = BackboneConfig("mobilefacenet", embedding_dim=128, head="pooling")
RECIPE = RecognizerRecipe("eyes", "nir", POOLED, "two_classes", steps=100)
BUNDLED = sorted((REPOSITORY / "recognizer" / "recipes").glob("*.yaml"))


def written(**changes: Any) -> dict[str, Any]:
    values = {**RECIPE.to_dict(), **changes}
    return {name: value for name, value in values.items() if value is not None}


def test_a_written_recipe_reads_back_as_the_same(tmp_path: Path) -> None:
    recipe = replace(RECIPE, stages=(Stage(0.5, 64), Stage(1, 112)), steps=None, epochs=2.5)
    (tmp_path / "r.yaml").write_text(recipe.write_text())
    assert RecognizerRecipe.read(tmp_path / "r.yaml") == recipe


def test_a_few_lines_are_a_recipe() -> None:
    text = "{name: a, spectrum: vis, both_eyes: one_class, epochs: 3, backbone: {kind: iresnet18}}"
    recipe = RecognizerRecipe.from_dict(yaml.safe_load(text))
    assert recipe.sampling.batch == 64
    assert recipe.length(1000) == 47
    assert recipe.augment.flip == 0


@pytest.mark.parametrize(("share", "pixels"), [(0, 0), (0.25, 1024), (0.5, 2048), (0.75, 5184), (1, 8320)])
def test_stages_say_how_many_pixels_were_seen(share: float, pixels: float) -> None:
    staged = replace(RECIPE, stages=(Stage(0.5, 64), Stage(1, 112)))
    assert staged.pixels_until(share) == pytest.approx(pixels)
    assert RECIPE.pixels_until(share) == pytest.approx(share * 112**2)


def test_stages_say_the_size_at_every_point() -> None:
    recipe = replace(RECIPE, stages=(Stage(0.5, 64), Stage(1, 112)))
    assert [recipe.size_at(x) for x in (0, 0.49, 0.5, 1.0)] == [64, 64, 112, 112]
    assert RECIPE.size_at(0) == 112


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "name is 'a/b'"),
        ({"spectrum": "uv"}, "spectrum is 'uv': must be vis or nir"),
        ({"spectrum": ["vis"]}, r"spectrum is \['vis'\]"),
        ({"both_eyes": "both"}, "both_eyes is 'both': must be one_class or two_classes"),
        ({"mirrored_classes": 1}, "mirrored_classes is 1: must be true or false"),
        ({"averaging": 1}, "averaging is 1"),
        ({"sampling": {"copies": 1.5}}, "sampling.copies is 1.5"),
        ({"sampling": {"kind": "shuffled", "copies": 0.5}}, "sampling.copies is 0.5: must be 0 where"),
        ({"epochs": 3}, "steps or as epochs"),
        ({"steps": None}, "steps or as epochs"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": None, "epochs": float("inf")}, "epochs is inf"),
        ({"backbone": {"kind": "vgg"}}, "kind is 'vgg'"),
        ({"backbone": "iresnet18"}, "backbone is 'iresnet18': must be a mapping"),
        ({"margin": {"kind": "cosface", "depth": 3}}, "unknown recipe field 'margin.depth'"),
        ({"margin": [1]}, "margin is"),
        ({"sampling": {"kind": "random"}}, "sampling.kind is 'random'"),
        ({"sampling": {"identities": 1}}, "sampling.identities is 1"),
        ({"optimiser": {"kind": "adam"}}, "optimiser.kind is 'adam': must be sgd or adamw"),
        ({"optimiser": {"lr": 0}}, "optimiser.lr is 0"),
        ({"schedule": {"warmup": 1}}, "schedule.warmup is 1"),
        ({"schedule": {"milestones": 0.5}}, "schedule.milestones is 0.5: must be a list"),
        ({"schedule": {"milestones": [2]}}, "schedule.milestones is 2"),
        ({"stages": [{"until": 0.5, "size": 64}]}, "end with 1"),
        ({"stages": [{"until": 1, "size": 64}]}, "the last of the stages must have the input_size, 112"),
        ({"stages": [{"until": 0.5, "size": 60}, {"until": 1, "size": 112}]}, "must be a multiple of 16"),
        ({"stages": [{"until": 1}]}, "each of the stages has until and size"),
        ({"stages": "64"}, "stages is '64': must be a list"),
        ({"augment": {"flip": 2}}, "augment.flip is 2"),
        ({"precision": "fp16"}, "precision is 'fp16'"),
        ({"seed": -1}, "seed is -1"),
        ({"colour": "red"}, "unknown recipe field 'colour'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        RecognizerRecipe.from_dict(written(**changes))
    assert "\n" not in str(caught.value)


def test_stages_need_a_head_that_takes_any_size() -> None:
    flat = BackboneConfig("mobilefacenet", head="flatten")
    with pytest.raises(ConfigError, match=r"need backbone\.head pooling, not flatten"):
        replace(RECIPE, backbone=flat, stages=(Stage(0.5, 64), Stage(1, 112)))


@pytest.mark.parametrize("text", ["- a\n", "name: [", "\x00", "name: eyes\n"])
def test_a_file_that_is_no_recipe_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises((InputError, ConfigError)) as caught:
        RecognizerRecipe.read(tmp_path / "r.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'r.yaml'}: ")
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_refused_with_the_place_of_the_bundled_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bundled recipes: recognizer/recipes"):
        RecognizerRecipe.read(tmp_path / "absent.yaml")


@pytest.mark.parametrize("path", BUNDLED, ids=lambda p: p.stem)
def test_every_bundled_recipe_reads_and_is_named_after_its_file(path: Path) -> None:
    recipe = RecognizerRecipe.read(path)
    assert recipe.name == path.stem
    assert recipe.description
