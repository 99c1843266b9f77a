"""A run of before a setting was added goes on as one with that setting's default."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from small_training import RECIPE, crops, same, stored
from syper_data.errors import InputError
from syper_data.gan.training import train_generator


def test_a_run_from_before_a_setting_goes_on_with_its_default_alone(tmp_path: Path) -> None:
    recipe = replace(RECIPE, decay_kimg=0.0)
    train_generator(replace(recipe, total_kimg=recipe.total_kimg / 2), crops(), tmp_path / "run")
    state = stored(tmp_path / "run")
    del state["recipe"]["class_of"], state["recipe"]["decay_kimg"]
    torch.save(state, tmp_path / "run" / "checkpoint.pt")

    with pytest.raises(InputError, match="another recipe"):
        train_generator(replace(recipe, class_of="eye"), crops(), tmp_path / "run")
    train_generator(recipe, crops(), tmp_path / "run")

    train_generator(recipe, crops(), tmp_path / "whole")
    assert same(stored(tmp_path / "run")["average"], stored(tmp_path / "whole")["average"])
