"""A table that was never interrupted, and what it was made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from small_experiments import reproduce
from small_recognizer_training import people
from small_recognizers import save_random_recognizer
from syper_data.recognition.recognizer_file import identity_digest
from syper_data.reproduction.quantization import Reproduction


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "recognizer.safetensors"
    return save_random_recognizer(path, name="teacher", identities=[identity_digest("somebody")])


@pytest.fixture(scope="session")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn eyes that name nobody."""
    folder = tmp_path_factory.mktemp("crops")
    for number, image in enumerate(people(2)):
        Image.fromarray(image.pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, teacher: Path, tiny: Path, crops: Path) -> Reproduction:
    """A table that was never interrupted. Copy its folder before changing it."""
    out = tmp_path_factory.mktemp("experiment") / "out"
    return reproduce(teacher, tiny, out, real=crops)


@pytest.fixture
def copied(finished: Reproduction, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.path, tmp_path / "out"))
