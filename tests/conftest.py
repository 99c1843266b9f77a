"""Fixtures shared by the whole suite: small generators with random weights, a small disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from small_generators import save_small_generator


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unconditional 16 px generator file."""
    return save_small_generator(tmp_path_factory.mktemp("generators") / "tiny.safetensors")


@pytest.fixture(scope="session")
def tiny_conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 16 px generator file with three classes."""
    path = tmp_path_factory.mktemp("generators") / "conditional.safetensors"
    return save_small_generator(path, c_dim=3)


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run of the test's own module, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small file system needs the right to mount one")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("a small file system can't be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
