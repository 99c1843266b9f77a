"""A researcher with a licensed copy: check it, run the published protocol by its name, keep the figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from published_layouts import ufpr_copy
from syper_data.cli.main import cli
from syper_data.errors import InputError

MODELS = """
import numpy as np
def middle(x):
    return x[:, 2:-2, 2:-2].reshape(len(x), -1).astype(float) - 100
def rows(x):
    return x.mean(2).reshape(len(x), -1) - 100
"""
NAME = "ufpr-periocular-open"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    (tmp_path / "networks.py").write_text(MODELS)
    ufpr_copy(tmp_path / "UFPR-Periocular")
    monkeypatch.delitem(sys.modules, "networks", raising=False)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_three_published_folds_with_mean_deviation_and_intervals(place: Path) -> None:
    root = ("--root", "UFPR-Periocular")
    checked = call("protocol", "check", NAME, *root)
    assert (checked.exit_code, checked.stdout.splitlines()[-1]) == (0, "complete")
    models = ("--model", "networks:middle", "--model", "networks:rows")
    done = call("benchmark", "--protocol", NAME, *root, *models, "--repeats", "20", "--out", "ufpr")
    assert done.exit_code == 0, done.output
    assert f"{NAME}: mean ± standard deviation over 3 folds" in done.stdout
    for fold in "123":
        (line,) = [x for x in done.stdout.splitlines() if x.strip().startswith(f"fold {fold}:")]
        assert "2 people, 3 mated and 3 non-mated comparisons" in line
        assert line.count("[") == 2  # an interval a model
    assert sorted(p.name for p in Path("ufpr").glob("[!.]*")) == [
        "report.html", "results.json", "scores-fold1.parquet", "scores-fold2.parquet", "scores-fold3.parquet",
    ]  # fmt: skip
    kept = call("leaderboard", "results", "--add", "ufpr", "--page", "results.md")
    assert kept.exit_code == 0, kept.output
    assert kept.stdout.count("(may have been trained on these people: nobody can tell)") == 2
    assert "± " in Path("results.md").read_text("utf-8")


def test_a_copy_without_an_image_is_refused_by_both_commands_with_the_mistakes_exit_code(place: Path) -> None:
    (place / "UFPR-Periocular/periocularCropped/C4S1I1L.jpg").unlink()
    root = ("--root", "UFPR-Periocular")
    assert call("protocol", "check", NAME, *root).exit_code == 2
    done = call("benchmark", "--protocol", NAME, *root, "--model", "networks:rows", "--out", "ufpr")
    assert isinstance(done.exception, InputError)
    assert done.exception.exit_code == 2
    assert "missing: fold 1: 1 of 8 images: C4S1I1L.jpg (and 2 more)" in str(done.exception)
    assert not Path("ufpr").exists()
