"""The networks: published names and shapes, published formulation, independence of the batch."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from small_generators import REPOSITORY
from small_recognizers import random_backbone
from syper_data.errors import ConfigError
from syper_data.recognition.backbones import expected_state
from syper_data.recognition.config import KINDS, BackboneConfig

CONTRACT = REPOSITORY.parent / "shared" / "data" / "contracts" / "backbone_state_dicts.json"
EPS = 1e-5


@pytest.mark.skipif(not CONTRACT.exists(), reason="../shared/data/contracts is not here")
@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ("syper_iresnet18_224", "iresnet18"),
        ("syper_iresnet50_224", "iresnet50"),
        ("syper_mobilefacenet_224", "mobilefacenet"),
    ],
)
def test_names_shapes_and_order_are_those_of_the_published_checkpoints(entry: str, kind: str) -> None:
    published = json.loads(CONTRACT.read_text())[entry]
    ours = {n: list(t.shape) for n, t in expected_state(BackboneConfig(kind, 224)).items()}
    assert list(ours) == list(published)
    assert ours == published


@pytest.mark.parametrize(
    ("kind", "size", "name", "shape"),
    [
        ("iresnet34", 112, "fc.weight", (512, 512 * 49)),
        ("iresnet100", 128, "fc.weight", (512, 512 * 64)),
        ("mobilefacenet", 112, "output_layer.conv_6_dw.conv.weight", (512, 1, 7, 7)),
        ("mobilefacenet", 128, "output_layer.conv_6_dw.conv.weight", (512, 1, 8, 8)),
    ],
)
def test_other_input_sizes_change_the_head_alone(kind: str, size: int, name: str, shape: tuple[int, ...]) -> None:
    here, there = expected_state(BackboneConfig(kind, size)), expected_state(BackboneConfig(kind, 224))
    assert tuple(here[name].shape) == shape
    assert [n for n in there if here[n].shape != there[n].shape] == [name]


@pytest.mark.parametrize(("kind", "units"), [("iresnet34", [3, 4, 6, 3]), ("iresnet100", [3, 13, 30, 3])])
def test_stages_have_the_published_number_of_units(kind: str, units: list[int]) -> None:
    names = expected_state(BackboneConfig(kind))
    assert [sum(f"layer{s}.{u}.conv1.weight" in names for u in range(40)) for s in (1, 2, 3, 4)] == units


def norm(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    """Batch norm in evaluation, written out."""
    shape = (1, -1) + (1,) * (x.dim() - 2)
    scale = w[f"{name}.weight"] / torch.sqrt(w[f"{name}.running_var"] + EPS)
    return (x - w[f"{name}.running_mean"].view(shape)) * scale.view(shape) + w[f"{name}.bias"].view(shape)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x > 0, x, x * slope.view(1, -1, 1, 1))


def reference_iresnet(w: dict[str, Tensor], units: tuple[int, ...], x: Tensor, head: str) -> Tensor:
    """ArcFace's network, from its paper: units of BN-Conv-BN-PReLU-Conv-BN."""
    x = prelu(norm(F.conv2d(x, w["conv1.weight"], padding=1), w, "bn1"), w["prelu.weight"])
    for stage, count in enumerate(units, 1):
        for unit in range(count):
            p, stride = f"layer{stage}.{unit}", 2 if unit == 0 else 1
            y = F.conv2d(norm(x, w, f"{p}.bn1"), w[f"{p}.conv1.weight"], padding=1)
            y = prelu(norm(y, w, f"{p}.bn2"), w[f"{p}.prelu.weight"])
            y = norm(F.conv2d(y, w[f"{p}.conv2.weight"], stride=stride, padding=1), w, f"{p}.bn3")
            if stride == 2:
                x = norm(F.conv2d(x, w[f"{p}.downsample.0.weight"], stride=2), w, f"{p}.downsample.1")
            x = x + y
    x = norm(x, w, "bn2")
    flat = x.mean((2, 3)) if head == "pooling" else x.reshape(len(x), -1)
    return norm(flat @ w["fc.weight"].T + w["fc.bias"], w, "features")


