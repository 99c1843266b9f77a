"""A student's bytes in OpenVINO against float32 PyTorch: which way of running them is the fastest?

``python benchmarks/integer_runtime.py [STUDENT [BATCH [THREADS [ROUNDS]]]]`` (mobilefacenet, 8, all cores, 10).
STUDENT is a student file, or mobilefacenet or iresnet18: random weights at 8 bits, 112 px, pooling head. In turns,
each rested and warmed up before, medians of wall time and of processor time; the ratios of the second hold on
shared cores, too, and for one thread only (a waiting thread costs processor time). The contestants:

- *torch*: the student without rounding, as ``bench-model`` runs it
- *any batch*: the ONNX graph as it is, its batch open
- *fixed batch*: the product
- *a stream a thread*: the batch in equal parts, each computed by one thread from end to end (several threads)
- *levels from 0*: the product with all zero points at 0. Its vectors are wrong, it shows what zero points cost
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.quantization.bench_model import multiply_accumulates
from syper_data.quantization.onnx_export import onnx_model
from syper_data.quantization.runtimes import OPENVINO, TORCH, Pixels, import_openvino, open_runtime
from syper_data.quantization.student import Student
from syper_data.quantization.student_file import read_student, write_student
from timing import cpu_count, machine

REST = 0.2  # seconds


def random_student(kind: str, path: Path) -> None:
    """A student file with random weights, calibrated on noise."""
    import torch

    from small_recognizers import random_backbone  # beside the tests; timing knows where
    from syper_data.quantization.bits import BitsConfig
    from syper_data.quantization.calibration import calibrate
    from syper_data.recognition.config import BackboneConfig

    student = Student(random_backbone(BackboneConfig(kind, 112, 128, "pooling")), BitsConfig())
    calibrate(student, [torch.rand(2, 3, 112, 112) * 2 - 1])
    about: dict[str, Any] = {"spectrum": None, "orientation": "canonical", "identities": None, "summary": {}}
    write_student(path, student, name=kind, teacher_sha256="a" * 64, data_sha256="b" * 64, **about)


def from_zero(model: Any) -> Any:
    """The graph with every activation's zero point 0."""
    from onnx import numpy_helper

    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name.endswith(" zero") and values.dtype == np.uint8:
            tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(values), tensor.name))
    return model


def any_batch(file: Path, pixels: Pixels, threads: int) -> Callable[[], object]:
    openvino = import_openvino()
    compiled = openvino.Core().compile_model(
        str(file), "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    )
    return lambda: compiled([pixels])


def streams(file: Path, pixels: Pixels, threads: int) -> Callable[[], object]:
    openvino = import_openvino()
    graph = openvino.Core().read_model(str(file))
    parts = np.split(pixels, threads)
    graph.reshape(list(parts[0].shape))
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads}
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    requests = [compiled.create_infer_request() for _ in parts]

    def run() -> None:
        for request, part in zip(requests, parts, strict=True):
            request.start_async([part])
        for request in requests:
            request.wait()

    return run


def measure(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds of each, by the clock and of the processor."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            time.sleep(REST)
            run()
            start, used = time.perf_counter(), time.process_time()
            run()
            seconds[name].append((time.perf_counter() - start, time.process_time() - used))
    return {
        name: (statistics.median(v[0] for v in values), statistics.median(v[1] for v in values))
        for name, values in seconds.items()
    }


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "mobilefacenet"
    batch, threads, rounds = (
        int(sys.argv[i]) if len(sys.argv) > i else value for i, value in ((2, 8), (3, cpu_count()), (4, 10))
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(what)
        if what in ("mobilefacenet", "iresnet18"):
            file = Path(folder) / "student.syq"
            random_student(what, file)
        student = read_student(file).network
        graph, shifted = Path(folder) / "student.onnx", Path(folder) / "from-zero.onnx"
        graph.write_bytes(onnx_model(student).SerializeToString())
        shifted.write_bytes(from_zero(onnx_model(student)).SerializeToString())
        side = student.config.input_size
        pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side), dtype=np.uint8)
        opened = {
            "torch": open_runtime(TORCH, file, threads),
            "fixed batch": open_runtime(OPENVINO, graph, threads),
            "levels from 0": open_runtime(OPENVINO, shifted, threads),
        }
        contestants: dict[str, Callable[[], object]] = {
            name: lambda embed=embed: embed(pixels)  # type: ignore[misc]
            for name, embed in opened.items()
        }
        contestants["any batch"] = any_batch(graph, pixels, threads)
        if threads > 1 and batch % threads == 0:
            contestants["a stream a thread"] = streams(graph, pixels, threads)
        found = measure(contestants, rounds)
    print(machine())
    print(
        f"{what}, {side} px, batch {batch}, {threads} threads, {multiply_accumulates(student):,} products an image"
    )
    wall, used = found["torch"]
    for name, (mine, own) in sorted(found.items(), key=lambda item: -item[1][0]):
        print(
            f"{name:18} {batch / mine:7.1f} img/s, {wall / mine:.2f} x torch; in processor time {used / own:.2f} x"
        )


if __name__ == "__main__":
    main()
