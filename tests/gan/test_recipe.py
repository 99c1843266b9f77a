"""A recipe survives its file, and whatever is wrong with one is said in one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from syper_data.errors import ConfigError, InputError, UsageError
from syper_data.gan.augment import DiffAugmentConfig
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.projected import ProjectedConfig
from syper_data.gan.recipe import TrainingRecipe

SHIPPED = sorted((Path(__file__).parents[2] / "generator" / "recipes").glob("*.yaml"))
NUMBERS = st.floats(1e-6, 1e6)


def minimal() -> dict[str, Any]:
    return {"name": "tiny", "spectrum": "vis", "generator": {"resolution": 128}, "total_kimg": 1}


def test_recipes_are_shipped() -> None:
    assert "syper-vis-128-v1.yaml" in [path.name for path in SHIPPED]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_loads_and_is_named_like_its_file(path: Path) -> None:
    recipe = TrainingRecipe.read(path)
    assert recipe.name == path.stem
    assert recipe.description
    assert recipe.decay_kimg <= recipe.total_kimg


@settings(deadline=None, max_examples=50)
@given(
    name=st.from_regex(r"[a-z][a-z0-9 _.-]{0,20}", fullmatch=True),
    spectrum=st.sampled_from(["vis", "nir"]),
    precision=st.sampled_from(["bf16", "fp32"]),
    rates=st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    seed=st.integers(0, 2**31 - 1),
    mirror=st.booleans(),
    share=st.floats(0, 1),
    clamp=st.none() | NUMBERS,
    description=st.text(st.characters(exclude_categories=["Cs", "Cc"])),
)
def test_a_recipe_survives_its_yaml(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    spectrum: str,
    precision: str,
    rates: tuple[float, float, float, float],
    seed: int,
    mirror: bool,
    share: float,
    clamp: float | None,
    description: str,
) -> None:
    total, snapshot, generator_lr, discriminator_lr = rates
    recipe = TrainingRecipe(
        name=name,
        spectrum=spectrum,
        generator=GeneratorConfig(128, conv_clamp=clamp, resample_filter=(1, 2, 2, 1)),
        total_kimg=total,
        snapshot_kimg=snapshot,
        generator_lr=generator_lr,
        discriminator_lr=discriminator_lr,
        precision=precision,
        seed=seed,
        mirror=mirror,
        augment=DiffAugmentConfig(probability=share, colour=1 - share),
        description=description,
    )
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(recipe.write_text(), "utf-8")

    assert TrainingRecipe.read(path) == recipe
    assert TrainingRecipe.from_dict(recipe.to_dict()) == recipe


def test_what_a_recipe_does_not_say_has_its_default() -> None:
    recipe = TrainingRecipe.from_dict(minimal())
    assert recipe.augment == DiffAugmentConfig()
    assert recipe.generator == GeneratorConfig(128)
    assert recipe.batch == 32


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainingRecipe.from_dict(minimal()).batch = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("name", v) for v in ("", ".hidden", "..", "a/b", "a\nb", "a\x00", 5, None)),
        *(("spectrum", v) for v in ("thermal", "", None, ["vis"])),
        *(("precision", v) for v in ("fp16", 32, None)),
        *(("total_kimg", v) for v in (0, -1, float("inf"), float("nan"), "100", True, None, [1])),
        *(("snapshot_kimg", v) for v in (0, -4, None)),
        *(("generator_lr", v) for v in (0, -1, "2e-3")),  # YAML reads 2e-3, without a point, as text
        *(("discriminator_lr", v) for v in (0, float("nan"))),
        *(("decay_kimg", v) for v in (-1, float("inf"), "no")),
        *(("ema_kimg", v) for v in (-1, None)),
        *(("ema_rampup", v) for v in (-0.1, False)),
        *(("batch", v) for v in (1, 0, -2, 2.5, "32", True, None, 5000)),
        *(("seed", v) for v in (-1, 2**31, 0.5, "0", None)),
        *(("class_of", v) for v in ("person", None)),
        *(("adversary", v) for v in (None, "stylegan2", [1])),
        *(("mirror", v) for v in ("no", 0, None)),
        *(("description", v) for v in (None, 5)),
        *(("augment", v) for v in (None, 5, [1], "off")),
        *(("generator", v) for v in (None, 128, [["resolution", 128]])),
    ],
)
def test_a_bad_value_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainingRecipe.from_dict({**minimal(), field: value})
    assert str(caught.value).startswith(f"{field} is {value!r}: must be ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": {"resolution": 64}}, "generator.resolution is 64"),
        ({"generator": {"resolution": 100}}, "resolution is 100"),
        ({"generator": {"resolution": 128, "c_dim": "many"}}, "c_dim is 'many'"),
        ({"auto_classes": True}, "unknown recipe field 'auto_classes'"),
        ({"adversary_width": 0}, "adversary.width is 0"),
        ({"range_penalty": "high"}, "adversary.range_penalty is 'high'"),
        ({"adversary_width": 8, "adversary": {}}, "adversary_width belongs into the section adversary"),
        ({"adversary": {"kind": "vae"}}, "adversary.kind is 'vae': must be projected or stylegan2"),
        ({"adversary": {"kind": ["x"]}}, "adversary.kind is ['x']"),
        ({"adversary": {"r1_gamma": 1}}, "unknown recipe field 'adversary.r1_gamma'"),
        ({"adversary": {"width": 0}}, "adversary.width is 0"),
        ({"adversary": {"input_size": 64}}, "adversary.input_size is 64"),
        ({"adversary": {"label_dim": 0}}, "adversary.label_dim is 0"),
        ({"adversary": {"style_mixing": 2}}, "adversary.style_mixing is 2"),
        ({"adversary": {"kind": "stylegan2", "r1_gamma": -1}}, "adversary.r1_gamma is -1"),
        ({"adversary": {"kind": "stylegan2", "r1_interval": 0}}, "adversary.r1_interval is 0"),
        ({"adversary": {"kind": "stylegan2", "path_length_interval": 0}}, "adversary.path_length_interval is 0"),
        ({"adversary": {"kind": "stylegan2", "path_length_weight": "2"}}, "adversary.path_length_weight is '2'"),
        ({"adversary": {"kind": "stylegan2", "channel_base": 0}}, "adversary.channel_base is 0"),
        ({"adversary": {"kind": "stylegan2", "mbstd_group_size": 0}}, "adversary: mbstd_group_size is 0"),
        ({"adversary": {"kind": "stylegan2"}, "generator": {"resolution": 4}}, "adversary: resolution is 4"),
        ({"augment": {"kind": "mixup"}}, "augment.kind is 'mixup': must be diffaugment or ada"),
        ({"augment": {"kind": "ada", "groups": "bgx"}}, "augment.groups is 'bgx'"),
        ({"augment": {"kind": "ada", "colour": 1.0}}, "unknown recipe field 'augment.colour'"),
        ({"generator": {"resolution": 128, "img_channels": 2}}, "img_channels is 2: training makes 1 (grey) or 3"),
        ({"generator": {"resolution": 128, "z_dim": "x"}}, "z_dim is 'x'"),
        ({"generator": {"resolution": 128, "depth": 1}}, "'depth'"),
        ({"generator": {}}, "names no resolution"),
        ({"augment": {"probability": 2}}, "augment.probability is 2"),
        ({"augment": {"colour": "full"}}, "augment.colour is 'full'"),
        ({"augment": {"rotate": 1}}, "unknown recipe field 'augment.rotate'"),
        ({"augment": {3: 1}}, "unknown recipe field 'augment.3'"),
        ({"learning_rate": 1}, "unknown recipe field 'learning_rate'"),
        ({7: 1, "x": 2}, "unknown recipe field '7'"),
    ],
)
def test_a_bad_part_is_refused_in_one_line(changes: dict[Any, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainingRecipe.from_dict({**minimal(), **changes})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["name", "spectrum", "generator", "total_kimg"])
def test_a_missing_field_is_named(field: str) -> None:
    values = {key: value for key, value in minimal().items() if key != field}
    with pytest.raises(ConfigError, match=f"no '{field}'"):
        TrainingRecipe.from_dict(values)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"- a\n- b\n",
        b"just text",
        b"name: [unclosed",
        b"name: a\n\tspectrum: vis\n",
        b"\xff\xfe\x00broken",
        b"name: 2024-99-99\n",
        b"batch: !!int many\n",
        b"name: !!python/object/apply:os.getcwd []\n",
        b"a: " + b"[" * 1500,
        b"? [1]\n: 2\n",
        b"\x00",
    ],
    ids=["empty", "list", "text", "open", "tab", "utf8", "date", "int", "python", "deep", "key", "nul"],
)
def test_a_file_that_is_no_recipe_is_refused_by_its_path_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        TrainingRecipe.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            TrainingRecipe.read(path)


def test_a_bad_value_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**minimal(), "batch": 1}), "utf-8")
    with pytest.raises(UsageError) as caught:
        TrainingRecipe.read(path)
    assert str(caught.value) == f"{path}: batch is 1: must be a whole number in 2..4096"


def test_the_flat_settings_of_the_first_release_are_read() -> None:
    recipe = TrainingRecipe.from_dict({**minimal(), "adversary_width": 32, "range_penalty": 7.0})
    assert recipe.adversary == ProjectedConfig(width=32, range_penalty=7.0)
    assert recipe == TrainingRecipe.from_dict(recipe.to_dict())


@pytest.mark.parametrize(
    "part",
    [
        {"adversary": {"kind": "stylegan2", "r1_gamma": 2.0, "channel_max": 64}},
        {"adversary": {"kind": "projected", "input_size": 256, "style_mixing": 0.5}},
        {"augment": {"kind": "ada", "groups": "colour+cutout", "target": None, "probability": 0.4}},
        {"generator": {"resolution": 128, "c_dim": "auto"}, "class_of": "eye"},
    ],
    ids=lambda part: next(iter(part)),
)
def test_every_kind_of_section_survives_its_yaml(part: dict[str, Any], tmp_path: Path) -> None:
    recipe = TrainingRecipe.from_dict({**minimal(), **part})
    (tmp_path / "recipe.yaml").write_text(recipe.write_text(), "utf-8")
    assert TrainingRecipe.read(tmp_path / "recipe.yaml") == recipe
    for name, values in part.items():
        written = yaml.safe_load(recipe.write_text())[name]
        assert written == values or written.items() >= values.items()


def test_the_number_of_classes_can_be_left_to_the_data() -> None:
    recipe = TrainingRecipe.from_dict({**minimal(), "generator": {"resolution": 128, "c_dim": "auto"}})
    assert recipe.conditional
    settled = recipe.with_classes(7)
    assert settled.generator.c_dim == 7
    assert yaml.safe_load(settled.write_text())["generator"]["c_dim"] == 7
