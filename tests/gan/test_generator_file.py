"""The generator file: what is written is what is read, and everything else is refused in one line."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from syper_data.errors import InputError
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator
from syper_data.gan.generator_file import load_generator, save_generator

CONFIG = GeneratorConfig(
    8, z_dim=6, c_dim=2, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8, conv_clamp=256.0
)


def make_generator(config: GeneratorConfig = CONFIG, seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    return Generator(config)


def header(**changes: Any) -> dict[str, Any]:
    return {"format": 1, "architecture": CONFIG.to_dict(), "spectrum": "vis", "summary": {}, **changes}


def tensors() -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in make_generator().state_dict().items()}


def write(path: Path, content: dict[str, Tensor] | None = None, head: Any = None) -> Path:
    text = head if isinstance(head, str) else json.dumps(header() if head is None else head)
    path.write_bytes(save(tensors() if content is None else content, {"syper": text}))
    return path


def refusal(path: Path) -> str:
    """The message with which the file is refused: one line that starts with its path."""
    with pytest.raises(InputError) as caught:
        load_generator(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_a_generator_survives_its_file(tmp_path: Path) -> None:
    generator = make_generator()
    path = tmp_path / "eyes.safetensors"
    save_generator(generator, path, spectrum="nir", summary={"kimg": 4, "recipe": "tiny"})

    loaded = load_generator(path)

    assert loaded.config == CONFIG
    assert (loaded.name, loaded.spectrum, loaded.summary) == ("eyes", "nir", {"kimg": 4, "recipe": "tiny"})
    expected = generator.state_dict()
    assert list(loaded.generator.state_dict()) == list(expected)
    for name, tensor in loaded.generator.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    z, c = torch.randn(3, 6), torch.eye(2)[[0, 1, 0]]
    assert torch.equal(loaded.generator(z, c, psi=0.5), generator(z, c, psi=0.5))
    assert not loaded.generator.training
    assert not any(p.requires_grad for p in loaded.generator.parameters())


def test_a_name_can_be_given(tmp_path: Path) -> None:
    assert load_generator(write(tmp_path / "a.safetensors"), name="mine").name == "mine"


def test_the_stated_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors")
    assert load_generator(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_content_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    summary = {"b": 1, "a": [2.5, None]}
    turned = dict(reversed(summary.items()))
    for name, seed, stated in (("a", 0, summary), ("b", 0, turned), ("c", 1, summary)):
        save_generator(make_generator(seed=seed), tmp_path / name, spectrum="vis", summary=stated)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_loading_and_saving_again_gives_the_same_bytes(tmp_path: Path) -> None:
    save_generator(make_generator(), tmp_path / "a", spectrum="vis", summary={"kimg": 1})
    loaded = load_generator(tmp_path / "a")
    save_generator(loaded.generator, tmp_path / "b", spectrum=loaded.spectrum, summary=loaded.summary)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_half_precision_weights_are_written_as_float32(tmp_path: Path) -> None:
    save_generator(make_generator().bfloat16(), tmp_path / "a", spectrum="vis", summary={})
    assert {t.dtype for t in load_generator(tmp_path / "a").generator.state_dict().values()} == {torch.float32}


def test_a_file_that_begins_like_a_pickle_is_still_a_generator_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"  # its first byte is the low byte of the header's length
    for count in range(64):
        save_generator(make_generator(), path, spectrum="vis", summary={"note": "x" * 8 * count})
        if path.read_bytes()[:1] == b"\x80":
            break
    assert path.read_bytes()[:1] == b"\x80"
    assert load_generator(path).config == CONFIG


def test_a_missing_file_and_a_folder_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "absent.safetensors")
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["mapping.w_avg", "synthesis.b4.const", "synthesis.b8.conv0.weight"])
def test_a_missing_tensor_is_named(tmp_path: Path, name: str) -> None:
    content = {key: tensor for key, tensor in tensors().items() if key != name}
    assert refusal(write(tmp_path / "a", content)) == f"tensor {name} is missing"


def test_a_tensor_too_many_is_named(tmp_path: Path) -> None:
    content = {**tensors(), "synthesis.b16.conv0.bias": torch.zeros(8)}
    assert "synthesis.b16.conv0.bias does not belong" in refusal(write(tmp_path / "a", content))


def test_a_tensor_of_another_shape_is_named_with_both(tmp_path: Path) -> None:
    content = {**tensors(), "synthesis.b8.torgb.weight": torch.zeros(1, 8, 1, 1)}
    message = refusal(write(tmp_path / "a", content))
    assert "synthesis.b8.torgb.weight has shape [1, 8, 1, 1], the architecture wants [3, 8, 1, 1]" in message


def test_an_architecture_of_another_size_is_refused(tmp_path: Path) -> None:
    larger = header(architecture={**CONFIG.to_dict(), "resolution": 16})
    assert "tensor synthesis.b16" in refusal(write(tmp_path / "a", head=larger))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    content = tensors()
    content["synthesis.b8.conv1.weight"][3, 2, 1, 0] = value
    assert "synthesis.b8.conv1.weight holds values that are not finite" in refusal(write(tmp_path / "a", content))


def test_another_number_format_is_refused(tmp_path: Path) -> None:
    content = {**tensors(), "mapping.w_avg": torch.zeros(8, dtype=torch.float64)}
    assert "mapping.w_avg is torch.float64" in refusal(write(tmp_path / "a", content))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "a")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "not a readable safetensors file" in refusal(path)


def test_a_byte_too_many_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    path.write_bytes(path.read_bytes() + b"\0")
    assert "not a readable safetensors file" in refusal(path)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_renamed_pickle_is_not_run_and_the_way_out_is_named(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    path = tmp_path / "a.safetensors"
    path.write_bytes(pickle.dumps({"G_ema": Payload()}, protocol))
    assert refusal(path) == f"a pickle, not a generator file; run: syper-data convert {path} OUT.safetensors"
    assert not marker.exists()


def test_a_renamed_torch_checkpoint_is_refused_alike(tmp_path: Path) -> None:
    torch.save(tensors(), tmp_path / "a")
    assert "syper-data convert" in refusal(tmp_path / "a")


def test_safetensors_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(save(tensors()))
    assert "no 'syper' header" in refusal(tmp_path / "a")


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("{", "the header is not JSON"),
        ("[" * 100_000, "the header is not JSON"),
        ("[]", "describes no architecture"),
        ("null", "describes no architecture"),
        ({}, "describes no architecture"),
        (header(architecture=None), "describes no architecture"),
        (header(format=2), "format version 2, this toolkit reads 1"),
        (header(format="1"), "format version '1', this toolkit reads 1"),
        ({k: v for k, v in header().items() if k != "format"}, "format version None"),
        (header(spectrum="thermal"), "spectrum is 'thermal'"),
        (header(spectrum=None), "spectrum is None"),
        (header(summary=[1]), "summary"),
        (header(architecture={**CONFIG.to_dict(), "resolution": 7}), "resolution is 7"),
        (header(architecture={**CONFIG.to_dict(), "w_dim": 10**9}), "w_dim is 1000000000"),
        (header(architecture={**CONFIG.to_dict(), "module_src": "x"}), "'module_src'"),
    ],
)
def test_a_wrong_header_is_refused(tmp_path: Path, head: Any, message: str) -> None:
    assert message in refusal(write(tmp_path / "a", head=head))


def test_an_enormous_architecture_is_refused_without_being_built(tmp_path: Path) -> None:
    huge = GeneratorConfig(1024, z_dim=4096, w_dim=4096, channel_max=4096, channel_base=1 << 20)
    head = header(architecture=huge.to_dict())  # tens of gigabytes, were it allocated
    assert "tensor" in refusal(write(tmp_path / "a", head=head))


def test_the_header_reads_without_the_toolkit(tmp_path: Path) -> None:
    save_generator(make_generator(), tmp_path / "a", spectrum="vis", summary={"kimg": 2})
    with safe_open(tmp_path / "a", "pt") as file:
        stated = json.loads(file.metadata()["syper"])
    assert stated == header(summary={"kimg": 2})
