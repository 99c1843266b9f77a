"""Published checkpoints: read in every form they come in, refused in one line otherwise."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from small_recognizers import random_backbone
from syper_data.errors import InputError, UsageError
from syper_data.recognition.backbones import expected_state
from syper_data.recognition.checkpoint import convert_recognizer, load_checkpoint
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.recognizer_file import read_recognizer

MFN = BackboneConfig("mobilefacenet", 112, 128)
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    return random_backbone(MFN).state_dict()


def plain_state(config: BackboneConfig) -> State:
    """A state without the time it takes to draw weights: each tensor is full of its own number."""
    return {n: torch.full(t.shape, i, dtype=t.dtype) for i, (n, t) in enumerate(expected_state(config).items())}


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


@pytest.mark.parametrize(
    "config",
    [
        MFN,
        BackboneConfig("mobilefacenet", 224, 512),
        BackboneConfig("iresnet18", 112, 128),
        BackboneConfig("iresnet34", 128, 128),
    ],
    ids=lambda c: f"{c.kind}-{c.input_size}",
)
def test_kind_size_and_dimension_are_told_by_names_and_shapes(tmp_path: Path, config: BackboneConfig) -> None:
    given = plain_state(config)
    found = load_checkpoint(saved(tmp_path / "c.pth", given))
    assert found.config == config
    assert not found.training
    assert list(found.state_dict()) == list(given)
    assert all(torch.equal(t, given[n]) for n, t in found.state_dict().items())


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda s: {f"module.{n}": t for n, t in s.items()},
        lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"state": {}}},
        lambda s: {"model": {f"module.backbone.{n}": t for n, t in s.items()}},
        lambda s: {n: t for n, t in s.items() if not n.endswith("num_batches_tracked")},
        lambda s: {"model": {"state_dict": {f"module.{n}": t for n, t in s.items()}}},
        lambda s: {**{f"backbone.{n}": t for n, t in s.items()}, "head.weight": torch.zeros(10, 128)},
        lambda s: {
            **{f"module.backbone.{n}": t for n, t in s.items()},
            "module.head.kernel": torch.zeros(128, 10),
            "module.head.t": torch.zeros(1),
        },
        lambda s: {**s, "kernel": torch.zeros(128, 10)},
        lambda s: {
            "epoch": 1,
            "state_dict_backbone": {f"module.{n}": t for n, t in s.items()},
            "state_dict_softmax_fc": {"weight": torch.zeros(10, 128)},
        },
    ],
    ids=[
        "data-parallel",
        "in-a-dictionary",
        "both",
        "without-counters",
        "in-two-dictionaries",
        "beside-a-head",
        "beside-an-adaptive-head",
        "beside-a-bare-head",
        "to-resume-training",
    ],
)
def test_published_wrappings_are_seen_through(
    tmp_path: Path, state: State, wrapped: Callable[[State], object]
) -> None:
    found = load_checkpoint(saved(tmp_path / "c.pth", wrapped(state)))
    assert found.config == MFN
    assert torch.equal(found.state_dict()["conv1.conv.weight"], state["conv1.conv.weight"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_become_float32(tmp_path: Path, state: State, dtype: torch.dtype) -> None:
    lower = {n: t.to(dtype) for n, t in state.items()}
    found = load_checkpoint(saved(tmp_path / "c.pth", lower)).state_dict()
    assert found["conv1.conv.weight"].dtype == torch.float32
    assert torch.equal(found["conv1.conv.weight"], lower["conv1.conv.weight"].float())
    assert found["conv1.bn.num_batches_tracked"].dtype == torch.int64


def test_the_format_before_zip_is_read(tmp_path: Path, state: State) -> None:
    torch.save(state, tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    assert load_checkpoint(tmp_path / "c.pth").config == MFN


def test_a_pooling_head_needs_to_be_told_its_input_size(tmp_path: Path) -> None:
    for kind in ("mobilefacenet", "iresnet18"):
        config = BackboneConfig(kind, 128, 128, "pooling")
        path = saved(tmp_path / "c.pth", plain_state(config))
        with pytest.raises(InputError, match="pooling head fits every input size; say which with --input-size"):
            load_checkpoint(path)
        assert load_checkpoint(path, input_size=128).config == config


def change(**changes: Any) -> Callable[[State], object]:
    return lambda s: {n: t for n, t in {**s, **changes}.items() if t is not None}


WRONG: dict[str, tuple[Callable[[State], object], str]] = {
    "one missing": (change(**{"conv1.bn.bias": None}), "tensor conv1.bn.bias is missing"),
    "one too many": (change(**{"head.weight": torch.zeros(3)}), "tensor head.weight does not belong"),
    "wrong shape": (change(**{"conv1.bn.bias": torch.zeros(3)}), r"conv1.bn.bias has shape \[3\]"),
    "wrong type": (change(**{"conv1.bn.bias": torch.zeros(64, dtype=torch.int8)}), "conv1.bn.bias is torch.int8"),
    "not finite": (change(**{"conv1.bn.bias": torch.full((64,), torch.nan)}), "not finite"),
    "no tensor": (change(**{"conv1.bn.bias": [1, 2]}), "'conv1.bn.bias' is a list, not a tensor"),
    "no last layer": (change(**{"output_layer.linear.weight": None}), "output_layer.linear.weight is missing"),
    "flat last layer": (change(**{"output_layer.linear.weight": torch.zeros(9)}), r"has shape \[9\]"),
    "odd size": (
        change(**{"output_layer.conv_6_dw.conv.weight": torch.zeros(512, 1, 5, 5)}),
        "input_size is 80: must be 112, 128 or 224",
    ),
    "odd dimension": (
        change(**{"output_layer.linear.weight": torch.zeros(64, 512)}),
        "embedding_dim is 64: must be 128 or 512",
    ),
    "mixed prefixes": (
        lambda s: {**{f"module.{n}": t for n, t in s.items()}, "extra": torch.zeros(1)},
        "tensor extra does not belong to the architecture, nor to a margin head",
    ),
    "a layer that changes what it computes": (
        change(**{"conv1.se.weight": torch.zeros(128, 64)}),
        "tensor conv1.se.weight does not belong to the architecture",
    ),
    "two networks side by side": (
        lambda s: {f"{network}.{n}": t for n, t in s.items() for network in ("student", "teacher")},
        r"holds several networks \(student, teacher\)",
    ),
    "two networks": (lambda s: {"student": s, "teacher": s}, r"holds several networks \(student, teacher\)"),
    "another network": (
        lambda s: {"vgg.0.weight": torch.zeros(1)},
        "no IResNet or MobileFaceNet among its entries",
    ),
    "nothing": (lambda s: {}, r"among its entries \(none\)"),
    "a list": (lambda s: [1], "holds a list, not a state dictionary"),
    "sparse": (change(**{"conv1.bn.bias": torch.zeros(64).to_sparse()}), "not plain values"),
    "another depth": (
        lambda s: {"layer1.0.bn1.weight": torch.zeros(64), "layer2.0.bn1.weight": torch.zeros(1)},
        "stages of 1-1-0-0 units: not IResNet-18, 34, 50 or 100",
    ),
    "a whole module": (lambda s: torch.nn.Linear(2, 2), r"more than tensors \(torch.nn.modules.linear.Linear\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line(tmp_path: Path, state: State, name: str) -> None:
    build, text = WRONG[name]
    with pytest.raises(InputError, match=text) as caught:
        load_checkpoint(saved(tmp_path / "bad.pth", build(state)))
    assert "\n" not in str(caught.value)
    assert "bad.pth" in str(caught.value)


def test_a_configuration_that_does_not_fit_is_refused(tmp_path: Path, state: State) -> None:
    path = saved(tmp_path / "c.pth", state)
    assert load_checkpoint(path, BackboneConfig("mobilefacenet", 112, 128, dropout=0.4)).config.dropout == 0.4
    with pytest.raises(InputError, match=r"conv_6_dw.conv.weight has shape \[512, 1, 7, 7\]"):
        load_checkpoint(path, BackboneConfig("mobilefacenet", 224, 128))
    with pytest.raises(InputError, match="is for 112 px, not 224"):
        load_checkpoint(path, input_size=224)
    with pytest.raises(UsageError, match="input_size is 224, the configuration says 112"):
        load_checkpoint(path, MFN, input_size=224)


class Hostile:
    """Unpickled by the standard reader, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain pickle", "inside a good one"])