def reference_mobilefacenet(w: dict[str, Tensor], x: Tensor, head: str) -> Tensor:
    """MobileFaceNets, table 1: bottlenecks with the shortcut where stride is 1 and widths are equal."""

    def block(x: Tensor, p: str, linear: bool = False, **how: Any) -> Tensor:
        y = norm(F.conv2d(x, w[f"{p}.conv.weight"], **how), w, f"{p}.bn")
        return y if linear else prelu(y, w[f"{p}.prelu.weight"])

    def bottleneck(x: Tensor, p: str, stride: int) -> Tensor:
        y = block(x, f"{p}.conv")
        y = block(y, f"{p}.conv_dw", stride=stride, padding=1, groups=y.shape[1])
        return block(y, f"{p}.project", linear=True)

    x = block(x, "conv1", stride=2, padding=1)
    x = block(x, "conv2_dw", padding=1, groups=64)
    for down, stage, count in (("conv_23", "conv_3", 4), ("conv_34", "conv_4", 6), ("conv_45", "conv_5", 2)):
        x = bottleneck(x, down, 2)
        for i in range(count):
            x = x + bottleneck(x, f"{stage}.model.{i}", 1)
    x = block(x, "conv_6_sep")
    x = x.mean((2, 3)) if head == "pooling" else block(x, "output_layer.conv_6_dw", True, groups=512).flatten(1)
    return norm(x @ w["output_layer.linear.weight"].T, w, "output_layer.bn")


@pytest.mark.parametrize("head", ["flatten", "pooling"])
@pytest.mark.parametrize("kind", ["iresnet18", "mobilefacenet"])
def test_the_forward_pass_is_that_of_the_papers(kind: str, head: str) -> None:
    network = random_backbone(BackboneConfig(kind, 112, 128, head, dropout=0.4))
    x = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * 2 - 1
    w = network.state_dict()
    expected = (
        reference_mobilefacenet(w, x, head)
        if kind == "mobilefacenet"
        else reference_iresnet(w, (2, 2, 2, 2), x, head)
    )
    found = network(x)
    assert found.dtype == torch.float32
    assert found.shape == (2, 128)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_a_pooling_head_takes_a_fifth_of_the_parameters_of_a_flattening_one() -> None:
    count = {
        head: sum(t.numel() for t in expected_state(BackboneConfig("iresnet18", 224, head=head)).values())
        for head in ("flatten", "pooling")
    }
    assert 0.15 < count["pooling"] / count["flatten"] < 0.2


def test_in_evaluation_an_image_alone_gives_what_it_gives_among_others() -> None:
    network = random_backbone(BackboneConfig("mobilefacenet", 112, 128))
    x = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(2)) * 2 - 1
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["iresnet18", "mobilefacenet"])
def test_dropout_sits_before_the_last_layer_and_acts_in_training_alone(kind: str) -> None:
    network = random_backbone(BackboneConfig(kind, 112, 128, "pooling", dropout=0.5))
    x = torch.rand(2, 3, 112, 112) * 2 - 1
    values = network.penultimate(x)
    assert values.shape == (2, 512)
    assert torch.equal(network.project(values), network(x))
    network.get_submodule("dropout" if kind == "iresnet18" else "output_layer.dropout").train()
    assert not torch.equal(network.project(values), network.project(values))
    assert torch.equal(network.penultimate(x), values)


@pytest.mark.parametrize("kind", KINDS)
def test_a_configuration_survives_its_dictionary(kind: str) -> None:
    config = BackboneConfig(kind, 128, 128, "pooling", 0.25)
    assert BackboneConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"kind": "resnet18"}, "kind is 'resnet18': must be mobilefacenet, iresnet18"),
        ({"kind": ["iresnet18"]}, "kind is"),
        ({"kind": "iresnet18", "input_size": 160}, "input_size is 160: must be 112, 128 or 224"),
        ({"kind": "iresnet18", "input_size": "112"}, "input_size is '112'"),
        ({"kind": "iresnet18", "embedding_dim": 64}, "embedding_dim is 64: must be 128 or 512"),
        ({"kind": "iresnet18", "head": "gap"}, "head is 'gap': must be flatten or pooling"),
        ({"kind": "iresnet18", "dropout": 1.0}, "dropout is 1.0"),
        ({"kind": "iresnet18", "dropout": float("nan")}, "dropout is nan"),
        ({"kind": "iresnet18", "width": 2}, "unknown backbone field 'width'"),
        ({"input_size": 112}, "names no kind"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_choices(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        BackboneConfig.from_dict(values)
