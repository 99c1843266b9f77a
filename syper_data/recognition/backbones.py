"""The networks: IResNet-18/34/50/100 and MobileFaceNet.

IResNet is ArcFace's residual network (Deng et al., CVPR 2019, section 3.1: BN-Conv-BN-PReLU-Conv-BN
units after He et al.'s identity mappings, all four stages halve the map), MobileFaceNet is Chen et
al., CCBR 2018, table 1, with twice its first widths' expansion as published. Parameters are named
and shaped as in the published PyTorch checkpoints. Batch norms use eps 1e-5.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from syper_data.recognition.config import BackboneConfig

UNITS = {  # residual units of the four stages
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
}
WIDTHS = (64, 128, 256, 512)
EPS = 1e-5


class Backbone(nn.Sequential):
    """Images float32 [n, 3, s, s] in [-1, 1] (RGB, ``(x - 127.5) / 127.5``) -> vectors [n, d], not normalised.

    ``project(penultimate(images))`` is the whole network; dropout is the first thing in ``project``.
    """

    def __init__(self, config: BackboneConfig, layers: OrderedDict[str, nn.Module]) -> None:
        super().__init__(layers)
        self.config = config

    def forward(self, images: Tensor) -> Tensor:
        """[n, 3, s, s] -> [n, d]."""
        return self.project(self.penultimate(images))

    def penultimate(self, images: Tensor) -> Tensor:
        """[n, 3, s, s] -> what enters dropout and the last linear layer, [n, k]."""
        x = images
        for name, step in self._steps():
            if name == "dropout":
                break
            x = step(x)
        return x

    def project(self, values: Tensor) -> Tensor:
        """[n, k] -> [n, d]: dropout (in training mode), the linear layer, batch norm."""
        behind = False
        for name, step in self._steps():
            behind = behind or name == "dropout"
            if behind:
                values = step(values)
        return values

    def _steps(self) -> Iterator[tuple[str, nn.Module]]:
        for name, module in self.named_children():
            if name == "output_layer":
                yield from module.named_children()
            else:
                yield name, module


def build_backbone(config: BackboneConfig) -> Backbone:
    """The network, with fresh random weights, in training mode."""
    if config.kind == "mobilefacenet":
        return Backbone(config, _mobilefacenet(config))
    network = Backbone(config, _iresnet(config))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.1)
    network.get_parameter("features.weight").requires_grad_(False)  # stays 1: margin heads rescale
    return network


class ResidualUnit(nn.Module):
    """BN-Conv-BN-PReLU-Conv-BN beside the identity; the second convolution carries the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs, EPS)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, EPS)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, EPS)
        self.downsample: nn.Module | None = None
        if stride > 1:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs, EPS))

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> [n, c', h / stride, w / stride]."""
        y = self.conv1(self.bn1(x))
        y = self.bn3(self.conv2(self.prelu(self.bn2(y))))
        shortcut: Tensor = x if self.downsample is None else self.downsample(x)
        total: Tensor = y + shortcut
        return total


def _iresnet(config: BackboneConfig) -> OrderedDict[str, nn.Module]:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False),
        bn1=nn.BatchNorm2d(WIDTHS[0], EPS),
        prelu=nn.PReLU(WIDTHS[0]),
    )
    inputs = WIDTHS[0]
    for stage, (width, units) in enumerate(zip(WIDTHS, UNITS[config.kind], strict=True), 1):
        first = ResidualUnit(inputs, width, 2)
        layers[f"layer{stage}"] = nn.Sequential(first, *(ResidualUnit(width, width, 1) for _ in range(units - 1)))
        inputs = width
    layers["bn2"] = nn.BatchNorm2d(inputs, EPS)
    positions = config.map_size**2
    if config.head == "pooling":
        layers["pool"], positions = nn.AdaptiveAvgPool2d(1), 1
    layers["flatten"] = nn.Flatten()
    layers["dropout"] = nn.Dropout(config.dropout)
    layers["fc"] = nn.Linear(inputs * positions, config.embedding_dim)
    layers["features"] = nn.BatchNorm1d(config.embedding_dim, EPS)
    return layers


class Bottleneck(nn.Sequential):
    """Expand (1x1), filter each channel (3x3), project (1x1, linear); MobileNetV2's with PReLU."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int) -> None:
        super().__init__(
            OrderedDict(
                conv=_block(inputs, inner, 1),
                conv_dw=_block(inner, inner, 3, stride, groups=inner),
                project=_block(inner, outputs, 1, linear=True),
            )
        )


class ResidualBottleneck(Bottleneck):
    """The same beside the identity."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__(width, inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> the same shape."""
        y = x
        for step in self:
            y = step(y)
        return x + y


def _block(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    linear: bool = False,
    padding: int | None = None,
) -> nn.Sequential:
    """Convolution, batch norm and, unless ``linear``, PReLU; padded by default to keep the size."""
    padding = kernel // 2 if padding is None else padding
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        bn=nn.BatchNorm2d(outputs, EPS),
    )
    if not linear:
        layers["prelu"] = nn.PReLU(outputs)
    return nn.Sequential(layers)


def _mobilefacenet(config: BackboneConfig) -> OrderedDict[str, nn.Module]:
    def repeated(width: int, inner: int, count: int) -> nn.Sequential:
        blocks = nn.Sequential(*(ResidualBottleneck(width, inner) for _ in range(count)))
        return nn.Sequential(OrderedDict(model=blocks))

    out: OrderedDict[str, nn.Module] = OrderedDict()
    if config.head == "flatten":  # global depthwise convolution: every position has its own weight
        out["conv_6_dw"] = _block(512, 512, config.map_size, groups=512, linear=True, padding=0)
    else:
        out["pool"] = nn.AdaptiveAvgPool2d(1)
    out["flatten"] = nn.Flatten()
    out["dropout"] = nn.Dropout(config.dropout)
    out["linear"] = nn.Linear(512, config.embedding_dim, bias=False)
    out["bn"] = nn.BatchNorm1d(config.embedding_dim, EPS)
    return OrderedDict(
        conv1=_block(3, 64, 3, 2),
        conv2_dw=_block(64, 64, 3, groups=64),
        conv_23=Bottleneck(64, 128, 64, 2),
        conv_3=repeated(64, 128, 4),
        conv_34=Bottleneck(64, 256, 128, 2),
        conv_4=repeated(128, 256, 6),
        conv_45=Bottleneck(128, 512, 128, 2),
        conv_5=repeated(128, 256, 2),
        conv_6_sep=_block(128, 512, 1),
        output_layer=nn.Sequential(out),
    )


def expected_state(config: BackboneConfig) -> dict[str, Tensor]:
    """Names, shapes and types of the network's state, without memory for the values."""
    with torch.device("meta"):
        return build_backbone(config).state_dict()
