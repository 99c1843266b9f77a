"""A student in one of the runtimes that can compute it: uint8 images in, vectors of length 1 out.

``python -m syper_data.quantization.runtimes RUNTIME FILE SIDE BATCH THREADS`` embeds a few batches in a process of
its own and prints its peak memory in bytes.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.errors import MissingExtraError, UsageError, install_command

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Vectors = np.ndarray[Any, np.dtype[np.float32]]
Embed = Callable[[Pixels], Vectors]

TORCH, ORT, OPENVINO = "torch-float32", "onnxruntime", "openvino"
RUNTIMES = (TORCH, ORT, OPENVINO)


def open_runtime(name: str, file: Path, threads: int) -> Embed:
    """Pixels uint8 [n, 3, s, s] -> float32 [n, d]. ``file`` is the ONNX graph, for ``torch-float32`` the student
    file: the same network without any rounding, batch norms folded, channels last.

    Raises:
        MissingExtraError: the runtime is not installed.
        UsageError: an unknown runtime.
    """
    if name == TORCH:
        return _torch(file, threads)
    try:
        if name == ORT:
            return _onnxruntime(file, threads)
        if name == OPENVINO:
            return _openvino(file, threads)
    except ImportError as error:
        raise MissingExtraError(f"{name} is not installed: {install_command('quantize')}") from error
    raise UsageError(f"runtime {name!r}: must be {', '.join(RUNTIMES)}")


def _torch(file: Path, threads: int) -> Embed:
    import torch
    import torch.nn.functional as F

    from syper_data.quantization.student_file import read_student

    network = read_student(file).network
    network.rounded = False
    torch.set_num_threads(threads)

    def embed(pixels: Pixels) -> Vectors:
        with torch.inference_mode():
            x = torch.from_numpy(pixels).to(memory_format=torch.channels_last).float().sub_(127.5).div_(127.5)
            vectors: Vectors = F.normalize(network(x)).numpy()
        return vectors

    return embed


def _onnxruntime(file: Path, threads: int) -> Embed:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def embed(pixels: Pixels) -> Vectors:
        vectors: Vectors = session.run(["vector"], {"image": pixels})[0]
        return vectors

    return embed


def _openvino(file: Path, threads: int) -> Embed:
    graph = import_openvino().Core().read_model(str(file))
    compiled: dict[int, Any] = {}

    def embed(pixels: Pixels) -> Vectors:
        if len(pixels) not in compiled:
            compiled[len(pixels)] = compile_openvino(graph, pixels.shape, threads)
        vectors: Vectors = np.array(compiled[len(pixels)]([pixels])[0])
        return vectors

    return embed


def import_openvino() -> Any:
    """The package ``openvino``. It reports every import to its makers, unless its reporter is not to be had."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def compile_openvino(graph: Any, shape: tuple[int, ...], threads: int) -> Any:
    """An ``openvino.Model`` of images compiled for batches of one ``shape`` [n, 3, s, s].

    Only where the shape is known OpenVINO makes one pass of what lies between two convolutions (decision 20).
    """
    fixed = graph.clone()
    fixed.reshape(list(shape))
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    return import_openvino().Core().compile_model(fixed, "CPU", settings)


def _peak() -> int:
    """Peak memory of this process in bytes: what Linux says of it alone, since a child's ``ru_maxrss`` begins with
    its parent's."""
    status = Path("/proc/self/status")
    lines = status.read_text("ascii").splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Print the peak memory of a process that does nothing else, in bytes."""
    name, file, side, batch, threads = sys.argv[1], Path(sys.argv[2]), *(int(a) for a in sys.argv[3:6])
    embed = open_runtime(name, file, threads)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side), dtype=np.uint8)
    for _ in range(3):
        embed(pixels)
    print(_peak())


if __name__ == "__main__":
    main()
