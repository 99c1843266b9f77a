"""The network that is trained to copy a teacher at few bits: the teacher's folded graph, rounded."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from syper_data.errors import ConfigError
from syper_data.quantization.bits import BitsConfig
from syper_data.quantization.graph import IMAGE, LAYERS, Node, consumers, layer_bits, trace, with_rounding
from syper_data.quantization.layers import ActivationRange, Affine, Layer, Slopes
from syper_data.recognition.backbones import Backbone
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.folding import fold_batch_norms

IMAGE_STEP, IMAGE_ZERO = 1 / 127.5, 128  # of the image's codes, the 256 levels of its pixels
_KINDS = {"convolution": Layer, "linear": Layer, "prelu": Slopes, "affine": Affine}


class Student(nn.Module):
    """Images float32 [n, 3, s, s] in [-1, 1] -> vectors [n, d], not normalised, as :class:`Backbone` does.

    Every convolution and linear layer multiplies whole numbers: pixels minus 128 in the first one, codes
    of activations elsewhere, with codes of weights. (In training and here they are float32 numbers on those
    levels.) Batch norms are folded first, with the statistics of the teacher; those in front of a
    convolution that pads stay, as scales and shifts.

    ``rounded``: False makes the teacher's very graph, without any rounding. Set to False later it leaves the
    image's levels: codes have a level at 0, where convolutions pad, and so lie half a level off the pixels.

    Raises:
        ConfigError: a pattern of ``bits.other`` matches no layer.
    """

    def __init__(self, backbone: Backbone, bits: BitsConfig, *, rounded: bool = True) -> None:
        super().__init__()
        folded = fold_batch_norms(backbone)
        plain = trace(folded)
        self.config: BackboneConfig = backbone.config
        self.places = bits  # what decided where values are rounded; later bits only say how finely
        self.nodes, widths = with_rounding(plain, bits)
        self.readers = consumers(self.nodes)
        self.parts = nn.ModuleDict()
        for node in plain:
            if node.operation in _KINDS:
                self.parts[_key(node.name)] = _KINDS[node.operation](folded.get_submodule(node.name))
        for name, width in widths.items():
            self.parts[_key(name)] = ActivationRange(width)
        self._last_use = {v: node.name for node in self.nodes for v in node.inputs}
        self.observing = False  # whether ranges of activations follow what passes
        self._levelled = rounded
        self.rounded = rounded
        if rounded:
            with torch.no_grad():
                first = next(layer for _, layer in self.layers())
                first.bias.add_(first.weight.flatten(1).sum(1) * (IMAGE_STEP / 2))
        self.set_bits(bits)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def rounded(self) -> bool:
        """Whether values are rounded."""
        return self._rounded

    @rounded.setter
    def rounded(self, value: bool) -> None:
        self._rounded = value
        for part in self.parts.values():
            if isinstance(part, Layer | Slopes | Affine):
                part.plain = not value

    def set_bits(self, bits: BitsConfig, *, fit: bool = True) -> None:
        """Round to other widths from now on. Ranges of activations stay, those of weights are fitted again
        unless ``fit`` is false."""
        names = [name for name, _ in self.layers()]
        for other in bits.other:
            if not any(fnmatchcase(name, other.layers) for name in names):
                blocks = dict.fromkeys(name.partition(".")[0] for name in names)
                listed = f"in {', '.join(blocks)}; the first and the last are {names[0]} and {names[-1]}"
                raise ConfigError(f"no layer is called {other.layers}; they are {listed}")
        self.bits = bits
        wanted = layer_bits(self.nodes, bits)
        for node in self.nodes:
            if node.operation in LAYERS:
                layer = self.layer(node.name)
                layer.bits = wanted[node.name][0]
                if fit and not layer.weight.is_meta:
                    layer.fit_range()
                if node.inputs[0] != IMAGE:
                    self.range(node.inputs[0]).bits = wanted[node.name][1]
        for name, part in self.ranges():
            if name.endswith(":stream"):
                part.bits = bits.stream

    def settle(self) -> Student:
        """Make it ready to embed and not to be trained: weights rounded for good, no gradients. Returns itself."""
        for _, layer in self.layers():
            layer.settle()
        return self.eval().requires_grad_(False)

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """Convolutions and linear layers, in the order of computation."""
        for node in self.nodes:
            if node.operation in LAYERS:
                yield node.name, self.layer(node.name)

    def ranges(self) -> Iterator[tuple[str, ActivationRange]]:
        """Ranges of activations, in the order of computation."""
        for node in self.nodes:
            if node.operation == "round":
                yield node.name, self.range(node.name)

    def range_parameters(self) -> Iterator[nn.Parameter]:
        """What says where levels lie, of weights and of activations."""
        for _, layer in self.layers():
            yield layer.log_range
        for _, part in self.ranges():
            yield from (part.log_range, part.zero)

    def layer(self, name: str) -> Layer:
        """The convolution or linear layer of this name."""
        part = self.parts[_key(name)]
        assert isinstance(part, Layer)
        return part

    def range(self, name: str) -> ActivationRange:
        """The activation range of this name."""
        part = self.parts[_key(name)]
        assert isinstance(part, ActivationRange)
        return part

    def part(self, name: str) -> nn.Module:
        """Whatever holds the numbers of a node."""
        return self.parts[_key(name)]

    def forward(self, images: Tensor) -> Tensor:
        """[n, 3, s, s] -> [n, d]."""
        return self.run(images, ())[self.nodes[-1].name]

    def run(self, images: Tensor, keep: Collection[str]) -> dict[str, Tensor]:
        """The values of the nodes named in ``keep``, and of the last one."""
        values = {IMAGE: self._image(images) if self._levelled else images}
        last = self.nodes[-1].name
        for node in self.nodes:
            inputs = [values[name] for name in node.inputs]
            values[node.name] = self._value(node, inputs)
            for name in node.inputs:
                if self._last_use[name] == node.name and name not in keep:
                    values.pop(name, None)
        return {name: values[name] for name in (*keep, last)}

    def _value(self, node: Node, inputs: list[Tensor]) -> Tensor:
        x = inputs[0]
        if node.operation == "add":
            return x + inputs[1]
        if node.operation == "flatten":
            return x.flatten(1)
        if node.operation == "pool":
            return x.mean((2, 3), keepdim=True)
        part = self.part(node.name)
        if node.operation == "round":
            if not self.rounded:
                return x
            before = self._prelu_before(node)
            if self.observing:
                self.range(node.name).observe(x if before is None else before(x))
            result: Tensor = part(x) if before is None else part(x, before.slopes())
            return result
        if self.rounded and self._is_fused(node):
            return x  # the rounding that follows does it
        value: Tensor = part(x)
        return value

    def _is_fused(self, node: Node) -> bool:
        readers = self.readers.get(node.name, [])
        return node.operation == "prelu" and len(readers) == 1 and readers[0].operation == "round"

    def _prelu_before(self, node: Node) -> Slopes | None:
        key = _key(node.inputs[0])
        part = self.parts[key] if key in self.parts else None  # noqa: SIM401 (no dict)
        return part if isinstance(part, Slopes) else None

    @staticmethod
    def _image(images: Tensor) -> Tensor:
        """[-1, 1] -> (pixel - 128) / 127.5, whole pixels."""
        return images.mul(127.5).add_(127.5).round_().sub_(IMAGE_ZERO).mul_(IMAGE_STEP)


def _key(name: str) -> str:
    return name.replace(".", "/")
