"""The folder of a quantization: whole, resumable, and one line for whatever is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from killed_runs import stop_after
from small_quantization import RECIPE
from small_recognizer_training import people
from small_recognizers import SMALL, save_random_recognizer
from small_training import contents, same, stored
from syper_data.cli.quantize import command
from syper_data.dataset.lock import folder_lock
from syper_data.errors import ConfigError, InputError, LockedError, SyperError, UsageError
from syper_data.quantization import quantize as module
from syper_data.quantization.images import Feed, open_feed
from syper_data.quantization.quantization_run import QuantizationRun
from syper_data.quantization.quantize import quantize
from syper_data.quantization.recipe import BitStage, QuantizationRecipe
from syper_data.quantization.student_file import load_student, read_student
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.recognizer_file import identity_digest, read_recognizer, short_digest

IDS = [identity_digest("somebody")]  # whom the teacher knows
SHOWN = [identity_digest("person-0"), identity_digest("person-1")]  # who is on the images


@pytest.fixture(scope="module", autouse=True)
def _small_images() -> Iterator[None]:
    """Train at 32 px, which a pooling head allows and the command does not."""

    def small(data: Any, generator: Any, size: int, **options: Any) -> Feed:
        return open_feed(data, generator, 32, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "open_feed", small)
        yield


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "recognizer.safetensors"
    return save_random_recognizer(path, name="teacher", spectrum="nir", orientation="opposite", identities=IDS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> Path:
    """The folder of a run that was never interrupted. Copy it before changing it."""
    out = tmp_path_factory.mktemp("quantization") / "run"
    quantize(teacher=teacher, data=people(2), recipe=RECIPE, out=out)
    return out


def again(teacher: Path, folder: Path, /, **changes: Any) -> Path:
    return quantize(**{"teacher": teacher, "data": people(2), "recipe": RECIPE, "out": folder, **changes})


def test_a_run_leaves_recipe_data_log_checkpoint_and_a_student_that_embeds(finished: Path, teacher: Path) -> None:
    files = ["checkpoint.pt", "data.json", "recipe.yaml", "student.syq", "training.jsonl"]
    assert sorted(contents(finished)) == files
    assert QuantizationRecipe.read(finished / "recipe.yaml") == RECIPE
    lines = [json.loads(line) for line in (finished / "training.jsonl").read_text().splitlines()]
    assert [(line["step"], line["of_steps"]) for line in lines] == [(2, 4), (4, 4)]
    for line in lines:
        assert {"loss", "cosine", "features", "lr", "agreement", "least_agreement", "images_per_second"} <= set(
            line
        )
        assert all(math.isfinite(value) for value in line.values())
    read, origin = read_student(finished / "student.syq"), read_recognizer(teacher)
    assert (read.name, read.spectrum, read.orientation) == ("teacher-w4a4", "nir", "opposite")
    assert (read.identities, read.teacher_sha256) == (set(map(short_digest, [*IDS, *SHOWN])), origin.sha256)
    assert read.summary["steps"] == 4
    data = json.loads((finished / "data.json").read_text())
    assert read.data_sha256 == data["sha256"]
    assert data["teacher_sha256"] == origin.sha256
    assert load_student(finished / "student.syq").embed([people(1)[0].pixels]).shape == (1, 128)


def test_the_student_learns(finished: Path, teacher: Path) -> None:
    begun = read_student(finished / "student.syq").network
    fresh = QuantizationRun(RECIPE, read_recognizer(teacher), open_feed_of(people(2)))
    fresh.calibrate()
    assert all(part.log_range.item() != 0 for _, part in fresh.student.ranges())
    moved = [
        float((ours.log_range - theirs.log_range).detach().abs())
        for (_, ours), (_, theirs) in zip(fresh.student.ranges(), begun.ranges(), strict=True)
    ]
    assert max(moved) > 1e-4


def open_feed_of(images: Any) -> Feed:
    return module.open_feed(
        images, None, 112, columns=None, steps=4, batch=2, held_out=2, seed=3, seed_start=0, psi=1.0
    )


@pytest.mark.parametrize("steps", [1, 3], ids=["before a snapshot", "after a snapshot"])
def test_a_stopped_run_resumes_to_the_very_same_bits(
    finished: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, QuantizationRun, steps)
        with pytest.raises(KeyboardInterrupt):
            again(teacher, tmp_path)
    assert (tmp_path / "checkpoint.pt").exists() == (steps > 2)
    reports: list[dict[str, Any]] = []
    path = again(teacher, tmp_path, report=reports.append)
    assert path.read_bytes() == (finished / "student.syq").read_bytes()
    ours, theirs = ({k: v for k, v in stored(f).items() if k != "seconds"} for f in (tmp_path, finished))
    assert same(ours, theirs)
    assert reports[0]["from_step"] == (2 if steps > 2 else 0)
    log = [json.loads(line)["step"] for line in (tmp_path / "training.jsonl").read_text().splitlines()]
    assert log == [2, 4]


def test_bits_that_fall_on_the_way_and_observed_ranges_resume_to_the_same_bits_on_a_generators_images(
    teacher: Path, tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint lies where the bits fall: after step 2 of 4."""
    ranges = replace(RECIPE.ranges, kind="observed", until=0.8)
    recipe = replace(RECIPE, stages=(BitStage(0.5, 8),), ranges=ranges, loss=replace(RECIPE.loss, features=0.0))
    options: dict[str, Any] = {"data": None, "generator": tiny, "recipe": recipe}
    whole = again(teacher, tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        stop_after(patch, QuantizationRun, 3)
        with pytest.raises(KeyboardInterrupt):
            again(teacher, tmp_path / "parts", **options)
    assert read_student(tmp_path / "parts" / "student.syq").bits.weights == 8
    parts = again(teacher, tmp_path / "parts", **options)
    assert parts.read_bytes() == whole.read_bytes()
    assert read_student(whole).bits.weights == 4
    lines = [json.loads(line) for line in (tmp_path / "parts" / "training.jsonl").read_text().splitlines()]
    assert [(line["weights"], line["activations"]) for line in lines] == [(8, 8), (4, 4)]


@pytest.mark.parametrize(("steps", "until"), [(1, 0.5), (3, 1.0)], ids=["one step", "stages to the end"])
def test_the_last_step_has_the_recipes_bits_however_short_the_run_is(
    teacher: Path, tmp_path: Path, steps: int, until: float
) -> None:
    recipe = replace(RECIPE, steps=steps, snapshot_steps=1, stages=(BitStage(until, 8),))
    assert read_student(again(teacher, tmp_path / "out", recipe=recipe)).bits == RECIPE.bits
    lines = (tmp_path / "out" / "training.jsonl").read_text().splitlines()
    assert [json.loads(line)["weights"] for line in lines] == [8] * (steps - 1) + [4]


def test_a_student_as_teacher_is_refused_with_what_it_is(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a student file; it was made of a recognizer file, which is wanted here"):
        again(finished / "student.syq", tmp_path / "out")


def test_a_finished_run_is_left_as_it_is(copied: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(copied)
    stop_after(monkeypatch, QuantizationRun, 4)
    assert again(teacher, copied) == copied / "student.syq"
    assert contents(copied) == before


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"seed": 4}, "of another recipe"),
        ({"weights": 5}, "of another recipe"),
        ({"steps": 6}, "of another recipe"),
        ({"data": people(2, seed=1)}, "on other images"),
        ({"start": "teacher"}, "with another start"),
        ({"teacher": "another"}, "with another teacher"),
    ],
    ids=["seed", "bits", "length", "images", "start", "teacher"],
)
def test_another_run_is_refused_and_changes_nothing(
    copied: Path, teacher: Path, tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    before = contents(copied)
    if "start" in changes:
        changes = {"start": teacher}
    if "teacher" in changes:
        changes = {"teacher": save_random_recognizer(tmp_path / "r.safetensors", seed=1)}
    with pytest.raises(InputError) as caught:
        again(teacher, copied, **changes)
    assert str(caught.value) == f"{copied}: holds a run {what}; choose another --out"
    assert contents(copied) == before


def test_a_damaged_checkpoint_is_refused_in_one_line(copied: Path, teacher: Path) -> None:
    data = (copied / "checkpoint.pt").read_bytes()
    (copied / "checkpoint.pt").write_bytes(data[: len(data) // 3])
    before = contents(copied)
    with pytest.raises(
        InputError, match=r"checkpoint.pt: not a readable checkpoint \(.*\); remove it to start over"
    ):
        again(teacher, copied)
    assert contents(copied) == before


def test_a_loss_that_is_not_finite_is_one_error_and_costs_no_checkpoint(copied: Path, teacher: Path) -> None:
    state = stored(copied)
    state["step"] = 3
    name = next(key for key in state["student"] if key.endswith("bias"))
    state["student"][name][0] = float("nan")
    torch.save(state, copied / "checkpoint.pt")
    before = contents(copied)
    with pytest.raises(SyperError) as caught:
        again(teacher, copied)
    assert str(caught.value).startswith(f"{copied}: training diverged at step 3 (loss nan")
    assert str(caught.value).endswith("checkpoint.pt is kept; lower optimiser.lr")
    assert caught.value.exit_code == 1
    assert contents(copied) == before


def test_finite_weights_that_give_no_vectors_are_no_snapshot(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter([0.9, math.nan])
    monkeypatch.setattr(QuantizationRun, "agreement", lambda run: {"agreement": next(seen)})
    out = tmp_path / "out"
    with pytest.raises(SyperError, match=r"training diverged at step 4 \(agreement is nan\); .* is kept"):
        again(teacher, out)
    assert read_student(out / "student.syq").summary["steps"] == 2
    assert [json.loads(line)["step"] for line in (out / "training.jsonl").read_text().splitlines()] == [2]


def test_a_folder_in_use_is_refused(copied: Path, teacher: Path) -> None:
    with folder_lock(copied), pytest.raises(LockedError, match="another run"):
        again(teacher, copied)


def test_a_teacher_of_another_architecture_than_its_file_says_is_refused(teacher: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    with safe_open(teacher, "pt") as file:
        metadata = file.metadata()
    wrong = tmp_path / "wrong.safetensors"
    save_file(load_file(teacher), wrong, {k: v.replace("mobilefacenet", "iresnet18") for k, v in metadata.items()})
    with pytest.raises(InputError, match=r"wrong.safetensors: tensor .* (is missing|does not belong)"):
        again(wrong, tmp_path / "out")


def test_a_start_whose_vectors_have_another_length_is_refused(teacher: Path, tmp_path: Path) -> None:
    config = BackboneConfig("mobilefacenet", 112, 512, "pooling")
    start = save_random_recognizer(tmp_path / "start.safetensors", config, orientation="opposite")
    with pytest.raises(InputError, match=r"vectors of length 512, the teacher .* has 128"):
        again(teacher, tmp_path / "out", start=start)


def test_a_start_adds_the_people_that_it_knows(teacher: Path, tmp_path: Path) -> None:
    start = save_random_recognizer(
        tmp_path / "start.safetensors", SMALL, 1, orientation="opposite", identities=[identity_digest("another")]
    )
    path = again(teacher, tmp_path / "out", start=start, recipe=replace(RECIPE, steps=1, snapshot_steps=1))
    assert read_student(path).identities == set(map(short_digest, [*IDS, *SHOWN, identity_digest("another")]))


def test_activations_without_a_range_are_refused(tmp_path: Path, teacher: Path) -> None:
    tensors = load_file(teacher)
    for name in ("conv1.bn.weight", "conv1.bn.bias"):
        tensors[name] = torch.zeros_like(tensors[name])
    from safetensors import safe_open

    with safe_open(teacher, "pt") as file:
        save_file(tensors, tmp_path / "flat.safetensors", file.metadata())
    with pytest.raises(InputError, match=r"calibration: the activations conv1.prelu:input range from 0 to 0"):
        again(tmp_path / "flat.safetensors", tmp_path / "out")


def test_options_that_make_no_sense_are_refused_before_anything_is_written(teacher: Path, tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], type[SyperError], str]] = [
        ({"weights": 1}, ConfigError, "--weights is 1: must be a whole number in 2..8"),
        ({"activations": 9}, ConfigError, "--activations is 9"),
        ({"preset": "syper"}, UsageError, "--preset and --recipe exclude each other"),
        ({"layer_bits": ["conv9=4"]}, ConfigError, "no layer is called conv9"),
        ({"data": None}, UsageError, "give images with --data or a generator"),
        ({"steps": 0}, ConfigError, "steps is 0"),
    ]
    for changes, kind, message in wrong:
        with pytest.raises(kind, match=message):
            again(teacher, tmp_path / "out", **changes)
        assert not contents(tmp_path)


def test_the_command_says_what_it_wrote_and_ends_with_one_line_on_a_mistake(copied: Path, teacher: Path) -> None:
    arguments = ["--teacher", str(teacher), "--recipe", str(copied / "recipe.yaml"), "--out", str(copied)]
    done = CliRunner().invoke(command, [*arguments, "--data", str(copied / "nothing")])
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == f"{copied / 'nothing'}: no such file or folder"
