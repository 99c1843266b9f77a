"""``train-generator``: the function's options, and one line for a mistake."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

import syper_data
from drawn_crops import drawn_eye, write_crops
from small_generators import save_small_generator
from small_training import RECIPE, crops
from syper_data.cli.train_generator import command
from syper_data.errors import ConfigError, InputError, SyperError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Crops and a recipe."""
    (tmp_path / "crops").mkdir()
    for i, image in enumerate(crops()):
        Image.fromarray(image.pixels).save(tmp_path / "crops" / f"{i}.png")
    (tmp_path / "recipe.yaml").write_text(RECIPE.write_text())
    return tmp_path


def train(folder: Path, *options: str, recipe: str = "recipe.yaml") -> str:
    """Run the command in this process; errors come out as they are."""
    arguments = [str(folder / recipe), "--data", str(folder / "crops"), "--out", str(folder / "run"), *options]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_options_are_the_functions_parameters() -> None:
    options = {p.name for p in command.params if isinstance(p, click.Option)} - {"quiet"}
    parameters = inspect.signature(syper_data.train_generator).parameters
    assert options | {"recipe"} == set(parameters) - {"report"}
    assert parameters["init_from"].default is None


def test_a_run_says_what_it_reads_and_where_the_generator_lies(folder: Path) -> None:
    start = save_small_generator(folder / "start.safetensors")
    output = train(folder, "--init-from", str(start))
    assert "images 6" in output
    assert "resized 0" in output
    assert "kimg 0.016" in output
    assert output.splitlines()[-1].endswith("--n 1000")
    assert train(folder, "--init-from", str(start), "--quiet") == ""


def test_a_run_that_goes_on_says_so_and_one_with_classes_is_sampled_by_label(folder: Path) -> None:
    def outcome(total_kimg: float) -> list[str]:
        recipe = replace(RECIPE, auto_classes=True, total_kimg=total_kimg, snapshot_kimg=0.008)
        (folder / "recipe.yaml").write_text(recipe.write_text())
        return train(folder, "--data", str(folder / "crops.parquet")).splitlines()

    write_crops(folder / "crops.parquet", [drawn_eye(seed, 16) for seed in range(8)])
    begun = outcome(0.008)
    assert begun[0].endswith("classes 4, of_kimg 0.008, from_kimg 0.0")
    assert begun[-1].endswith("--per-label 10")
    assert len(begun) == 3
    assert outcome(0.016)[1] == "goes on at 0.008 of 0.016 thousand images"
    assert outcome(0.016)[1] == "ended already at 0.016 of 0.016 thousand images"


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (("--columns", "side"), UsageError, "--columns is 'side': must look like side=eye"),
        (("--init-from", "absent"), InputError, "absent: neither a generator file nor a bundled generator"),
        (("--init-from", "syper-vis-128-v1"), ConfigError, "--init-from syper-vis-128-v1: its z_dim is 256"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, options: tuple[str, ...], kind: type[SyperError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        train(folder, *options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert not (folder / "run").exists()
