"""A plan file: what it may say, and the one that ships."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from small_experiments import VALUES, only, small_plan
from syper_data.errors import ConfigError, InputError
from syper_data.protocols.descriptor import shipped
from syper_data.reproduction.plan import SEEDS_APART, ExperimentPlan


def test_the_shipped_plan_has_the_three_budgets_and_at_most_six_runs_in_an_hour_which_8h_has_too() -> None:
    plan = ExperimentPlan.read()
    assert [budget.name for budget in plan.budgets] == ["1h", "8h", "full"]
    hour = [(c.bits, c.images, c.seeds) for c in plan.budget("1h").cells]
    assert hour == [
        ("W8A8", "synthetic", (0,)),
        ("W8A8", "real", (0,)),
        ("W4A4", "synthetic", (0, 1, 2)),
        ("W4A4", "real", (0,)),
    ]
    long = {(c.name, seed): c for c in plan.budget("8h").cells for seed in c.seeds}
    for cell in plan.budget("1h").cells:
        assert all(replace(long[cell.name, seed], seeds=cell.seeds) == cell for seed in cell.seeds)
    assert plan.teachers["nir"] == "nir"
    own = {c.protocol for b in plan.budgets for c in b.cells if c.protocol is not None}
    assert {plan.protocol, *own} <= set(shipped())


def test_runs_of_two_seeds_never_see_the_same_generated_image() -> None:
    for cell in ExperimentPlan.read().budget("full").cells:
        first, second = (cell.recipe_of(seed) for seed in (0, 1))
        assert first.seed_start + first.length(50_000) * first.batch <= second.seed_start == 2 * SEEDS_APART


def test_a_cell_changes_single_values_of_a_recipe_and_its_length() -> None:
    cell = only([{"bits": "W4A6", "recipe": {"loss": {"features": 0.25}, "epochs": 3}, "steps": None, "count": 9}])
    recipe = cell.budgets[0].cells[0].recipe_of(5)
    assert (recipe.loss.features, recipe.loss.kind) == (0.25, "cosine")
    assert (recipe.epochs, recipe.steps, recipe.seed) == (3, None, 5)
    assert (recipe.bits.weights, recipe.bits.activations) == (4, 6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bits": "W9A9"}, "budget one, cell 1: bits is 'W9A9'"),
        ({"bits": 8}, "bits is 8"),
        ({"teacher": "nobody"}, "teacher 'nobody' is none of main, large"),
        ({"images": "none"}, "images 'none' are none of"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": 1}, "seeds is 1: must be a list"),
        ({"seeds": []}, "seeds"),
        ({"steps": 0}, "steps"),
        ({"steps": None, "preset": "syper", "recipe": {}}, "a generator has no end"),
        ({"count": 3, "images": "real"}, "count is for images of a generator"),
        ({"preset": "other"}, "preset is 'other'"),
        ({"recipe": {"lr": 1}}, "unknown recipe field"),
        ({"recipe": [1]}, "recipe is"),
        ({"colour": 1}, "unknown recipe field 'colour'"),
    ],
)
def test_a_cell_that_makes_no_sense_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        only([{"bits": "W8A8", **changes}])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budgets": {"x": {"cells": []}}}, "budgets.x has no cells"),
        ({"budgets": {"x": {"cells": [{"bits": "W8A8"}]}}}, "cell 1: has no bits, teacher or images"),
        ({"budgets": {"x": 3}}, "budgets.x is 3"),
        ({"budgets": {}}, "teachers and budgets"),
        ({"teachers": {}}, "teachers and budgets"),
        ({"teachers": {"main": "red"}}, "teachers is 'red'"),
        ({"teachers": {"Main One": None}}, "lower-case"),
        ({"data": {"synthetic": None}}, "a name of generators and of data"),
        ({"repeats": 0}, "repeats"),
        ({"folds": "1"}, "folds is '1'"),
        ({"published": [{"networks": {"a": {"full": "x"}}}]}, "no number"),
        ({"more": 1}, "unknown recipe field 'more'"),
    ],
)
def test_a_plan_that_makes_no_sense_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        small_plan(**changes)


def test_two_cells_that_would_share_a_folder_are_refused() -> None:
    with pytest.raises(ConfigError, match="cell 1: there is another one"):
        only([{"bits": "W8A8"}, {"bits": "W8A8", "steps": 3}])


def test_a_plan_file_is_read_and_an_error_names_it(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(VALUES, sort_keys=False), "utf-8")
    assert ExperimentPlan.read(file) == small_plan()
    broken = copy.deepcopy(VALUES)
    del broken["teachers"]
    file.write_text(yaml.safe_dump(broken), "utf-8")
    with pytest.raises(ConfigError, match=rf"{file}: has no teachers"):
        ExperimentPlan.read(file)
    with pytest.raises(InputError, match="cannot be read"):
        ExperimentPlan.read(tmp_path / "other.yaml")
    with pytest.raises(ConfigError, match="--budget is 'long': must be one of short, one, counted"):
        small_plan().budget("long")
