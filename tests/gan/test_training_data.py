"""Training data that are not quite as a recipe expects: sizes that differ, fewer images than a batch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from small_training import RECIPE, crops, stored
from syper_data.gan.training import train_generator


def test_mixed_sizes_are_resized_and_said(tmp_path: Path) -> None:
    reports: list[dict[str, Any]] = []
    short = replace(RECIPE, total_kimg=0.004, snapshot_kimg=0.004)
    train_generator(short, [*crops(count=4), *crops(count=2, side=40)], tmp_path, report=reports.append)
    data = json.loads((tmp_path / "data.json").read_text())
    assert data["sizes"] == {"16": 4, "40": 2}
    assert data["resized"] == reports[0]["resized"] == 2
    assert data["sha256"] == stored(tmp_path)["data_sha256"]


def test_fewer_images_than_a_batch_are_enough(tmp_path: Path) -> None:
    short = replace(RECIPE, total_kimg=0.016, batch=8)
    train_generator(short, crops(count=3), tmp_path)
    assert stored(tmp_path)["step"] == 2
