"""``train-recognizer``: the function's options, several sources, and one line for a mistake."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

import syper_data
from drawn_crops import png
from small_recognizer_training import RECIPE, people
from syper_data.cli.train_recognizer import command
from syper_data.errors import ConfigError, InputError, SyperError, UsageError
from syper_data.recognition.bundled import default_auditors
from syper_data.recognition.recognizer_file import identity_digest, read_recognizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of two steps, Parquet with its own column names, a folder of folders, a list of subjects."""
    root = tmp_path_factory.mktemp("recognizer")
    recipe = replace(RECIPE, steps=2, stages=(), sampling=replace(RECIPE.sampling, identities=2))
    (root / "recipe.yaml").write_text(recipe.write_text())
    images = people(3, 2)
    columns: dict[str, Any] = {
        "image": [{"bytes": png(x.pixels), "path": None} for x in images],
        "person": [x.subject for x in images],
        "side": [x.side for x in images],
    }
    pq.write_table(pa.table(columns), root / "eyes.parquet")
    for i, image in enumerate(people(2, 2, seed=1)):
        path = root / "folders" / f"other-{image.subject}" / str(image.side) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.pixels).save(path)
    (root / "subjects.txt").write_text("person-0\nperson-2\n")
    return root


def train(folder: Path, out: Path, *options: str, data: tuple[str, ...] = ("eyes.parquet",)) -> str:
    """Run the command in this process; errors come out as they are."""
    given = [part for name in data for part in ("--data", str(folder / name))]
    arguments = [str(folder / "recipe.yaml"), *given, "--out", str(out), *options]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_listed_subjects_of_a_table_are_trained_on(folder: Path, tmp_path: Path) -> None:
    options = ("--columns", "subject=person", "--subjects", str(folder / "subjects.txt"))
    output = train(folder, tmp_path, *options)
    assert "subjects 2, classes 4" in output
    assert "step 2, of_steps 2" in output
    assert output.splitlines()[-1].startswith(f"{tmp_path / 'recognizer.safetensors'}: syper-data embed ")
    file = read_recognizer(tmp_path / "recognizer.safetensors")
    assert file.identities == {identity_digest(f"person-{i}") for i in (0, 2)}
    with pytest.raises(InputError, match=r"from nothing, not from [0-9a-f]{12}; give the same --init-from$"):
        train(folder, tmp_path, *options, "--init-from", default_auditors("nir")[0])
    again = train(folder, tmp_path, *options)
    assert again.splitlines()[1] == "ended already at 2 of 2 steps"


def test_folders_name_subjects_and_sides_and_sources_are_joined(folder: Path, tmp_path: Path) -> None:
    renamed = pq.read_table(folder / "eyes.parquet").rename_columns(["image", "subject", "side"])
    pq.write_table(renamed, tmp_path / "renamed.parquet")
    data = ("folders", str(tmp_path / "renamed.parquet"))
    assert train(folder, tmp_path / "run", "--quiet", data=data) == ""
    summary = json.loads((tmp_path / "run" / "data.json").read_text())
    assert (summary["sources"], summary["subjects"], summary["classes"], summary["images"]) == (2, 5, 10, 20)
    file = read_recognizer(tmp_path / "run" / "recognizer.safetensors")
    assert identity_digest("other-person-1") in file.identities


def test_options_are_the_functions_parameters() -> None:
    options = {p.name for p in command.params if isinstance(p, click.Option)} - {"quiet"}
    parameters = inspect.signature(syper_data.train_recognizer).parameters
    assert options | {"recipe"} == set(parameters) - {"report"}
    assert all(p.default is None for p in parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (("--columns", "subject"), UsageError, "--columns is 'subject': must look like side=eye"),
        ((), InputError, "names no subject, which training needs"),
        (("--columns", "subject=person", "--subjects", "absent.txt"), InputError, "absent.txt: cannot be read"),
        (
            ("--columns", "subject=person", "--subjects-half", "2"),
            UsageError,
            "--subjects-half is 2: must be 0 or 1",
        ),
        (("--columns", "subject=person", "--holdout", "0"), UsageError, "--holdout is 0.0: must lie between"),
        (("--columns", "subject=nobody"), InputError, "no column 'nobody'"),
        (
            ("--columns", "subject=person", "--init-from", "x"),
            InputError,
            "x: neither a recognizer file nor a bundled",
        ),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, tmp_path: Path, options: tuple[str, ...], kind: type[SyperError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        train(folder, tmp_path / "run", *options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()


def test_a_recipe_of_another_kind_and_absent_or_unreadable_images_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("{name: a, spectrum: vis, generator: {resolution: 128}, total_kimg: 1}")
    (tmp_path / "eyes.parquet").write_bytes(b"no table")
    with pytest.raises(ConfigError, match="unknown recipe field 'generator'"):
        train(tmp_path, tmp_path / "run")
    with pytest.raises(InputError, match="no such file"):
        train(folder, tmp_path / "run", data=("absent",))
    (tmp_path / "recipe.yaml").write_text((folder / "recipe.yaml").read_text())
    with pytest.raises(InputError, match=r"eyes\.parquet"):
        train(tmp_path, tmp_path / "run")
