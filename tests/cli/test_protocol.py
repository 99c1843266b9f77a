"""``syper-data protocol``: list and check."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner

import syper_data
from published_layouts import ufpr_copy
from syper_data.cli.protocol import check_command, command


def test_the_list_names_every_shipped_protocol() -> None:
    done = CliRunner().invoke(command, ["list"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert any(line.split("  ")[0] == "ufpr-periocular-open" for line in lines)
    assert all("  " in line for line in lines)


def test_check_ends_with_0_for_a_complete_copy_and_2_for_another(tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path / "copy")
    words = ["check", "ufpr-periocular-open", "--root", str(copy)]
    done = CliRunner().invoke(command, words)
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "complete")
    (copy / "periocularCropped/C4S1I1L.jpg").unlink()
    whole = subprocess.run(
        [sys.executable, "-m", "syper_data", "protocol", *words, "--folds", "1"], capture_output=True, text=True
    )
    assert whole.returncode == 2
    assert "missing fold 1: 1 of 8 images: C4S1I1L.jpg" in whole.stdout
    assert whole.stderr == ""


def test_check_has_the_options_of_the_function() -> None:
    context = click.Context(check_command)
    options = {p.name: p.get_default(context) for p in check_command.params}
    function = inspect.signature(syper_data.check_protocol).parameters
    assert set(options) == set(function)
