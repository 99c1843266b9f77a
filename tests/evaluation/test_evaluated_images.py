"""Which images an evaluation compares, and which it refuses to."""

from __future__ import annotations

import json
from importlib import util
from pathlib import Path

import pytest
from click.testing import CliRunner

from drawn_crops import ThumbnailJudge, drawn_eye, write_crops
from small_generators import small_generator
from small_training import RECIPE
from syper_data.cli.evaluate import command
from syper_data.errors import InputError, UsageError
from syper_data.evaluation.evaluate import evaluate
from syper_data.evaluation.images import read_real
from syper_data.gan.generator_file import save_generator
from syper_data.gan.training import train_generator

pytestmark = pytest.mark.skipif(util.find_spec("matplotlib") is None, reason="the [report] extra is missing")


def test_training_images_as_the_real_side_are_refused_before_anything_is_sampled(
    tiny: Path, tmp_path: Path
) -> None:
    crops = write_crops(tmp_path / "c.parquet", [drawn_eye(i) for i in range(40)])
    judge = ThumbnailJudge()
    with pytest.raises(UsageError, match=r"--train holds 40 of the 40 images of --real.*--holdout"):
        evaluate(tiny, real=crops, train=crops, out=tmp_path / "out", judge=judge, subset_size=20)
    assert judge.calls == []
    assert not (tmp_path / "out").exists()


def test_the_list_that_training_had_makes_the_others_the_real_side(tmp_path: Path) -> None:
    crops = write_crops(tmp_path / "c.parquet", [drawn_eye(i) for i in range(80)])
    listed = tmp_path / "trained-on.txt"
    listed.write_text("".join(f"face-{i}\n" for i in range(10)))
    weights = train_generator(RECIPE, crops, tmp_path / "run", subjects=listed)
    data = json.loads((tmp_path / "run/data.json").read_text())
    assert (data["images"], data["listed"]["subjects"], data["holdout"]) == (20, 10, None)
    found = evaluate(
        weights, real=crops, train=crops, subjects=listed, out=tmp_path / "out", judge=ThumbnailJudge(),
        n=30, subset_size=20, subsets=2, splits=1,
    )  # fmt: skip
    assert (found["real"]["subjects"], found["train"]["subjects"]) == (30, 10)
    assert found["real"]["listed"] == found["train"]["listed"] == data["listed"]
    assert any("Checked by digest" in note for note in found["notes"])
    assert not any("no clean control" in note for note in found["notes"])
    with pytest.raises(InputError, match=r"no image on the training side of --subjects \(1 listed\)"):
        evaluate(weights, real=crops, subjects=["nobody"], holdout_side="training", judge=ThumbnailJudge())
    with pytest.raises(InputError, match="holds a run on other images"):
        train_generator(RECIPE, crops, tmp_path / "run", subjects=["face-1", "face-2"])


def test_figures_on_the_very_training_images_are_said_to_be_such_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = write_crops(tmp_path / "c.parquet", [drawn_eye(i) for i in range(30)])
    seen = {"data_sha256": read_real(crops, 16).sha256}
    weights = tmp_path / "g.safetensors"
    save_generator(small_generator(), weights, spectrum="vis", summary=seen)
    monkeypatch.setattr("syper_data.evaluation.evaluate.open_judge", ThumbnailJudge)
    arguments = [str(weights), "--real", str(crops), "--out", str(tmp_path / "out"), "--n", "20"]
    arguments += ["--subset-size", "10", "--subsets", "2", "--splits", "1"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    said = [line for line in done.stdout.splitlines() if line.startswith("Note: ")]
    assert said[0].startswith("Note: The real images are the very images the generator was trained on")
    assert len(said) == len(json.loads((tmp_path / "out/evaluation.json").read_text())["notes"])


@pytest.mark.parametrize(
    ("kimg", "recipe", "told"),
    [
        (0.008, RECIPE.write_text(), "the run stands at 0.008 of its recipe's 0.016 thousand images"),
        (0.016, RECIPE.write_text(), None),
        (0.008, "no: recipe", None),
        (0.008, RECIPE.write_text().replace("z_dim: 8", "z_dim: 16"), None),
    ],
    ids=["half-finished", "finished", "unreadable recipe", "recipe of another generator"],
)
def test_a_run_that_was_not_finished_is_told_on_terminal_and_page(
    kimg: float, recipe: str, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = write_crops(tmp_path / "c.parquet", [drawn_eye(i) for i in range(30)])
    folder = tmp_path / "run"
    folder.mkdir()
    save_generator(small_generator(), folder / "generator.safetensors", spectrum="vis", summary={"kimg": kimg})
    (folder / "recipe.yaml").write_text(recipe)
    monkeypatch.setattr("syper_data.evaluation.evaluate.open_judge", ThumbnailJudge)
    arguments = [str(folder), "--real", str(crops), "--out", str(tmp_path / "out"), "--n", "20", "--quiet"]
    arguments += ["--subset-size", "10", "--subsets", "2", "--splits", "1"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == ("" if told is None else f"Warning: {told}\n")
    assert json.loads((tmp_path / "out/evaluation.json").read_text())["warnings"] == ([told] if told else [])
    page = (tmp_path / "out/report.html").read_text().replace("&#39;", "'")
    assert (f"Warning: {RECIPE.unfinished(0.008)}." in page) == (told is not None)
