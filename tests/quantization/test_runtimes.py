"""OpenVINO computes a student in bytes, and gives its vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from small_recognizers import SMALL
from small_students import IRESNET, small_student, some_images
from syper_data.quantization.bits import BitsConfig
from syper_data.quantization.calibration import calibrate
from syper_data.quantization.onnx_export import onnx_model
from syper_data.quantization.runtimes import compile_openvino, import_openvino, open_runtime
from syper_data.quantization.student import Student
from syper_data.recognition.config import BackboneConfig

pytest.importorskip("onnx", reason="onnx (the [quantize] extra) is not installed")


@pytest.fixture(scope="module", params=[SMALL, IRESNET], ids=["mobilefacenet", "iresnet18"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Student, Path]:
    """A student of 8 bits, and its ONNX file."""
    pytest.importorskip("openvino", reason="openvino (the [quantize] extra) is not installed")
    config: BackboneConfig = request.param
    student = small_student(BitsConfig(), config)
    calibrate(student, [some_images(2, 112, seed=7)])
    path = tmp_path_factory.mktemp("openvino") / "student.onnx"
    path.write_bytes(onnx_model(student).SerializeToString())
    return student, path


def test_openvino_gives_the_students_vectors_for_batches_of_any_size(made: tuple[Student, Path]) -> None:
    student, path = made
    images = some_images(3, 112, seed=8)
    with torch.no_grad():
        wanted = F.normalize(student(images)).numpy()
    pixels = images.mul(127.5).add(127.5).round().to(torch.uint8).contiguous().numpy()
    embed = open_runtime("openvino", path, 1)
    for chosen in (slice(0, 2), slice(2, 3), slice(1, 3)):
        found = embed(pixels[chosen])
        assert found.shape == wanted[chosen].shape
        assert (found * wanted[chosen]).sum(1).min() >= 0.999
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)


def test_every_layer_multiplies_bytes_and_one_pass_lies_between_two(made: tuple[Student, Path]) -> None:
    """Rounding and PReLU are part of a convolution, a residual sum and its scale at most one operation more."""
    student, path = made
    graph = import_openvino().Core().read_model(str(path))
    side = student.config.input_size
    steps = compile_openvino(graph, (2, 3, side, side), 1).get_runtime_model().get_ordered_ops()
    layers = [s for s in steps if _says(s, "layerType") in ("Convolution", "GroupConvolution", "FullyConnected")]
    assert len(layers) == len(list(student.layers()))
    assert {_says(s, "runtimePrecision") for s in layers} == {"u8"}
    maps = [s for s in steps if len(s.outputs()) and list(s.get_output_shape(0))[:1] == [2]]
    extra = [_says(s, "layerType") for s in maps if s not in layers]
    sums = sum(node.operation == "add" for node in student.nodes)
    assert len(extra) <= sums + 12, extra  # around: the image, the first unit, the last scale, pooling, the vector


def _says(step: Any, key: str) -> str:
    info = step.get_rt_info()
    return str(info[key].astype(str)) if key in info else ""
