"""Starting from a generator file: the same weights, a larger image, new classes; or a refusal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from small_generators import save_small_generator, small_generator
from small_training import RECIPE, contents, crops, same, stored
from syper_data.errors import ConfigError, InputError
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.crops import load_crops
from syper_data.gan.generator import Generator
from syper_data.gan.generator_file import GeneratorFile, load_generator, save_generator
from syper_data.gan.initialisation import start_from
from syper_data.gan.layers import upsample_image
from syper_data.gan.training import train_generator
from syper_data.gan.training_run import TrainingRun

SHORT = replace(RECIPE, total_kimg=0.004, snapshot_kimg=0.004)


def given(folder: Path, summary: dict[str, Any] | None = None, **changes: Any) -> GeneratorFile:
    path = folder / "given.safetensors"
    save_generator(small_generator(5, **changes), path, spectrum="vis", summary=summary or {})
    return load_generator(path)


def fresh(**changes: Any) -> Generator:
    return small_generator(6, **changes)


def latents(n: int = 3) -> torch.Tensor:
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(0))


def test_an_equal_architecture_takes_all_weights_in_both_networks(tmp_path: Path) -> None:
    source = given(tmp_path)
    run = TrainingRun(SHORT, load_crops(crops(), 16), source)
    for network in (run.generator, run.average):
        assert same(dict(network.state_dict()), dict(source.generator.state_dict()))
    assert run.generator.training
    assert all(p.requires_grad for p in run.generator.parameters())


def test_a_larger_generator_begins_as_the_smaller_ones_image_up_sampled(tmp_path: Path) -> None:
    source = given(tmp_path)
    grown = fresh(resolution=32)
    start_from(grown, source)
    with torch.no_grad():
        small, large = source.generator(latents()), grown(latents())
        assert torch.allclose(large, upsample_image(small, grown.synthesis.kernel), atol=1e-5)
    assert F.avg_pool2d(large, 2).shape == small.shape
    large = grown(latents())
    (slope,) = torch.autograd.grad(large.square().sum(), [grown.synthesis.b32.torgb.weight])
    assert slope.abs().max() > 0  # and learns from there


def test_new_classes_differ_from_the_first_and_together_make_what_the_generator_without_classes_makes(
    tmp_path: Path,
) -> None:
    source = given(tmp_path)
    conditional = fresh(c_dim=300)
    start_from(conditional, source, [str(k) for k in range(300)])
    assert same(conditional.synthesis.state_dict(), source.generator.synthesis.state_dict())
    z = torch.randn(3000, 8, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(3000) % 300
    with torch.no_grad():
        plain = source.generator.mapping(z)
        ours = conditional.mapping(z, F.one_hot(labels, 300).float())
    assert abs(float(ours.std() / plain.std()) - 1) < 0.15
    between = torch.stack([ours[labels == k].mean(0) for k in range(300)]).var(0).mean()
    assert 0.25 < float(between / ours.var(0).mean()) < 0.75  # of w, about half is the class's


def test_the_label_embedding_is_kept_for_the_same_classes_and_new_for_others(tmp_path: Path) -> None:
    source = given(tmp_path, {"classes": ["a", "b"]}, c_dim=2)
    kept, new, more = fresh(c_dim=2), fresh(c_dim=2), fresh(c_dim=3)
    start_from(kept, source, ("a", "b"))
    start_from(new, source, ("a", "z"))
    start_from(more, source, ("a", "b", "c"))
    assert same(dict(kept.state_dict()), dict(source.generator.state_dict()))
    for other in (new, more):
        assert not same(other.mapping.embed.weight, source.generator.mapping.embed.weight)
        assert same(other.synthesis.state_dict(), source.generator.synthesis.state_dict())
        fc0 = (m.mapping.get_parameter("fc0.weight") for m in (other, source.generator))
        assert torch.equal(*fc0)


@pytest.mark.parametrize(
    ("theirs", "mine", "message"),
    [
        ({"z_dim": 12}, {}, "its z_dim is 12, the recipe's 8"),
        ({"w_dim": 12}, {}, "its w_dim is 12, the recipe's 8"),
        ({"mapping_layers": 3}, {}, "its mapping_layers is 3, the recipe's 2"),
        ({"resolution": 32}, {}, "its resolution is 32, the recipe's 16"),
        ({"c_dim": 2}, {}, "its c_dim is 2, the recipe's 0"),
        ({"channel_max": 4}, {}, "its channels at 4 px is 4, the recipe's 8"),
        ({"channel_base": 64}, {"resolution": 32}, "its channels at 16 px is 4, the recipe's 8"),
        ({"conv_clamp": 256.0}, {}, "its conv_clamp is 256.0, the recipe's None"),
        ({"img_channels": 1}, {}, "its img_channels is 1, the recipe's 3"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_refused_by_name(
    tmp_path: Path, theirs: dict[str, Any], mine: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        start_from(fresh(**mine), given(tmp_path, **theirs))
    assert str(caught.value) == f"--init-from given: {message}; they must fit"


def test_the_start_is_recorded_and_a_resumed_run_must_have_the_same(tmp_path: Path) -> None:
    source = save_small_generator(tmp_path / "given.safetensors", seed=5)
    other = save_small_generator(tmp_path / "other.safetensors", seed=7)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    out = tmp_path / "run"
    path = train_generator(SHORT, crops(), out, init_from=source)
    assert load_generator(path).summary["init_from"] == digest
    assert stored(out)["init_from"] == digest
    assert json.loads((out / "data.json").read_text())["init_from"] == digest

    before = contents(out)
    refusal = f"started from {digest[:12]}, not from .*; give the same --init-from"
    for init_from in (other, None):
        with pytest.raises(InputError, match=refusal):
            train_generator(SHORT, crops(), out, init_from=init_from)
    assert contents(out) == before
    assert train_generator(SHORT, crops(), out, init_from=source) == path


@pytest.mark.parametrize("name", ["absent.safetensors", "no-such-generator"])
def test_a_generator_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="neither a generator file nor a bundled generator"):
        train_generator(SHORT, crops(), tmp_path / "run", init_from=name)
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_a_bundled_generator_can_be_the_start() -> None:
    from syper_data.gan.bundled import open_generator

    bundled = open_generator("syper-vis-128-v1")
    network = Generator(GeneratorConfig.from_dict(bundled.config.to_dict()))
    start_from(network, bundled)
    assert same(dict(network.state_dict()), dict(bundled.generator.state_dict()))
