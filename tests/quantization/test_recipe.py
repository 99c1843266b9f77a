"""Recipes of quantizations, and the published ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from small_quantization import RECIPE
from syper_data.errors import ConfigError, InputError, UsageError
from syper_data.quantization.bits import BitsConfig, LayerBits, parse_layer_bits
from syper_data.quantization.presets import PRESETS, default_recipe, preset
from syper_data.quantization.recipe import BitStage, QuantizationRecipe


@pytest.mark.parametrize(
    "recipe", [RECIPE, default_recipe(), *(preset(name) for name in PRESETS)], ids=lambda r: r.name
)
def test_what_is_written_is_read_back(recipe: QuantizationRecipe, tmp_path: Path) -> None:
    full = replace(
        recipe,
        stages=(BitStage(0.2, 8), BitStage(0.5, 6)),
        bits=BitsConfig(4, 5, None, other=(LayerBits("a*", 8),)),
    )
    (tmp_path / "recipe.yaml").write_text(full.write_text())
    assert QuantizationRecipe.read(tmp_path / "recipe.yaml") == full


def test_the_published_schedules_hold_the_published_numbers() -> None:
    syper, quantface = preset("syper"), preset("quantface")
    assert (syper.batch, syper.epochs, syper.loss.kind) == (16, 10, "mse")
    assert (syper.optimiser.lr, syper.optimiser.weight_decay, syper.optimiser.clip) == (0.01 * 16 / 512, 5e-4, 5)
    assert (syper.schedule.milestones, syper.schedule.factor) == ((0.8,), 0.1)
    assert syper.ranges_move(499, 1000)
    assert not syper.ranges_move(500, 1000)
    assert (quantface.batch, quantface.epochs, quantface.optimiser.lr) == (128, 11, 0.1 * 128 / 512)
    assert quantface.ranges_move(299, 10_000)
    assert not quantface.ranges_move(300, 10_000)
    with pytest.raises(UsageError, match="--preset fast: must be syper or quantface"):
        preset("fast")


def test_bits_are_lowered_by_stages_and_never_below_the_last() -> None:
    recipe = replace(
        RECIPE,
        bits=BitsConfig(4, 5, other=(LayerBits("a", 3, None),)),
        stages=(BitStage(0.25, 8), BitStage(0.5, 5)),
    )
    widths = [recipe.bits_at(share) for share in (0, 0.25, 0.5)]
    assert [(w.weights, w.activations, w.residual) for w in widths] == [(8, 8, 8), (5, 5, 8), (4, 5, 8)]
    assert [w.other[0].weights for w in widths] == [8, 5, 3]
    assert widths[-1] == recipe.bits


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"steps": None}, "give the length as steps or as epochs"),
    ({"epochs": 2}, "give the length as steps or as epochs"),
    ({"batch": 0}, "batch is 0"),
    ({"bits": {"weights": 9}}, "bits.weights is 9: must be a whole number in 2..8"),
    ({"bits": {"activations": 1}}, "bits.activations is 1"),
    ({"bits": {"wieghts": 4}}, "unknown field bits.wieghts"),
    ({"bits": {"other": [{"weights": 4}]}}, "bits.other must be a list, each with layers"),
    ({"loss": {"kind": "l1"}}, "loss.kind is 'l1': must be mse or cosine"),
    ({"ranges": {"kind": "guessed"}}, "ranges.kind is 'guessed'"),
    ({"ranges": {"until": 2}}, "ranges.until is 2"),
    ({"stages": [{"until": 0.5, "bits": 4}, {"until": 0.4, "bits": 8}]}, "until must rise and bits fall"),
    ({"stages": [{"until": 0.5}]}, "each of the stages has until and bits"),
    ({"schedule": {"margin_warmup": 0.5}}, "a quantization has no margin"),
    ({"seeds": 4}, "unknown recipe field 'seeds'"),
    ({"optimiser": {"rate": 4}}, "unknown recipe field 'optimiser.rate'"),
    ({"psi": float("nan")}, "psi is nan"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=[m for _, m in CHANGES])
def test_a_setting_that_makes_no_sense_is_one_line_with_the_file(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    values = {**RECIPE.to_dict(), **change}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in values.items() if v is not None}))
    with pytest.raises(ConfigError) as caught:
        QuantizationRecipe.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_no_yaml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("a: [")
    for path in (tmp_path / "r.yaml", tmp_path / "absent.yaml"):
        with pytest.raises(InputError, match=r"r.yaml: not a readable recipe|absent.yaml: cannot be read"):
            QuantizationRecipe.read(path)


def test_bits_of_layers_are_read_from_the_command_line() -> None:
    assert parse_layer_bits(["conv1.*=8/6", "fc=4"]) == (LayerBits("conv1.*", 8, 6), LayerBits("fc", 4, 4))
    for text in ("conv1", "=4", "conv1=", "conv1=a", "conv1=4/", "conv1=9", "conv1=4/1", "conv1=-4"):
        if text == "conv1=4/":
            assert parse_layer_bits([text]) == (LayerBits("conv1", 4, 4),)
            continue
        with pytest.raises(UsageError, match="--layer-bits"):
            parse_layer_bits([text])
