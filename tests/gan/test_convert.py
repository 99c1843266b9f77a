"""Converting published network pickles: the images stay, everything else than such networks is refused."""

from __future__ import annotations

import hashlib
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile_pickles import GADGETS, text
from published_pickle_files import (
    TINY,
    PublishedModule,
    conversion_refusal,
    edited_pickle,
    network_pickle,
    published_code,
    random_generator,
    random_images,
)
from syper_data.errors import InputError, UsageError
from syper_data.gan.convert import convert
from syper_data.gan.generator_file import GeneratorFile, load_generator

CONTRACTS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "contracts"


@pytest.fixture(scope="module")
def tiny_pickle() -> bytes:
    return network_pickle(random_generator(**TINY))


def converted(folder: Path, data: bytes, **options: Any) -> GeneratorFile:
    """What conversion of ``data`` gives, read back."""
    source = folder / "network.pkl"
    source.write_bytes(data)
    return load_generator(convert(source, folder / "generator.safetensors", **options))


# The images stay.


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(
            {"resolution": 32, "c_dim": 4, "channel_base": 256}, id="32 px, conditional, 2 mapping layers"
        ),
        pytest.param({"resolution": 64, "mapping_layers": 8}, id="64 px, unconditional, 8 mapping layers"),
        pytest.param({"resolution": 128, "img_channels": 1, "channel_base": 512}, id="128 px, grey"),
        pytest.param(
            {"resolution": 256, "num_fp16_res": 4, "conv_clamp": 256.0, "channel_base": 1024}, id="256 px, fp16"
        ),
        pytest.param({"resolution": 64, "num_fp16_res": 2, "conv_clamp": 0.5}, id="64 px, clamped where it shows"),
        pytest.param({"resolution": 512, "c_dim": 1, "channel_base": 1024, "channel_max": 4}, id="512 px"),
        pytest.param({"resolution": 1024, "channel_base": 16384, "channel_max": 20}, id="1024 px, base 16384"),
        pytest.param({"resolution": 1024, "channel_base": 4096, "channel_max": 32}, id="1024 px, base 4096"),
        pytest.param(
            {"resolution": 32, "channel_base": 32768, "channel_max": 512, "w_dim": 64}, id="32 px, full width"
        ),
        pytest.param({"resolution": 4, "num_fp16_res": 0}, id="4 px"),
        pytest.param({"resolution": 16, "num_fp16_res": 4}, id="16 px, all in fp16"),
        pytest.param({"resolution": 32, "resample_filter": (1, 2, 2, 1)}, id="another filter"),
    ],
)
def test_the_converted_generator_makes_the_same_images(architecture: dict[str, Any], tmp_path: Path) -> None:
    generator = random_generator(**{**TINY, **architecture})
    result = converted(tmp_path, network_pickle(generator))
    assert result.config == generator.config
    count = 1 if generator.config.resolution == 1024 else 2
    for psi in (1.0, 0.7):
        expected = random_images(generator, psi, count)
        assert expected.std() > 0.05
        assert (random_images(result.generator, psi, count) - expected).abs().max() <= 1e-4


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("era", ["old", "new"])
def test_every_protocol_and_torch_version_gives_the_same_file(protocol: int, era: str, tmp_path: Path) -> None:
    generator = random_generator(**TINY, c_dim=3)
    data = network_pickle(generator, protocol=protocol, era=era)
    if era == "old" and protocol < 4:  # names of numpy 1
        data = data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    result = converted(tmp_path, data)
    assert result.config == generator.config
    assert torch.equal(random_images(result.generator, 0.7), random_images(generator, 0.7))


@pytest.mark.parametrize("name", ["stylegan2ada_32_conditional", "stylegan2ada_64_unconditional"])
def test_published_files_give_the_published_images(name: str, tmp_path: Path) -> None:
    source = CONTRACTS / f"{name}.pkl"
    if not source.exists():
        pytest.skip("the contract samples are not beside this repository")
    generator = load_generator(convert(source, tmp_path / "generator.safetensors")).generator
    with np.load(CONTRACTS / f"{name}.npz") as file:
        reference = {key: file[key] for key in file.files}
    z = np.stack([np.random.RandomState(seed).randn(generator.config.z_dim) for seed in reference["seeds"]])
    labels = torch.from_numpy(reference["labels"])
    c = torch.nn.functional.one_hot(labels, generator.config.c_dim).float() if generator.config.c_dim else None
    for key, psi, noise_mode in (("psi1.0", 1.0, "const"), ("psi0.7", 0.7, "const"), ("nonoise", 1.0, "none")):
        images = generator(torch.from_numpy(z).float(), c, psi=psi, noise_mode=noise_mode).numpy()
        assert np.abs(images - reference[key]).max() <= 1e-4


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_another_precision_become_float32(kind: torch.dtype, tmp_path: Path) -> None:
    def cast(root: PublishedModule) -> None:
        layer = root["synthesis.b8.conv1"].state["_parameters"]
        layer["weight"] = torch.nn.Parameter(layer["weight"].to(kind), requires_grad=False)

    weight = random_generator(**TINY).state_dict()["synthesis.b8.conv1.weight"]
    result = converted(tmp_path, edited_pickle(cast)).generator.state_dict()["synthesis.b8.conv1.weight"]
    assert result.dtype == torch.float32
    assert torch.equal(result, weight.to(kind).float())


def test_tensors_in_another_memory_order_are_read_right(tmp_path: Path) -> None:
    def reorder(root: PublishedModule) -> None:
        layer = root["synthesis.b8.conv1"].state["_parameters"]
        layer["weight"] = layer["weight"].to(memory_format=torch.channels_last)

    result = converted(tmp_path, edited_pickle(reorder)).generator
    assert torch.equal(random_images(result, 1.0), random_images(random_generator(**TINY), 1.0))


