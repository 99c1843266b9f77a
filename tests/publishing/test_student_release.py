"""The release folder of a quantized recognizer: complete, its card filled from the records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from small_protocols import drawn_protocol
from small_quantization import RECIPE
from small_recognizer_training import people
from small_recognizers import save_random_recognizer
from syper_data.benchmarking.benchmark import benchmark
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError
from syper_data.imaging.source import SourceImage
from syper_data.publishing.release import release
from syper_data.quantization.quantize import quantize
from syper_data.quantization.student_file import read_student
from syper_data.recognition.recognizer_file import identity_digest

FILES = {"student.syq", "recipe.yaml", "training.jsonl", "CARD.md"}


def others() -> list[SourceImage]:
    """People whom the protocol does not test."""
    return [replace(image, subject=f"other-{image.subject}") for image in people(2)]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "recognizer.safetensors"
    return save_random_recognizer(path, name="teacher", spectrum="nir", identities=[identity_digest("somebody")])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    quantize(teacher=teacher, data=others(), recipe=RECIPE, out=out)
    return out


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, teacher: Path, run: Path) -> Path:
    out = tmp_path_factory.mktemp("bench") / "bench"
    protocol = drawn_protocol(people=4, samples=2)
    benchmark(protocol=protocol, models=[teacher, run / "student.syq"], out=out, repeats=20)
    return out


def test_a_release_holds_the_student_and_its_card_size_bits_teacher_and_figures(
    run: Path, bench: Path, teacher: Path, tmp_path: Path
) -> None:
    done = release(run, tmp_path / "small-v1", evaluation=bench, terms="Research only.", faults="- Few people.")
    assert done.warnings == ()
    assert {p.name for p in done.path.iterdir()} == FILES | {"evaluation.json"}
    assert (done.path / "student.syq").read_bytes() == (run / "student.syq").read_bytes()
    card, student = (done.path / "CARD.md").read_text(), read_student(run / "student.syq")
    size = (run / "student.syq").stat().st_size
    for text in (
        "# small-v1\n",
        f"{size:,} bytes (promised: at most ",
        f"| Teacher | `teacher`, SHA-256 `{file_sha256(teacher)}` |",
        f"| Weights | {student.bits.weights} bits",
        "Research only.",
        "- Few people.",
        "\n    syper-data quantize --recipe recipe.yaml --teacher TEACHER --data IMAGES --out RUN\n",
    ):
        assert text in card
    for name in FILES - {"CARD.md"} | {"evaluation.json"}:
        assert file_sha256(done.path / name) in card
    of_teacher, of_student = json.loads((done.path / "evaluation.json").read_text())
    assert (of_teacher["model"]["sha256"], of_student["model"]["sha256"]) == (file_sha256(teacher), student.sha256)
    eer = of_student["folds"][0]["figures"]["eer"]["value"]
    (row,) = [line for line in card.splitlines() if line.startswith("| drawn, fold 1 | teacher-w")]
    assert f"| {100 * eer:.2f}\xa0% [" in row
    assert str(tmp_path) not in card
    assert "person-" not in (done.path / "evaluation.json").read_text()


def test_without_a_benchmark_the_card_says_what_was_not_measured(run: Path, tmp_path: Path) -> None:
    done = release(run, tmp_path / "small-v1", unevaluated=True)
    assert {p.name for p in done.path.iterdir()} == FILES
    assert "Nothing but its likeness to the teacher." in (done.path / "CARD.md").read_text()
    assert [warning.split(":")[0] for warning in done.warnings] == ["no --terms", "no --faults"]


def test_a_benchmark_of_another_student_is_refused(run: Path, teacher: Path, bench: Path, tmp_path: Path) -> None:
    quantize(teacher=teacher, data=others(), recipe=RECIPE, out=tmp_path / "other", seed=1)
    with pytest.raises(InputError, match="did not measure the student with SHA-256"):
        release(tmp_path / "other", tmp_path / "r", evaluation=bench)
    with pytest.raises(InputError, match="no benchmark was finished here"):
        release(run, tmp_path / "r", evaluation=run)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("missing", ["recipe.yaml", "training.jsonl"])
def test_what_a_run_lacks_is_named(run: Path, tmp_path: Path, missing: str) -> None:
    (tmp_path / "run").mkdir()
    for name in FILES - {"CARD.md", missing}:
        (tmp_path / "run" / name).write_bytes((run / name).read_bytes())
    with pytest.raises(InputError, match=f"holds no {missing}"):
        release(tmp_path / "run", tmp_path / "r", unevaluated=True)
