"""What a student costs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from small_recognizers import SMALL
from small_students import small_student
from syper_data.errors import ConfigError, InputError, MissingExtraError, UsageError
from syper_data.quantization import bench_model as module
from syper_data.quantization.bench_model import bench_model, bytes_promised, multiply_accumulates
from syper_data.quantization.bits import BitsConfig, LayerBits
from syper_data.quantization.onnx_export import export_onnx
from syper_data.quantization.runtimes import open_runtime
from syper_data.quantization.student_file import write_student


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "student.syq"
    write_student(
        path,
        small_student(BitsConfig()),
        name="small",
        spectrum=None,
        orientation="canonical",
        identities=None,
        teacher_sha256="a" * 64,
        data_sha256="b" * 64,
        summary={},
    )
    return path


def test_the_promised_size_counts_a_layer_with_the_bits_of_its_own() -> None:
    plain = small_student(BitsConfig(4, 4))
    mixed = small_student(BitsConfig(4, 4, other=(LayerBits("conv_5.*", 8), LayerBits("conv_6_sep.*", 2))))
    sizes = {name: layer.weight.numel() for name, layer in mixed.layers()}
    assert bytes_promised(plain) == round(1.1 * 977_024 * 4 / 8)
    more, fewer = (sum(n for name, n in sizes.items() if name.startswith(w)) for w in ("conv_5.", "conv_6_sep."))
    assert bytes_promised(mixed) == round(1.1 * (977_024 * 4 + 4 * more - 2 * fewer) / 8)


def test_it_measures_every_runtime_and_says_what_the_network_is(student: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx (the [quantize] extra) is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime (the [quantize] extra) is not installed")
    found = bench_model(student, batch=2, threads=1, rounds=1, out=tmp_path / "bench.json")
    assert json.loads((tmp_path / "bench.json").read_text()) == found
    assert {"torch-float32", "onnxruntime"} <= set(found["runtimes"])
    assert set(found["runtimes"]) | set(found["missing"]) == {"torch-float32", "onnxruntime", "openvino"}
    for row in found["runtimes"].values():
        assert row["images_per_second"] > 0
        assert row["latency_ms"] > 0
        assert row["peak_memory_bytes"] > 20 * 2**20
    assert found["runtimes"]["onnxruntime"]["cosine_to_student"] > 0.99
    peaks = {row["peak_memory_bytes"] for row in found["runtimes"].values()}
    assert len(peaks) == len(found["runtimes"])
    assert found["runtimes"]["torch-float32"]["times_float32"] == 1
    assert (found["parameters"], found["bytes"]) == (977_024, student.stat().st_size)
    assert found["bytes"] <= found["bytes_promised"]


def test_nobody_is_measured_beside_the_threads_of_another() -> None:
    """Threads may go on for a while when their call has returned; the next one waits, and warms up first."""
    working, seen, calls = threading.Event(), [], []

    def lingering(pixels: np.ndarray) -> np.ndarray:
        working.set()
        threading.Timer(0.03, working.clear).start()
        return pixels

    def waking(pixels: np.ndarray) -> np.ndarray:
        seen.append(working.is_set())
        calls.append(len(pixels))
        if calls.count(len(pixels)) % 2:  # the first of two
            time.sleep(0.3)
        return pixels

    pixels = np.zeros((2, 3, 4, 4), np.uint8)
    figures = module._measure({"torch-float32": lingering, "openvino": waking}, pixels, 2)
    assert calls == [2, 2, 1, 1] * 2
    assert not any(seen)
    assert figures["openvino"]["latency_ms"] < 300


def test_products_are_counted_as_on_paper() -> None:
    """The first convolution: 56 x 56 positions, 64 filters, 3 channels of 3 x 3."""
    whole = multiply_accumulates(small_student())
    student = small_student()
    first = dict(list(student.layers())[:1])
    student.layers = lambda: iter(first.items())  # type: ignore[method-assign]
    assert multiply_accumulates(student) == 56 * 56 * 64 * 27
    assert 150_000_000 < whole < 300_000_000


def test_options_out_of_range_and_other_files_are_refused(student: Path, tmp_path: Path) -> None:
    for changes in ({"batch": 0}, {"rounds": 0}, {"threads": 0}):
        with pytest.raises(ConfigError, match="must be a whole number"):
            bench_model(student, **changes)
    with pytest.raises(InputError, match="cannot be read"):
        bench_model(tmp_path / "none.syq")
    with pytest.raises(UsageError, match="runtime 'tvm'"):
        open_runtime("tvm", student, 1)


def test_without_any_runtime_the_install_command_is_named(student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, file: Path, threads: int) -> None:
        if name != "torch-float32":
            raise MissingExtraError(f"{name} is not installed: pip install")

    monkeypatch.setattr(module, "open_runtime", missing)
    monkeypatch.setattr(module, "export_onnx", lambda student, out: out)
    with pytest.raises(MissingExtraError, match="openvino is not installed: pip install"):
        bench_model(student)


def test_openvino_tells_nobody_that_it_runs(student: Path, tmp_path: Path) -> None:
    """Its package reports every import to its makers; a stand-in for the reporter sees that it is not asked."""
    for name in ("onnx", "openvino"):
        pytest.importorskip(name, reason=f"{name} (the [quantize] extra) is not installed")
    graph = tmp_path / "student.onnx"
    export_onnx(student, graph)
    told = tmp_path / "told"
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "openvino_telemetry.py").write_text(f"open({str(told)!r}, 'w').close()\n")
    lines = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'fake')!r})",
        "import numpy as np",
        "from pathlib import Path",
        "from syper_data.quantization.runtimes import open_runtime",
        f"embed = open_runtime('openvino', Path({str(graph)!r}), 1)",
        f"print(embed(np.zeros((1, 3, {SMALL.input_size}, {SMALL.input_size}), np.uint8)).shape[0])",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "1", done.stderr
    assert not told.exists()
