"""The ONNX form of a student agrees with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from small_recognizers import SMALL
from small_students import IRESNET, small_student, some_images
from syper_data.benchmarking.onnx_model import OnnxModel
from syper_data.errors import InputError
from syper_data.quantization.bits import BitsConfig
from syper_data.quantization.calibration import calibrate
from syper_data.quantization.onnx_export import export_onnx, onnx_model
from syper_data.quantization.student_file import write_student
from syper_data.recognition.config import BackboneConfig

pytest.importorskip("onnx", reason="onnx (the [quantize] extra) is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime (the [quantize] extra) is not installed")


def pixels_of(images: torch.Tensor) -> np.ndarray:
    return images.mul(127.5).add(127.5).round().to(torch.uint8).contiguous().numpy()


def run(model: bytes, pixels: np.ndarray) -> np.ndarray:
    """In a runtime that changes nothing of the graph."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(["vector"], {"image": pixels})[0]


@pytest.mark.parametrize("config", [SMALL, IRESNET], ids=["mobilefacenet", "iresnet18"])
@pytest.mark.parametrize("bits", [8, 4])
def test_it_gives_the_students_vectors(config: BackboneConfig, bits: int) -> None:
    student = small_student(BitsConfig(bits, bits), config)
    images = some_images(2, 112, seed=7)
    calibrate(student, [images])
    with torch.no_grad():
        wanted = F.normalize(student(images)).numpy()
    found = run(onnx_model(student).SerializeToString(), pixels_of(images))
    assert (found * wanted).sum(1).min() >= (
        0.999 if bits == 8 else 0.98
    )  # one code that falls otherwise shifts many
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_weights_are_whole_numbers_of_a_byte_and_the_file_says_what_it_is(tmp_path: Path) -> None:
    import onnx

    student = small_student(BitsConfig(4, 4))
    write_student(
        tmp_path / "student.syq",
        student,
        name="small",
        spectrum="nir",
        orientation="canonical",
        identities=[],
        teacher_sha256="a" * 64,
        data_sha256="b" * 64,
        summary={},
    )
    path = export_onnx(tmp_path / "student.syq", tmp_path / "student.onnx")
    model = onnx.load(path)
    codes = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.name.endswith(" codes")}
    weights = list(codes.values())
    assert all(v.dtype == np.int8 for v in weights)
    assert max(int(np.abs(v).max()) for v in weights[1:]) == 7
    assert path.stat().st_size < 1.3 * sum(v.size for v in weights)
    props = {p.key: p.value for p in model.metadata_props}
    assert props["name"] == "small"
    assert props["bits"] == "weights 4, activations 4, in 8-bit containers"


@pytest.mark.parametrize("people", [["c" * 64, "d" * 64], [], None])
def test_the_file_names_the_people_whom_the_student_knows(tmp_path: Path, people: list[str] | None) -> None:
    write_student(
        tmp_path / "student.syq",
        small_student(BitsConfig()),
        name="small",
        spectrum="nir",
        orientation="opposite",
        identities=people,
        teacher_sha256="a" * 64,
        data_sha256="b" * 64,
        summary={},
    )
    model = OnnxModel(export_onnx(tmp_path / "student.syq", tmp_path / "student.onnx"))
    assert (model.identities, model.identities_known) == ({p[:12] for p in people or ()}, people is not None)
    assert (model.says_orientation, model.spectrum) == (True, "nir")


def test_what_is_no_student_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        export_onnx(tmp_path / "none.syq", tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()
