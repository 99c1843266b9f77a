"""Two weak recognizers that need no file, under the names ``halves`` and ``centre``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from small_protocols import drawn_protocol
from syper_data.benchmarking import models
from syper_data.benchmarking.models import FunctionModel


def halves(x: Any) -> Any:
    """Mean colours of the four quarters."""
    h = x.shape[1] // 2
    parts = [x[:, :h, :h], x[:, :h, h:], x[:, h:, :h], x[:, h:, h:]]
    return np.concatenate([p.mean((1, 2)) for p in parts], 1) - 128


def centre(x: Any) -> Any:
    """The pixels around the pupil."""
    h = x.shape[1]
    return x[:, h // 3 : -h // 3 : 2, h // 3 : -h // 3 : 2].reshape(len(x), -1).astype(float) - 100


@pytest.fixture
def two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_LOADERS", list(models._LOADERS))
    known = {"halves": halves, "centre": centre, "constant": lambda x: np.ones((len(x), 3))}
    models.register_loader(lambda name: FunctionModel(name, known[name]) if name in known else None)


@pytest.fixture
def run(two_models: None, tmp_path: Path) -> Callable[..., Any]:
    """``benchmark`` on a drawn protocol with both models, into ``tmp_path / "out"``."""

    def call(**options: Any) -> Any:
        from syper_data.benchmarking.benchmark import benchmark

        given = {
            "protocol": None,
            "models": ("halves", "centre"),
            "out": tmp_path / "out",
            "repeats": 20,
            "seed": 3,
        }
        given |= options
        given["protocol"] = given["protocol"] or drawn_protocol()
        return benchmark(**given)

    return call
