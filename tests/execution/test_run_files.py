"""What a training run reads back: each kind of damage is one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syper_data.errors import InputError
from syper_data.execution.run_files import read_log, read_recipe_values, reading_checkpoint


def test_a_recipe_is_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: a\nsteps: 3\n")
    assert read_recipe_values(path, "shelf") == {"name": "a", "steps": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "a recipe is a YAML mapping"),
        ("a: [", "not a readable recipe"),
        ("[" * 5000, "not a readable"),
    ],
)
def test_a_recipe_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_recipe_values(path, "shelf")
    assert "recipe.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_an_absent_recipe_names_the_shelf(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bundled recipes: generator/recipes"):
        read_recipe_values(tmp_path / "no.yaml", "generator/recipes")


def test_a_damaged_checkpoint_is_named_and_an_input_error_passes(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"x\.pt: not a readable checkpoint \(KeyError\)"),
        reading_checkpoint(Path("x.pt")),
    ):
        {}["recipe"]
    with pytest.raises(InputError, match=r"^another run$"), reading_checkpoint(Path("x.pt")):
        raise InputError("another run")


def test_a_log_ends_where_the_checkpoint_stands(tmp_path: Path) -> None:
    path = tmp_path / "training.jsonl"
    assert read_log(path, "step", 3) == []
    lines = [json.dumps({"step": step}) for step in (1, 2, 3, 4)]
    path.write_text("\n".join(lines) + "\n")
    assert read_log(path, "step", 3) == lines[:3]
    for damaged in ('{"step": 1', "{}", "[]", '{"step": "two"}'):
        path.write_text(damaged + "\n")
        with pytest.raises(InputError, match="not a readable log"):
            read_log(path, "step", 3)
