"""Which images an evaluation compares, and which it refuses to."""

from __future__ import annotations

import json
from importlib import util
from pathlib import Path

import pytest

from drawn_crops import ThumbnailJudge, drawn_eye, write_crops
from small_training import RECIPE
from syper_data.errors import InputError, UsageError
from syper_data.evaluation.evaluate import evaluate
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
