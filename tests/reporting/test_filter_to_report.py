"""What ``filter`` writes is what ``report`` reads: the whole way, with a small network of random weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import syper_data
from audited_dataset import audited_dataset, embeddings, page_of, text_of, unit
from drawn_crops import drawn_eye, write_crops
from small_dataset import make_dataset
from small_recognizers import save_random_recognizer
from syper_data.filtering.auditor import Auditor
from syper_data.filtering.membership import membership


def real_eyes(copied: int) -> list[Any]:
    """Two images of each of 20 people; the first people's are synthetic images as well."""
    eyes = [drawn_eye(i if i < copied else 1000 + i, 32) for i in range(20)]
    return [np.roll(eye, shift, axis=1) for eye in eyes for shift in (0, 1)]


def test_the_page_holds_what_filter_found(tmp_path: Path) -> None:
    network = save_random_recognizer(tmp_path / "random.safetensors")
    dataset = make_dataset(tmp_path / "eyes", 16, draw=lambda seed: drawn_eye(seed, 32))
    reference = write_crops(tmp_path / "real.parquet", real_eyes(3))
    found = syper_data.filter(
        dataset.path, reference=reference, embedder=[network], fpir=0.1, false_rejection_rate=0.05,
        typicality=True, workers=1,
    ).figures  # fmt: skip
    shown = syper_data.report(dataset.path, reference=reference, show_real=True, out=tmp_path / "page.html")
    page = text_of(shown.path.read_text("utf-8"))
    assert shown.shows_real
    flagged = found["overlap"]["excess"]["flagged"]["value"]
    assert re.search(rf"Flagged: {flagged:.0f} of 16 images", page)
    assert f"rejected: resembles a real person {flagged:.0f}" in page
    for digest in (found["ledger_sha256"], found["overlap"]["reference"]["sha256"]):
        assert digest in page
    for copy in found["overlap"]["copies"]:
        assert f"copy, {copy['kind'].replace('_', ' ')}: " in page
    assert found["overlap"]["networks"][0]["sha256"] in page
    assert "Is it like real images?" in page
    assert "--typicality --false-rejection-rate 0.05" in page
    share = 100 * found["kept"] / 16
    digits = 0 if share >= 10 else 1
    assert f"kept {found['kept']} {share:.{digits}f} % rejected: " in page[page.index("Have this reason") :]


@pytest.mark.parametrize("signal", [False, True])
def test_a_membership_inference_is_told_with_its_figures(signal: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    train, held_out = (unit(rng.normal(size=(60, 16))) for _ in range(2))
    near = unit(train[:40] + 0.05 * rng.normal(size=(40, 16))) if signal else unit(rng.normal(size=(40, 16)))
    made, known, unknown = (
        embeddings(
            v,
            [f"{role}{i}" for i in range(len(v))],
            [None if role == "s" else f"{role}{i}" for i in range(len(v))],
        )
        for role, v in (("s", near), ("t", train), ("h", held_out))
    )
    figures = membership([Auditor(made, known, unknown)], repeats=50).to_dict()
    page = page_of(audited_dataset(tmp_path / "eyes", changes={"membership": figures}))
    words = "Training crops are nearer" if signal else "No membership signal by this attack"
    assert page.count(words) == 2  # among what was found, and in its own section
    assert "Training images 60 of 60 people" in page
    assert "no membership inference was run" not in page
