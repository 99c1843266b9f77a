"""CenterFace's convolutional network, read from its ONNX file into plain torch functions.

The file uses six operators, so running it needs no runtime beside torch: OpenCV's would bring back
the desktop libraries (docs/decisions/0007), OpenVINO's Python package reports every import over
the network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from syper_data.errors import InputError

Step = tuple[Callable[..., Tensor], tuple[str, ...], str]


class OnnxNetwork:
    """The network: images float32 [n, 3, h, w] in, its outputs in the file's order."""

    def __init__(self, path: Path) -> None:
        """Read the file's weights and graph.

        Raises:
            InputError: not an ONNX file, or it uses an operator beside the six.
        """
        import onnx

        try:
            graph = onnx.load(str(path)).graph
        except Exception as error:  # the protobuf parser's own types
            raise InputError(f"{path}: not a readable ONNX file") from error
        weights = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in graph.initializer}
        self._input = next(i.name for i in graph.input if i.name not in weights)
        self._outputs = [o.name for o in graph.output]
        self._steps: list[Step] = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            function = _OPERATORS.get(node.op_type)
            if function is None:
                raise InputError(f"{path}: operator {node.op_type!r} is not one that the detector has")
            constants = [weights[n] for n in node.input if n in weights]
            inputs = tuple(n for n in node.input if n not in weights)
            self._steps.append((function(constants, attributes), inputs, node.output[0]))
        self._uses = Counter(n for _, inputs, _ in self._steps for n in inputs)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> list[Tensor]:
        values = {self._input: images.contiguous(memory_format=torch.channels_last)}
        left = dict(self._uses)
        for function, inputs, output in self._steps:
            values[output] = function(*(values[n] for n in inputs))
            for name in inputs:  # a map is dropped after its last use
                left[name] -= 1
                if not left[name]:
                    del values[name]
        return [values[name] for name in self._outputs]


def _convolution(weights: list[Tensor], attributes: dict[str, Any]) -> Callable[..., Tensor]:
    kernel = weights[0].contiguous(memory_format=torch.channels_last)
    bias = weights[1] if len(weights) > 1 else None
    stride, padding, groups = attributes["strides"], attributes["pads"][:2], attributes["group"]
    return lambda x: functional.conv2d(x, kernel, bias, stride, padding, 1, groups)


def _transposed(weights: list[Tensor], attributes: dict[str, Any]) -> Callable[..., Tensor]:
    bias = weights[1] if len(weights) > 1 else None
    stride, padding, groups = attributes["strides"], attributes["pads"][:2], attributes["group"]
    return lambda x: functional.conv_transpose2d(x, weights[0], bias, stride, padding, 0, groups)


def _normalisation(weights: list[Tensor], attributes: dict[str, Any]) -> Callable[..., Tensor]:
    gain, bias, mean, variance = weights
    scale = (gain / torch.sqrt(variance + attributes["epsilon"]))[:, None, None]
    shift = bias[:, None, None] - mean[:, None, None] * scale
    return lambda x: x * scale + shift


_OPERATORS: dict[str, Callable[[list[Tensor], dict[str, Any]], Callable[..., Tensor]]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "BatchNormalization": _normalisation,
    "Relu": lambda weights, attributes: torch.relu,
    "Sigmoid": lambda weights, attributes: torch.sigmoid,
    "Add": lambda weights, attributes: torch.add,
}
