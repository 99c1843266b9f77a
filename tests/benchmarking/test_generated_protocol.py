"""From a descriptor file to a page, with nobody's data: the images are made when they are read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import syper_data
from small_recognizers import save_random_recognizer
from syper_data.errors import UsageError


def test_a_protocol_over_generated_images_needs_no_copy_of_any_data(tiny: Path, tmp_path: Path) -> None:
    descriptor = {
        "name": "tiny-eyes",
        "title": "Eyes of a tiny generator",
        "dataset": "tiny",
        "reader": "generated",
        "folds": ["1"],
        "notes": ["nobody is on these images"],
        "options": {"generator": str(tiny), "seeds": 8, "captures": 3, "enrol": 1, "unenrolled": 2},
    }
    file = tmp_path / "tiny-eyes.yaml"
    file.write_text(yaml.safe_dump(descriptor), "utf-8")
    model = save_random_recognizer(tmp_path / "r.safetensors")
    done = syper_data.benchmark(protocol=file, models=[model], out=tmp_path / "out", repeats=20)
    fold = done.results["protocol"]["folds"][0]
    assert (fold["images"], fold["mated"], fold["nonmated"]) == (24, 24, 252)
    assert done.results["settings"]["root"] is None
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "nobody is on these images" in page
    assert "--root" not in page
    assert syper_data.rescore(tmp_path / "out").results == done.results
    with pytest.raises(UsageError, match="no fold '7'"):
        syper_data.benchmark(protocol=file, models=[model], out=tmp_path / "other", folds=["7"])
    assert not (tmp_path / "other").exists()
