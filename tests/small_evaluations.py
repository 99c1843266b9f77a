"""Evaluations small enough for a test: drawn eyes, a judge of thumbnails, few subsets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drawn_crops import ThumbnailJudge, drawn_eye, png
from syper_data.evaluation.evaluate import evaluate

SMALL: dict[str, Any] = {"subset_size": 20, "subsets": 5, "splits": 2, "n": 40}
JUDGE = ThumbnailJudge.name


def run(generator: Any, crops: Path | None, out: Path, **options: Any) -> dict[str, Any]:
    return evaluate(generator, real=crops, out=out, judge=ThumbnailJudge(), **{**SMALL, **options})


def figures(evaluation: dict[str, Any]) -> dict[str, float]:
    return {name.removesuffix(f"_{JUDGE}"): f["value"] for name, f in evaluation["figures"].items()}


def write_folder(folder: Path, seeds: range) -> Path:
    folder.mkdir()
    for seed in seeds:
        (folder / f"{seed}.png").write_bytes(png(drawn_eye(seed)))
    return folder
