"""What is not a published StyleGAN2-ADA generator is refused with the module's name and the reason."""

from __future__ import annotations

import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from published_pickle_files import (
    TINY,
    PublishedModule,
    conversion_refusal,
    edited_pickle,
    network_pickle,
    published_code,
    random_generator,
)


def child(path: str, **state: Any) -> Callable[[PublishedModule], Any]:
    """An edit that changes attributes of the module at ``path``."""
    return lambda root: root[path].state.update(state)


def tensor(path: str, value: torch.Tensor | None) -> Callable[[PublishedModule], Any]:
    """An edit that replaces a parameter or adds one."""
    module, _, name = path.rpartition(".")
    return lambda root: root[module].state["_parameters"].update({name: value})


def all_noise_off(root: PublishedModule) -> None:
    root["synthesis.b4.conv1"].state["use_noise"] = False
    del root["synthesis.b4.conv1"].state["_parameters"]["noise_strength"]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda r: setattr(r, "class_name", "Discriminator"), "class 'Discriminator'"),
        (lambda r: r["synthesis"].put(input=PublishedModule("SynthesisInput")), "StyleGAN3"),
        (child("synthesis.b8", architecture="resnet"), "architecture is 'resnet'"),
        (child("synthesis.b4", architecture="orig"), "architecture is 'orig'"),
        (
            lambda r: r["synthesis.b8"].put(skip=PublishedModule("Conv2dLayer")),
            "'synthesis.b8.skip' does not belong",
        ),
        (lambda r: r["synthesis.b8"].put(conv2=PublishedModule("SynthesisLayer")), "'synthesis.b8.conv2'"),
        (lambda r: r["synthesis"].put(b32=PublishedModule("SynthesisBlock")), "b32.torgb.weight is missing"),
        (lambda r: r["synthesis"].state["_modules"].pop("b8"), "blocks at [4, 16] px"),
        (lambda r: r.state["_modules"].pop("mapping"), "no mapping"),
        (lambda r: r["mapping"].state["_modules"].pop("fc0"), "mapping.fc0.weight is missing"),
        (lambda r: r["mapping"].state["_buffers"].pop("w_avg"), "mapping.w_avg is missing"),
        (child("synthesis.b8.conv0", activation="relu"), "activation is 'relu'"),
        (child("synthesis.b8.conv0", up=1), "up is 1"),
        (child("mapping.fc1", bias_gain=1), "bias_gain is 1"),
        (child("mapping.fc1", weight_gain=np.float64(1)), "weight_gain is 1.0"),
        (child("mapping.fc1", activation="linear"), "activation is 'linear'"),
        (child("synthesis.b8.torgb.affine", bias_gain=2**2000), "bias_gain is a number of 2001 bits"),
        (child("synthesis.b8.torgb", conv_clamp=256), "conv_clamp is 256, None in another layer"),
        (child("synthesis.b4.conv1", conv_clamp="x" * 999), "conv_clamp is 'xxx"),
        (child("synthesis.b4", use_fp16=True), "use_fp16"),
        (all_noise_off, "use_noise is False"),
        (
            lambda r: r["synthesis.b8.conv0"].put(resample_filter=torch.ones(4, 4) / 16),
            "is not the filter [1, 3, 3, 1]",
        ),
        (lambda r: r["synthesis.b8.conv0"].put(resample_filter=torch.ones(2, 2)), "is not the filter"),
        (child("synthesis", _init_kwargs={"resample_filter": [1, 1]}), "four symmetric taps"),
        (tensor("synthesis.b8.conv0.bias", None), "b8.conv0.bias is missing"),
        (tensor("synthesis.b8.conv0.extra", torch.ones(1)), "'synthesis.b8.conv0.extra' does not belong"),
        (tensor("synthesis.b8.conv0.bias", torch.ones(9)), "has shape [9], the architecture wants [8]"),
        (tensor("synthesis.b8.conv0.bias", torch.full((8,), torch.nan)), "not finite"),
        (tensor("synthesis.b8.conv0.bias", torch.full((8,), 1e300, dtype=torch.float64)), "not finite"),
        (tensor("synthesis.b8.conv0.bias", torch.ones(8, dtype=torch.int64)), "no floating-point"),
        (tensor("synthesis.b8.torgb.weight", torch.ones(3, 7, 1, 1)), "weight_gain"),
        (tensor("synthesis.b8.torgb.weight", torch.ones(3)), "not 4 dimensions"),
        (child("synthesis.b8.conv0", _parameters=[1]), "damaged"),
        (child("synthesis.b8.conv0", _modules={"a\n\x1b[2J": None}, _buffers={7: 7}), "damaged"),
        (child("synthesis.b8", _modules={"a\n\x1b[2J": PublishedModule("X\n")}), r"'synthesis.b8.a\n\x1b[2J'"),
        (child("synthesis.b8", _modules={"conv0.affine": PublishedModule("FullyConnectedLayer")}), "damaged"),
        (lambda r: r["mapping.fc0"].put(**{f"m{i}": r["mapping.fc1"] for i in range(65)}), "damaged"),
        (lambda r: r["mapping.fc0"].put(again=r["mapping.fc0"]), "too deep"),
    ],
)
def test_another_network_is_refused_with_the_reason(edit: Any, reason: str, tmp_path: Path) -> None:
    assert reason in conversion_refusal(tmp_path, edited_pickle(edit))


