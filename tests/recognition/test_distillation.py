"""The distill section of a recipe: what it may say, and one line for each mistake."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from small_recognizer_training import RECIPE, people
from syper_data.errors import ConfigError, UsageError
from syper_data.recognition.distillation import METHODS, DistillConfig
from syper_data.recognition.occlusion.config import OcclusionConfig
from syper_data.recognition.recipe import RecognizerRecipe
from syper_data.recognition.training import train_recognizer

CONFIG = DistillConfig("maskinv", 10, 50, 0.5, OcclusionConfig(("hair", "lid"), 0.7, 1))


def test_a_written_recipe_reads_back_as_the_same_and_one_without_a_teacher_says_nothing_of_one(
    tmp_path: Path,
) -> None:
    recipe = replace(RECIPE, distill=CONFIG)
    (tmp_path / "r.yaml").write_text(recipe.write_text())
    assert RecognizerRecipe.read(tmp_path / "r.yaml") == recipe
    assert "distill" not in RECIPE.to_dict()


def test_only_maskinv_has_a_second_stage_unless_asked() -> None:
    assert [DistillConfig(method).high_from for method in METHODS] == [1, 1, 1, 0.75]
    assert [CONFIG.guidance_at(share) for share in (0, 0.49, 0.5, 0.99)] == [10, 10, 50, 50]


def test_each_method_has_its_terms() -> None:
    terms = {m: (c.guided, c.labelled, c.occludes) for m, c in ((m, DistillConfig(m)) for m in METHODS)}
    assert terms == {
        "kt": (True, False, False),
        "cls": (False, True, False),
        "cl": (True, True, False),
        "maskinv": (True, True, True),
    }


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"method": "kd"}, "distill.method is 'kd': must be kt, cls, cl or maskinv"),
        ({"guidance": float("nan")}, "distill.guidance is nan"),
        ({"high_guidance": -1}, "distill.high_guidance is -1"),
        ({"high_from": 1.1}, "distill.high_from is 1.1"),
        ({"seed_start": -1}, "distill.seed_start is -1"),
        ({"psi": 11}, "distill.psi is 11"),
        ({"weight": 1}, "unknown recipe field 'distill.weight'"),
        ({"occlusion": {"kind": "hair"}}, "unknown recipe field 'distill.occlusion.kind'"),
        ({"occlusion": ["hair"]}, "distill.occlusion is"),
        ("kt", "distill is 'kt': must be a mapping"),
    ],
)
def test_a_mistake_is_one_line(section: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RecognizerRecipe.from_dict({**RECIPE.to_dict(), "distill": section})
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_recipe_with_a_teacher_is_not_trained_without_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has a distill section: train with syper-data distill"):
        train_recognizer(replace(RECIPE, distill=CONFIG), people(), tmp_path / "run")
    assert not list(tmp_path.iterdir())