def test_a_hostile_file_is_refused_and_not_executed(tmp_path: Path, state: State, form: str) -> None:
    marker, path = tmp_path / "executed", tmp_path / "hostile.pth"
    if form == "plain pickle":
        path.write_bytes(pickle.dumps(Hostile(marker)))
    elif form == "inside a good one":
        saved(path, {"state_dict": state, "args": Hostile(marker)})
    else:
        torch.save(Hostile(marker), path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(InputError, match="more than tensors"):
        load_checkpoint(path)
    assert not marker.exists()


def test_truncated_empty_foreign_and_absent_files_are_one_line(tmp_path: Path, state: State) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    whole = buffer.getvalue()
    for content in (b"", b"hello", whole[: len(whole) // 2], whole[:-10]):
        path = tmp_path / "bad.pth"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"bad.pth: ") as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_checkpoint(tmp_path / "absent.pth")
    with pytest.raises(InputError, match="is a folder"):
        load_checkpoint(tmp_path)


def test_a_converted_checkpoint_is_a_recognizer_file(tmp_path: Path, state: State) -> None:
    source = saved(tmp_path / "backbone (1).pth", state)
    target = convert_recognizer(source, tmp_path / "deep" / "r.safetensors", spectrum="nir")
    found = read_recognizer(target)
    assert (found.name, found.spectrum, found.orientation) == ("backbone-1", "nir", "opposite")
    assert found.config == MFN
    assert not found.identities_known
    assert found.summary["converted_from"]["name"] == "backbone (1).pth"
    x = torch.rand(1, 3, 112, 112)
    assert torch.equal(found.backbone(x), random_backbone(MFN)(x))
    with pytest.raises(UsageError, match="is the file to convert"):
        convert_recognizer(source, source)
