"""Which images an evaluation compares, and which it refuses to."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest

from drawn_crops import ThumbnailJudge, drawn_eye, write_crops
from syper_data.errors import UsageError
from syper_data.evaluation.evaluate import evaluate

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
