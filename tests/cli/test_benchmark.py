"""``benchmark``, ``rescore`` and ``leaderboard`` as they are called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from small_protocols import drawn_protocol
from syper_data.benchmarking import opening as module
from syper_data.cli.main import cli

MODEL = """
import numpy as np
def centre(x):
    h = x.shape[1]
    return x[:, h // 3 : -h // 3 : 2, h // 3 : -h // 3 : 2].reshape(len(x), -1).astype(float) - 100
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in ``tmp_path``, where ``mine.py`` lies; protocols are drawn."""
    opened: list[Any] = []

    def open_checked(name: str, root: Path, **options: Any) -> Any:
        opened.append((name, root, options))
        return drawn_protocol(people=6, folds=1), SimpleNamespace(faults=())

    monkeypatch.setattr(module, "open_checked", open_checked)
    monkeypatch.setattr(module, "find_descriptor", lambda name: SimpleNamespace(reader="pairs"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(MODEL)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments, catch_exceptions=True)

    run.opened = opened  # type: ignore[attr-defined]
    yield run
    sys.modules.pop("mine", None)


def test_a_benchmark_prints_its_table_and_can_be_computed_again(call: Any) -> None:
    done = call(
        "benchmark",
        "--protocol",
        "p",
        "--root",
        "data",
        "--model",
        "mine:centre",
        "--out",
        "out",
        "--repeats",
        "20",
    )
    assert done.exit_code == 0, done.output
    assert "6 people, 36 mated and 270 non-mated comparisons" in done.output
    assert "EER" in done.output and "not supported" in done.output
    assert "mine:centre: does not say whom it was trained on" in done.output
    assert call.opened == [("p", Path("data"), {"images": None, "folds": None, "merged": False})]
    kept = Path("out/results.json").read_bytes()
    again = call("rescore", "out")
    assert again.exit_code == 0, again.output
    assert Path("out/results.json").read_bytes() == kept
    table = [line for line in done.stdout.splitlines() if "EER" in line]
    assert table == [line for line in again.stdout.splitlines() if "EER" in line]


def test_the_table_says_that_failures_count_but_not_in_d_prime(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = drawn_protocol(people=6, folds=1, lost=["person-1/image_left/0"])
    monkeypatch.setattr(module, "open_checked", lambda *given, **options: (lost, SimpleNamespace(faults=())))
    done = call(
        "benchmark", "--protocol", "p", "--root", "x", "--model", "mine:centre", "--out", "o", "--repeats", "20"
    )
    said = "1 of 36 images could not be acquired: counted as errors (d\N{PRIME} leaves them out)"
    assert said in done.output


def test_quiet_prints_nothing_and_the_leaderboard_lists_what_was_added(call: Any) -> None:
    options = ("--protocol", "p", "--root", "data", "--model", "mine:centre", "--repeats", "20")
    done = call("benchmark", *options, "--out", "out", "--quiet")
    assert (done.exit_code, done.output) == (0, "")
    kept = call("leaderboard", "results", "--add", "out", "--page", "results.md")
    assert kept.exit_code == 0, kept.output
    eer = json.loads(Path("out/results.json").read_bytes())["summary"]["mine:centre"]["eer"]["mean"]
    assert f"drawn: mine:centre: EER {100 * eer:.2f} %" in kept.output
    assert "results.md: entries: 1" in kept.output


def test_what_is_missing_or_wrong_is_the_users_mistake_in_one_line(call: Any) -> None:
    base = ("benchmark", "--protocol", "p", "--out", "out")
    for more, words in (
        (("--model", "mine:centre"), "--root"),
        (("--root", "x", "--model", "mine:absent"), "has no function absent"),
        (("--root", "x", "--model", "nothing"), "nothing"),
        (("--root", "x", "--model", "mine:centre", "--repeats", "0"), "--repeats is 0"),
    ):
        done = call(*base, *more)
        assert done.exit_code != 0
        assert words in str(done.exception)
        assert "\n" not in str(done.exception)
        assert not Path("out").exists()
