"""The lines of a training on the terminal."""

from __future__ import annotations

import pytest

from syper_data.cli.training_lines import TrainingLines


def test_records_are_printed_as_they_come_and_a_run_that_goes_on_says_so_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = TrainingLines(quiet=False)
    lines({"images": 6, "sha256": "00ff", "listed": None, "steps": 2000, "from_step": 1500})
    lines({"step": 1600, "seconds": 9.5, "seconds_left": 38})
    lines({"step": 2000, "seconds_left": None})
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "images 6, steps 2000, from_step 1500",
        "goes on at 1500 of 2000 steps",
        "step 1600, seconds 9.5, about 38 s left",
        "step 2000",
    ]
    assert said.out == ""
    assert lines.announced["images"] == 6


def test_a_run_that_begins_has_nothing_to_go_on_from_and_quiet_says_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    TrainingLines(quiet=False)({"of_kimg": 8, "from_kimg": 0.0})
    assert capsys.readouterr().err == "of_kimg 8, from_kimg 0.0\n"
    quiet = TrainingLines(quiet=True)
    quiet({"of_kimg": 8, "from_kimg": 4.0})
    assert capsys.readouterr().err == ""
    assert quiet.announced["of_kimg"] == 8
