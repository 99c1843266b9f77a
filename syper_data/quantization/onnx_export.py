"""``export_onnx``: a student as an ONNX graph in QDQ form, which integer runtimes turn into 8-bit arithmetic.

Weights are int8 with a scale a row, activations uint8 with a scale and a zero point a tensor (ONNX operators
QuantizeLinear and DequantizeLinear). Codes of fewer than 8 bits lie in the same 8-bit containers, activations
clipped to their levels: the file computes the same numbers, and is no smaller or faster than one of 8 bits. Biases
stay float32: as whole numbers of both scales' product, which some runtimes want, they shift codes (decision 20).
The input ``image`` is uint8 [n, 3, s, s], the pixels themselves; the output ``vector`` float32 [n, d] of length 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from syper_data.dataset.atomic import write_atomically
from syper_data.errors import MissingExtraError, install_command
from syper_data.quantization.graph import IMAGE, Node
from syper_data.quantization.layers import Affine, Layer, Slopes
from syper_data.quantization.rounding import weight_codes
from syper_data.quantization.student import IMAGE_STEP, IMAGE_ZERO, Student
from syper_data.quantization.student_file import StudentFile, read_student

OPSET = 17


def export_onnx(student: str | Path, out: str | Path) -> Path:
    """Write the ONNX form of a student file; returns ``out``.

    Raises:
        InputError: no readable student file.
        MissingExtraError: the package onnx is not installed.
        OutputError: ``out`` can't be written.
    """
    file = read_student(student)
    model = onnx_model(file.network, _metadata(file))
    write_atomically(Path(out), model.SerializeToString())
    return Path(out)


def onnx_model(student: Student, metadata: dict[str, str] | None = None) -> Any:
    """The ``onnx.ModelProto`` of a student."""
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise MissingExtraError(f"writing ONNX needs the package onnx: {install_command('quantize')}") from error
    writer = _Writer(onnx)
    for node in student.nodes:
        writer.add(node, student)
    last = student.nodes[-1].name
    writer.node("ReduceL2", [last], "length", axes=[1], keepdims=1)
    writer.node("Div", [last, "length"], "vector")
    size, dim = student.config.input_size, student.config.embedding_dim
    graph = helper.make_graph(
        writer.nodes,
        "student",
        [helper.make_tensor_value_info(IMAGE, onnx.TensorProto.UINT8, ["n", 3, size, size])],
        [helper.make_tensor_value_info("vector", onnx.TensorProto.FLOAT, ["n", dim])],
        writer.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="syper-data")
    model.ir_version = 9
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model)
    return model


class _Writer:
    """Nodes and constants of a graph; the value of a student's node has the node's name."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._image()

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(self._onnx.helper.make_node(operator, inputs, [output], name=output, **attributes))

    def constant(self, name: str, values: Any) -> str:
        self.constants.append(self._onnx.numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, node: Node, student: Student) -> None:
        inputs = [f"{name} levels" if name == IMAGE else name for name in node.inputs]
        if node.operation == "add":
            self.node("Add", inputs, node.name)
        elif node.operation == "flatten":
            self.node("Flatten", inputs, node.name, axis=1)
        elif node.operation == "pool":
            self.node("GlobalAveragePool", inputs, node.name)
        elif node.operation == "round":
            self._round(node, student)
        else:
            part = student.part(node.name)
            if isinstance(part, Layer):
                self._layer(node.name, inputs[0], part)
            elif isinstance(part, Slopes):
                slopes = part.slopes().detach().numpy().reshape(-1, 1, 1)
                self.node("PRelu", [inputs[0], self.constant(f"{node.name} slopes", slopes)], node.name)
            elif isinstance(part, Affine):
                scale, shift = (
                    p.detach().half().float().numpy().reshape(-1, 1, 1) for p in (part.weight, part.bias)
                )
                self.node("Mul", [inputs[0], self.constant(f"{node.name} scale", scale)], f"{node.name} scaled")
                self.node("Add", [f"{node.name} scaled", self.constant(f"{node.name} shift", shift)], node.name)

    def _image(self) -> None:
        scale = self.constant(f"{IMAGE} scale", np.float32(IMAGE_STEP))
        zero = self.constant(f"{IMAGE} zero", np.uint8(IMAGE_ZERO))
        self.node("DequantizeLinear", [IMAGE, scale, zero], f"{IMAGE} levels")

    def _round(self, node: Node, student: Student) -> None:
        part, x = student.range(node.name), node.inputs[0]
        step, zero = part.step_and_zero()
        if part.bits < 8:
            low = self.constant(f"{node.name} low", np.float32(-zero * step))
            high = self.constant(f"{node.name} high", np.float32((part.levels - zero) * step))
            self.node("Clip", [x, low, high], f"{node.name} clipped")
            x = f"{node.name} clipped"
        scale = self.constant(f"{node.name} scale", np.float32(step))
        level = self.constant(f"{node.name} zero", np.uint8(zero))
        self.node("QuantizeLinear", [x, scale, level], f"{node.name} codes")
        self.node("DequantizeLinear", [f"{node.name} codes", scale, level], node.name)

    def _layer(self, name: str, x: str, layer: Layer) -> None:
        codes = weight_codes(layer.weight, layer.log_range, layer.bits).contiguous().to(torch.int8).numpy()
        steps = layer.steps().numpy()
        scale = self.constant(f"{name} scale", steps)
        zeros = self.constant(f"{name} zero", np.zeros(len(steps), np.int8))
        weights = self.constant(f"{name} codes", codes)
        self.node("DequantizeLinear", [weights, scale, zeros], f"{name} weights", axis=0)
        bias = self.constant(f"{name} bias", layer.bias.detach().half().float().numpy())
        inputs = [x, f"{name} weights", bias]
        if layer.convolution is None:
            self.node("Gemm", inputs, name, transB=1)
        else:
            stride, padding, groups = layer.convolution
            size = list(layer.weight.shape[2:])
            self.node(
                "Conv", inputs, name, kernel_shape=size, strides=stride, pads=[*padding, *padding], group=groups
            )


def _metadata(file: StudentFile) -> dict[str, str]:
    return {
        "name": file.name,
        "student_sha256": file.sha256,
        "teacher_sha256": file.teacher_sha256,
        "orientation": file.orientation,
        "spectrum": file.spectrum or "",
        "identities": json.dumps(sorted(file.identities) if file.identities_known else None),
        "bits": f"weights {file.bits.weights}, activations {file.bits.activations}, in 8-bit containers",
    }
