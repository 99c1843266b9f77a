"""Classes the whole way: subjects in the data, a recipe that leaves their number open, sampling by label."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import syper_data
from small_training import RECIPE, crops, make_run
from syper_data.errors import ConfigError, InputError
from syper_data.gan.generator_file import load_generator
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.training import sheet, train_generator

SHORT = replace(RECIPE, total_kimg=0.008, snapshot_kimg=0.008, auto_classes=True)


def table(path: Path, people: str = "bacbac", column: str = "person") -> Path:
    """A Parquet file of crops whose subjects are called something else."""
    cells = []
    for image in crops(count=len(people)):
        buffer = io.BytesIO()
        Image.fromarray(image.pixels).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": None})
    pq.write_table(pa.table({"image": cells, column: list(people)}), path)
    return path


def test_a_conditional_generator_is_trained_sampled_by_label_and_verified(tmp_path: Path) -> None:
    data = table(tmp_path / "crops.parquet")
    path = train_generator(SHORT, data, tmp_path / "run", columns={"subject": "person"})

    loaded = load_generator(path)
    assert loaded.config.c_dim == 3
    assert (loaded.summary["classes"], loaded.summary["class_of"]) == (["a", "b", "c"], "subject")
    assert loaded.summary["columns"] == {"subject": "person"}
    assert json.loads((tmp_path / "run" / "data.json").read_text())["classes"] == ["a", "b", "c"]
    assert TrainingRecipe.read(tmp_path / "run" / "recipe.yaml").generator.c_dim == 3

    syper_data.sample(per_label=3, generator=path, out=tmp_path / "eyes", workers=1)
    rows = pq.read_table(tmp_path / "eyes" / "data").to_pylist()
    assert [row["label"] for row in rows] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [row["seed"] for row in rows] == list(range(9))
    assert json.loads((tmp_path / "eyes" / "manifest.json").read_text())["generator"]["class_of"] == "subject"
    report = syper_data.verify(tmp_path / "eyes", rows="all", generator=path)
    assert report.regenerated == 9


def test_the_same_command_resumes_a_run_whose_classes_were_left_open(tmp_path: Path) -> None:
    data = table(tmp_path / "crops.parquet")
    for _ in range(2):
        train_generator(SHORT, data, tmp_path / "run", columns={"subject": "person"})
    with pytest.raises(ConfigError, match="the data have 3 classes"):
        wrong = replace(SHORT, auto_classes=False, generator=replace(SHORT.generator, c_dim=4))
        train_generator(wrong, data, tmp_path / "other", columns={"subject": "person"})


def test_other_classes_of_the_same_images_are_another_run(tmp_path: Path) -> None:
    train_generator(SHORT, table(tmp_path / "a.parquet"), tmp_path / "run", columns={"subject": "person"})
    with pytest.raises(InputError, match="holds a run on other images"):
        other = table(tmp_path / "b.parquet", people="abcabc")
        train_generator(SHORT, other, tmp_path / "run", columns={"subject": "person"})


def test_data_without_the_column_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"crops\.parquet, row 0: names no subject, .*--columns subject=NAME"):
        train_generator(SHORT, table(tmp_path / "crops.parquet"), tmp_path / "run")
    with pytest.raises(InputError, match="no column 'who'"):
        train_generator(SHORT, table(tmp_path / "crops.parquet"), tmp_path / "run", columns={"subject": "who"})


def test_an_unconditional_recipe_does_not_care_about_subjects(tmp_path: Path) -> None:
    plain = replace(SHORT, auto_classes=False)
    path = train_generator(plain, crops(subjects=3), tmp_path / "run")
    assert load_generator(path).config.c_dim == 0
    assert "classes" not in load_generator(path).summary


@pytest.mark.parametrize(("classes", "rows"), [(2, 2), (9, 6)])
def test_the_sheet_of_a_conditional_run_shows_a_class_a_row(classes: int, rows: int) -> None:
    run = make_run(replace(SHORT, batch=4), count=9, subjects=classes)
    for _ in range(3):
        run.advance()
    picture = sheet(run)
    assert picture.shape == (rows * 16, 10 * 16, 3)
    last = run.samples([(seed, classes - 1) for seed in range(10)])
    assert np.array_equal(picture[-16:], np.concatenate(list(last), axis=1))
