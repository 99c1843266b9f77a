"""``bench_model``: what a student costs, on integer runtimes and in float32, side by side in one run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from syper_data.dataset.atomic import write_atomically
from syper_data.errors import MissingExtraError, SyperError
from syper_data.gan.config import check_whole
from syper_data.quantization.onnx_export import export_onnx
from syper_data.quantization.runtimes import ORT, RUNTIMES, TORCH, Embed, Pixels, open_runtime
from syper_data.quantization.student import Student
from syper_data.quantization.student_file import StudentFile, read_student
from syper_data.recognition.backbones import build_backbone
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.embedder import NetworkEmbedder

_REST = 0.2  # seconds; ONNX Runtime's threads spin on for about 0.03 after their work (decision 20)


def bench_model(
    student: str | Path,
    *,
    batch: int = 8,
    threads: int | None = None,
    rounds: int = 15,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Measure a student file; return the figures, and write them to ``out`` (JSON) if it is given.

    The contestants are the network in PyTorch without rounding (float32, batch norms folded, channels last) and
    its ONNX form in ONNX Runtime and OpenVINO, those that are installed. They take turns, ``rounds`` times: one
    batch of ``batch`` images, then one image, with ``threads`` each (default: all cores), each time twice, the
    second time counted. Before a turn all is still, so that nobody computes beside the threads of another. Peak
    memory is that of a process of its own. A runtime's cosine to the student's own vectors is reported with it.

    Raises:
        InputError: no readable student file.
        ConfigError: an option out of range.
        MissingExtraError: neither runtime is installed, or the package onnx is not.
    """
    check_whole("batch", batch, 1, 4096)
    check_whole("rounds", rounds, 1, 10_000)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = cores if threads is None else threads
    check_whole("threads", threads, 1, 1024)
    file = read_student(student)
    side = file.config.input_size
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        graph = export_onnx(student, Path(folder) / "student.onnx")
        files = {name: file.path if name == TORCH else graph for name in RUNTIMES}
        opened = _open(files, threads)
        figures = _measure(opened, pixels, rounds)
        with torch.inference_mode():
            wanted = F.normalize(file.network(NetworkEmbedder.prepare(pixels.transpose(0, 2, 3, 1)))).numpy()
        for name in opened:
            if name != TORCH:
                figures[name]["cosine_to_student"] = float((opened[name](pixels) * wanted).sum(1).mean())
            figures[name]["peak_memory_bytes"] = _peak_memory(name, files[name], side, batch, threads)
        onnx_bytes = graph.stat().st_size
    result = {
        **_network(file),
        "bytes": file.path.stat().st_size,
        "onnx_bytes": onnx_bytes,
        "batch": batch,
        "threads": threads,
        "rounds": rounds,
        "runtimes": figures,
        "missing": [name for name in RUNTIMES if name not in opened],
    }
    if out is not None:
        write_atomically(Path(out), json.dumps(result, indent=1) + "\n")
    return result


def multiply_accumulates(student: Student) -> int:
    """Products that one image costs, of convolutions and linear layers."""
    side = student.config.input_size
    names = [name for name, _ in student.layers()]
    with torch.no_grad():
        values = student.run(torch.zeros(1, 3, side, side), names)
    return sum(values[name].numel() * layer.weight[0].numel() for name, layer in student.layers())


def parameter_count(config: BackboneConfig) -> int:
    """Numbers that a network of this architecture learns."""
    with torch.device("meta"):
        return sum(p.numel() for p in build_backbone(config).parameters())


def bytes_promised(student: Student) -> int:
    """The largest size of a student file that is promised: 1.1 x parameters x bits / 8, bits being those of the
    weights; a layer to which ``bits.other`` gives more or fewer counts with its own."""
    bits, parameters = student.bits, parameter_count(student.config)
    other = sum(layer.weight.numel() * (bits.of(name)[0] - bits.weights) for name, layer in student.layers())
    return round(1.1 * (parameters * bits.weights + other) / 8)


def _network(file: StudentFile) -> dict[str, Any]:
    return {
        "student": file.name,
        "sha256": file.sha256,
        "weights": file.bits.weights,
        "activations": file.bits.activations,
        "parameters": parameter_count(file.config),
        "multiply_accumulates": multiply_accumulates(file.network),
        "bytes_promised": bytes_promised(file.network),
    }


def _open(files: dict[str, Path], threads: int) -> dict[str, Embed]:
    opened = {}
    for name, file in files.items():
        try:
            opened[name] = open_runtime(name, file, threads)
        except MissingExtraError:
            if name == RUNTIMES[-1] and ORT not in opened:
                raise
    return opened


def _measure(opened: dict[str, Embed], pixels: Pixels, rounds: int) -> dict[str, dict[str, float]]:
    seconds: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for name, embed in opened.items():
            time.sleep(_REST)
            for images in (pixels, pixels[:1]):
                embed(images)  # not counted: it wakes the threads, and compiles the first time
                start = time.perf_counter()
                embed(images)
                seconds.setdefault((name, len(images)), []).append(time.perf_counter() - start)
    middle = {key: statistics.median(values) for key, values in seconds.items()}
    plain = middle[TORCH, len(pixels)]
    return {
        name: {
            "images_per_second": len(pixels) / middle[name, len(pixels)],
            "times_float32": plain / middle[name, len(pixels)],
            "latency_ms": 1000 * middle[name, 1],
        }
        for name in opened
    }


def _peak_memory(name: str, file: Path, side: int, batch: int, threads: int) -> int:
    command = [sys.executable, "-m", "syper_data.quantization.runtimes", name, str(file)]
    command += [str(side), str(batch), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [""])[-1]
        raise SyperError(f"{name}: a process that only embeds failed ({reason})")
    return int(done.stdout.split()[-1])
