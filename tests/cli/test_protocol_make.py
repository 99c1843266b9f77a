"""``syper-data protocol make`` from the shell."""

from __future__ import annotations

import inspect
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import syper_data
from labelled_images import people, write_rows
from syper_data.cli.protocol_make import command
from syper_data.errors import UsageError


def test_its_options_are_the_functions_parameters() -> None:
    context = click.Context(command)
    listed = [p for p in command.params if isinstance(p, click.Option) and p.name != "quiet"]
    options = {p.name: p.get_default(context) for p in listed}
    parameters = inspect.signature(syper_data.make_protocol).parameters
    assert set(options) == set(parameters) - {"source"}
    for name, default in options.items():
        ours = parameters[str(name)].default
        assert ours in (None, (), inspect.Parameter.empty) or default == ours, name


def test_it_says_what_was_made_and_what_could_not_be_used(tmp_path: Path) -> None:
    rows = [*people(6, 3), {"subject": "007", "side": "image_left", "sample": 1}, {"sample": 2}]
    source = write_rows(tmp_path / "eyes.parquet", rows)
    arguments = [str(source), "--out", str(tmp_path / "made"), "--folds", "2", "--validation", "0"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0] == f"made: 37 images of 7 people in {tmp_path / 'made'}"
    assert "fold 1: 3 people to train on, 4 tested;" in done.output
    assert "1 eyes have no mated comparison" in done.output
    assert lines[-2] == "1 images not used: no subject is named (first eyes.parquet, row 37)"
    made = tmp_path / "made"
    assert (
        lines[-1]
        == f"to use it: syper-data benchmark --protocol {made} --root {source} --model MODEL --out RESULTS"
    )
    quiet = CliRunner().invoke(command, [*arguments, "--quiet"], catch_exceptions=False)
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_a_wrong_request_is_the_users_mistake(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "eyes.parquet", people(6, 3))
    done = CliRunner().invoke(command, [str(source), "--out", str(tmp_path / "made"), "--folds", "9"])
    assert isinstance(done.exception, UsageError)
    assert done.exception.exit_code == 2
    with pytest.raises(UsageError, match="must look like side=eye"):
        CliRunner().invoke(
            command, [str(source), "--out", str(tmp_path / "m"), "--columns", "x"], catch_exceptions=False
        )
