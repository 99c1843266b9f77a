"""``embed`` and ``convert-recognizer`` as a user meets them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from small_recognizers import random_backbone
from syper_data.cli.convert_recognizer import command as convert_recognizer
from syper_data.cli.embed import command as embed
from syper_data.errors import InputError
from syper_data.recognition.recognizer_file import read_recognizer


def test_a_checkpoint_is_converted_and_the_next_command_named(tmp_path: Path) -> None:
    torch.save(random_backbone().state_dict(), tmp_path / "net.pth")
    source, target = str(tmp_path / "net.pth"), str(tmp_path / "net.safetensors")
    options = ["--input-size", "112", "--spectrum", "nir", "--orientation", "canonical", "--name", "mine"]
    done = CliRunner().invoke(convert_recognizer, [source, target, *options], catch_exceptions=False)
    assert done.output == (
        f"{target}: mobilefacenet, 112 px, 128 values, pooling head; "
        f"syper-data embed IMAGES --embedder {target} --out embeddings.parquet\n"
    )
    found = read_recognizer(target)
    assert (found.name, found.spectrum, found.orientation) == ("mine", "nir", "canonical")


def test_a_mistake_reaches_the_user_as_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: no such file or folder"):
        arguments = [str(tmp_path / "absent"), "--out", str(tmp_path / "e.parquet")]
        CliRunner().invoke(embed, arguments, catch_exceptions=False)
    assert CliRunner().invoke(embed, [str(tmp_path)]).exit_code == 2, "--out is required"