def forget(root: PublishedModule) -> None:
    """Remove every attribute that isn't a tensor or module."""
    for name in [n for n in root.state if n not in ("_parameters", "_buffers", "_modules")]:
        del root.state[name]
    for child in root.state["_modules"].values():
        forget(child)


@pytest.mark.parametrize(
    "change", [forget, lambda root: root["synthesis"].state["_init_kwargs"].update(channel_max=9)]
)
def test_the_architecture_follows_from_the_tensors_alone(change: Any, tmp_path: Path) -> None:
    config = converted(tmp_path, edited_pickle(change, c_dim=2)).config
    assert [config.channels(r) for r in config.block_resolutions] == [8, 8, 4]
    assert (config.z_dim, config.c_dim, config.w_dim, config.mapping_layers) == (5, 2, 6, 2)


def test_a_file_of_the_generator_alone_is_converted(tmp_path: Path, tiny_pickle: bytes) -> None:
    kept: list[Any] = []
    network_pickle(random_generator(**TINY), edit=lambda networks: kept.append(networks["G_ema"]))
    with published_code():
        alone = pickle.dumps(kept[0])
    assert converted(tmp_path, alone).config == converted(tmp_path, tiny_pickle).config


# What is written.


def test_the_file_records_where_it_comes_from(tmp_path: Path, tiny_pickle: bytes) -> None:
    result = converted(tmp_path, tiny_pickle, spectrum="nir")
    digest = hashlib.sha256(tiny_pickle).hexdigest()
    assert result.summary == {"converted_from": {"name": "network.pkl", "sha256": digest}}
    assert result.spectrum == "nir"


def test_the_same_pickle_gives_the_same_bytes(tmp_path: Path, tiny_pickle: bytes) -> None:
    first, second = converted(tmp_path, tiny_pickle), converted(tmp_path, tiny_pickle)
    assert first.sha256 == second.sha256


def test_missing_folders_of_the_target_are_made(tmp_path: Path, tiny_pickle: bytes) -> None:
    (tmp_path / "network.pkl").write_bytes(tiny_pickle)
    target = tmp_path / "a" / "b" / "generator.safetensors"
    assert convert(str(tmp_path / "network.pkl"), str(target)) == target
    assert load_generator(target).spectrum == "vis"


def test_the_target_may_not_be_the_source(tmp_path: Path, tiny_pickle: bytes) -> None:
    source = tmp_path / "network.pkl"
    source.write_bytes(tiny_pickle)
    (tmp_path / "link").symlink_to(source)
    for target in (source, tmp_path / "." / "network.pkl", tmp_path / "link"):
        with pytest.raises(UsageError, match="another name"):
            convert(source, target)
    assert source.read_bytes() == tiny_pickle


def test_an_unknown_spectrum_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="vis or nir"):
        convert(tmp_path / "network.pkl", tmp_path / "out", spectrum="infrared")


def test_a_generator_file_is_not_converted_again(tmp_path: Path, tiny_pickle: bytes) -> None:
    converted(tmp_path, tiny_pickle)
    with pytest.raises(InputError, match="safetensors file, not a network pickle"):
        convert(tmp_path / "generator.safetensors", tmp_path / "again.safetensors")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        convert(tmp_path / "absent.pkl", tmp_path / "out.safetensors")
    with pytest.raises(InputError, match="is a folder"):
        convert(tmp_path, tmp_path / "out.safetensors")
    with pytest.raises(InputError, match="no regular file"):
        convert("/dev/zero", tmp_path / "out.safetensors")


# Hostile and damaged files.


@pytest.mark.parametrize("gadget", GADGETS.values(), ids=GADGETS.keys())
def test_a_program_hidden_in_a_good_file_is_refused(gadget: Any, tmp_path: Path, hidden_in: bytes) -> None:
    marker = tmp_path.parent / f"{tmp_path.name}.marker"
    before = dict(sys.modules)
    conversion_refusal(tmp_path, hidden_in[:-1] + text("training_set_kwargs") + gadget(marker) + b"s.")
    assert not marker.exists()
    assert sys.modules == before


@pytest.fixture(scope="module")
def hidden_in() -> bytes:
    return network_pickle(random_generator(**TINY), protocol=2)  # without frames: easily continued


def test_the_source_text_in_a_file_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    source = f"open({str(marker)!r}, 'w').close()\nimport os; os._exit(1)"
    assert converted(tmp_path, network_pickle(random_generator(**TINY), source=source)).config.resolution == 16
    assert not marker.exists()


SMALLEST = network_pickle(
    random_generator(resolution=8, z_dim=1, w_dim=1, mapping_layers=1, channel_base=8, channel_max=1),
    edit=lambda networks: [networks.pop(name) for name in ("G", "D", "augment_pipe")],
)


@settings(max_examples=120, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, len(SMALLEST) - 1), st.integers(1, 255)), max_size=3),
    length=st.just(len(SMALLEST)) | st.integers(0, len(SMALLEST)),
)
def test_a_damaged_file_is_converted_or_refused_in_one_line(
    flips: list[tuple[int, int]], length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(SMALLEST)
    for position, mask in flips:
        data[position] ^= mask
    source = tmp_path_factory.getbasetemp() / "damaged.pkl"
    source.write_bytes(data[:length])
    try:
        convert(source, source.with_suffix(".safetensors"))
    except InputError as error:
        assert str(error).startswith(f"{source}: ")
        assert str(error).isprintable()