def test_channels_that_follow_no_rule_are_refused(tmp_path: Path) -> None:
    def widen(root: PublishedModule) -> None:
        root["synthesis.b16.torgb"].state["weight_gain"] = 1 / 3
        tensor("synthesis.b16.torgb.weight", torch.ones(3, 9, 1, 1))(root)

    assert "do not follow min(channel_base / r, channel_max)" in conversion_refusal(tmp_path, edited_pickle(widen))


class SharedStorage:
    """One storage of zeros that many tensors use."""

    def __init__(self, count: int) -> None:
        self.reduced = torch.zeros(count)._typed_storage().__reduce__()

    def __reduce__(self) -> Any:
        return self.reduced


class View:
    """A tensor on a shared storage."""

    def __init__(self, storage: SharedStorage, like: torch.Tensor) -> None:
        self.args = (storage, 0, tuple(like.shape), like.stride(), False, OrderedDict())

    def __reduce__(self) -> Any:
        return torch._utils._rebuild_tensor_v2, self.args


def test_a_small_file_whose_tensors_all_share_one_storage_is_refused(tmp_path: Path) -> None:
    def share(root: PublishedModule) -> None:
        for name in [name for name in generator.state_dict() if name.endswith(".weight")]:
            module, _, leaf = name.rpartition(".")
            tensors = root[module].state["_parameters"]
            tensors[leaf] = View(storage, tensors[leaf])

    architecture = {**TINY, "channel_max": 64, "channel_base": 1024}
    generator, storage = random_generator(**architecture), SharedStorage(64 * 64 * 9)
    data = network_pickle(
        generator, edit=lambda networks: [share(networks["G_ema"]), networks.pop("G"), networks.pop("D")]
    )
    assert "far larger than the file" in conversion_refusal(tmp_path, data)


def test_tensorflow_networks_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with published_code():
        network = sys.modules["dnnlib.tflib.network"].Network()
        network.static_kwargs = {"resolution": 64}
        data = pickle.dumps((network, network, network))
    message = conversion_refusal(tmp_path, data)
    assert "TensorFlow" in message
    assert "legacy.py" in message


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"G": None, "D": 1}, "no 'G_ema' among its keys ('G', 'D')"),
        ({}, "(none)"),
        ({"G_ema": None}, "its G_ema is None"),
        ([1, 2], "a pickle of a list"),
        (torch.ones(3), "a pickle of a StoredTensor"),
    ],
)
def test_a_pickle_without_a_generator_is_refused(value: Any, reason: str, tmp_path: Path) -> None:
    assert reason in conversion_refusal(tmp_path, pickle.dumps(value))


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n", b"\x1f\x8b\x08\x00", b"<html>\n</html>", b"PK\x03\x04"]
)
def test_a_file_that_is_no_pickle_is_refused(data: bytes, tmp_path: Path) -> None:
    assert "pickle" in conversion_refusal(tmp_path, data)
