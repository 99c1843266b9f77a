"""Fixtures shared by the whole suite: small generators with random weights."""

from __future__ import annotations

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
