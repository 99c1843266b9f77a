"""The folder of a recognizer's run: whole, resumable, and one line for whatever is wrong."""

from __future__ import annotations

import errno
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from killed_runs import stop_after
from small_generators import REPOSITORY
from small_recognizer_training import RECIPE, load, make_run, people
from small_training import contents, same, stored
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, LockedError, OutputError, SyperError, UsageError
from syper_data.execution.run_files import is_recipe
from syper_data.imaging.subjects import half_of
from syper_data.recognition.embedder import load_embedder
from syper_data.recognition.margins import MarginConfig
from syper_data.recognition.recipe import RecognizerRecipe, Stage
from syper_data.recognition.recognizer_file import identity_digest, read_recognizer
from syper_data.recognition.training import RecognizerFolder, train_recognizer
from syper_data.recognition.training_run import RecognizerRun

HOLDOUT = 0.3  # person-1 and person-6
NAMES = [f"person-{i}" for i in range(8)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never interrupted. Copy it before changing it."""
    out = tmp_path_factory.mktemp("training") / "run"
    train_recognizer(RECIPE, people(8), out, holdout=HOLDOUT)
    return out


def again(folder: Path, recipe: RecognizerRecipe = RECIPE, **changes: Any) -> Path:
    return train_recognizer(recipe, changes.pop("data", people(8)), folder, **{"holdout": HOLDOUT, **changes})


def test_a_run_leaves_recipe_data_log_checkpoint_and_a_recognizer_that_embeds(finished: Path) -> None:
    files = ["checkpoint.pt", "data.json", "recipe.yaml", "recognizer.safetensors", "training.jsonl"]
    assert sorted(contents(finished)) == files
    assert RecognizerRecipe.read(finished / "recipe.yaml") == RECIPE
    lines = [json.loads(line) for line in (finished / "training.jsonl").read_text().splitlines()]
    assert [(line["step"], line["of_steps"], line["size"]) for line in lines] == [(2, 4, 32), (4, 4, 32)]
    for line in lines:
        assert {"loss", "accuracy", "cosine", "lr", "eer", "mated", "nonmated", "images_per_second"} <= set(line)
        assert all(math.isfinite(value) for value in line.values())
        assert 0 <= line["eer"] <= 1
    embedder = load_embedder(finished / "recognizer.safetensors")
    vectors = embedder.embed([image.pixels for image in people(1)], ["image_left"] * 3 + ["image_right"] * 3)
    assert vectors.shape == (6, 128)


def test_the_file_names_its_people_by_digest_and_the_held_out_are_not_among_them(finished: Path) -> None:
    file = read_recognizer(finished / "recognizer.safetensors")
    summary = json.loads((finished / "data.json").read_text())
    held = {name for name in NAMES if identity_digest(name) not in file.identities}
    assert len(file.identities) == summary["subjects"] == 6
    assert held == {"person-1", "person-6"}
    assert summary["validation_subjects"] == 2
    assert file.identities < {identity_digest(name) for name in NAMES}
    assert (file.name, file.spectrum, file.orientation, file.config) == (
        "tiny",
        "nir",
        "canonical",
        RECIPE.backbone,
    )
    assert file.summary["steps"] == 4
    assert file.summary["sha256"] == summary["sha256"]
    state = stored(finished)
    assert all(torch.equal(v.float(), file.backbone.state_dict()[k].float()) for k, v in state["backbone"].items())


@pytest.mark.parametrize("steps", [1, 3], ids=["before a snapshot", "after a snapshot"])
def test_a_stopped_run_resumes_to_the_very_same_bits(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, RecognizerRun, steps)
        with pytest.raises(KeyboardInterrupt):
            again(tmp_path)
    assert (tmp_path / "checkpoint.pt").exists() == (steps > 2)
    reports: list[dict[str, Any]] = []
    path = again(tmp_path, report=reports.append)
    assert path.read_bytes() == (finished / "recognizer.safetensors").read_bytes()
    ours, theirs = ({k: v for k, v in stored(f).items() if k != "seconds"} for f in (tmp_path, finished))
    assert same(ours, theirs)
    assert reports[0]["from_step"] == (2 if steps > 2 else 0)
    log = [json.loads(line)["step"] for line in (tmp_path / "training.jsonl").read_text().splitlines()]
    assert log == [2, 4]


def test_a_killed_process_leaves_a_run_that_resumes_to_the_same_bits(finished: Path, tmp_path: Path) -> None:
    """SIGKILL as soon as the first checkpoint is there."""
    code = (
        "import sys, torch; torch.set_num_threads(1); sys.path.insert(0, sys.argv[2])\n"
        "from small_recognizer_training import RECIPE, people\n"
        "from syper_data.recognition.training import train_recognizer\n"
        f"train_recognizer(RECIPE, people(8), sys.argv[1], holdout={HOLDOUT})"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path), str(REPOSITORY / "tests")]
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoint.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "checkpoint.pt").exists()
    assert again(tmp_path).read_bytes() == (finished / "recognizer.safetensors").read_bytes()


def test_a_finished_run_is_left_as_it_is(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(copied)
    stop_after(monkeypatch, RecognizerRun, 4)
    assert again(copied) == copied / "recognizer.safetensors"
    assert contents(copied) == before


def test_a_checkpoint_from_before_there_were_starts_is_one_without(copied: Path) -> None:
    state = stored(copied)
    del state["start_sha256"]
    torch.save(state, copied / "checkpoint.pt")
    assert again(copied) == copied / "recognizer.safetensors"


@pytest.mark.parametrize(
    "other",
    [
        replace(RECIPE, seed=4),
        replace(RECIPE, steps=6),
        replace(RECIPE, margin=MarginConfig("cosface")),
        replace(RECIPE, both_eyes="one_class"),
    ],
    ids=["seed", "length", "margin", "classes"],
)
def test_another_recipe_is_refused_and_changes_nothing(copied: Path, other: RecognizerRecipe) -> None:
    before = contents(copied)
    with pytest.raises(InputError) as caught:
        again(copied, other)
    assert str(caught.value) == f"{copied}: holds a run of another recipe; choose another --out"
    assert contents(copied) == before


def test_a_run_from_before_a_setting_existed_goes_on_with_its_default() -> None:
    stored = RECIPE.to_dict()
    del stored["augment"]["pupil"]
    assert is_recipe(RECIPE, stored)
    assert not is_recipe(replace(RECIPE, augment=replace(RECIPE.augment, pupil=0.2)), stored)
    assert not is_recipe(RECIPE, stored | {"pupils": 1})


@pytest.mark.parametrize(
    "changes",
    [
        {"data": people(8, seed=1)},
        {"data": people(7)},
        {"holdout": None},
        {"subjects": NAMES[:7]},
    ],
    ids=["images", "fewer people", "nobody held out", "other subjects"],
)
def test_other_data_are_refused_and_change_nothing(copied: Path, changes: dict[str, Any]) -> None:
    before = contents(copied)
    with pytest.raises(InputError, match="holds a run on other images or subjects"):
        again(copied, **changes)
    assert contents(copied) == before


def damage(state: dict[str, Any], how: str) -> Any:
    if how == "a list":
        return [1, 2]
    if how == "another shape":
        state["head"]["weight"] = torch.zeros(3)
    elif how == "no step":
        state["step"] = "many"
    else:
        del state[how]
    return state


@pytest.mark.parametrize("how", ["a list", "recipe", "backbone", "no step", "another shape", "optimiser"])
def test_a_checkpoint_with_a_wrong_part_is_refused_in_one_line(copied: Path, how: str) -> None:
    torch.save(damage(stored(copied), how), copied / "checkpoint.pt")
    assert "not a readable checkpoint (" in refused_checkpoint(copied)


def test_a_truncated_checkpoint_or_one_with_code_is_refused_and_nothing_runs(copied: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    data = (copied / "checkpoint.pt").read_bytes()
    for content in (b"", data[: len(data) // 3], pickle.dumps(Payload(), 2)):
        (copied / "checkpoint.pt").write_bytes(content)
        assert "not a readable checkpoint (" in refused_checkpoint(copied)
    assert not marker.exists()


def refused_checkpoint(folder: Path) -> str:
    """What is said of it; nothing in the folder is changed."""
    before = contents(folder)
    with pytest.raises(InputError) as caught:
        again(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'checkpoint.pt'}: ")
    assert message.endswith("); remove it to start over")
    assert "\n" not in message
    assert contents(folder) == before
    return message


def test_a_loss_that_is_not_finite_is_one_error_and_costs_no_checkpoint(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = stored(copied)
    state["step"] = 3
    state["head"]["weight"][0, 0] = float("nan")
    torch.save(state, copied / "checkpoint.pt")
    before = contents(copied)
    with pytest.raises(SyperError) as caught:
        again(copied)
    assert str(caught.value).startswith(f"{copied}: training diverged at step 3 (loss nan")
    assert str(caught.value).endswith("checkpoint.pt is kept; lower optimiser.lr")
    assert caught.value.exit_code == 1
    assert contents(copied) == before


def test_a_locked_folder_and_a_full_disk_are_said_in_one_line(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with folder_lock(copied), pytest.raises(LockedError, match="another run"):
        again(copied)
    torch.save({**stored(copied), "step": 3}, copied / "checkpoint.pt")
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "checkpoint" in path.name:
            write(path, data[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match=r"checkpoint\.pt: cannot be written: No space left on device$"):
            again(copied)
    assert stored(copied)["step"] == 3
    assert not list(copied.glob(".*.tmp"))


def test_halves_train_on_disjoint_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecognizerRun, "done", property(lambda run: True))  # what is read is the question
    reports: list[dict[str, Any]] = []
    for half in (0, 1):
        train_recognizer(RECIPE, people(8), tmp_path / str(half), subjects_half=half, report=reports.append)
    assert [r["subjects"] for r in reports] == [
        sum(half_of(f"person-{i}") == half for i in range(8)) for half in (0, 1)
    ]
    with pytest.raises(UsageError, match="--subjects-half is 2"):
        train_recognizer(RECIPE, people(), tmp_path / "x", subjects_half=2)
    with pytest.raises(UsageError, match=r"--holdout is 1\.5"):
        train_recognizer(RECIPE, people(), tmp_path / "x", holdout=1.5)


def test_the_training_data_hold_no_machine_path(finished: Path) -> None:
    for name in ("data.json", "recipe.yaml", "training.jsonl"):
        assert str(finished.parent) not in (finished / name).read_text()
    assert load().summary["subjects"] == 4


def test_the_work_ahead_is_counted_in_pixels(tmp_path: Path) -> None:
    staged = replace(RECIPE, steps=4, stages=(Stage(0.5, 32), Stage(1, RECIPE.backbone.input_size)))
    folder = RecognizerFolder(tmp_path, make_run(staged), {}, None, None)
    large = RECIPE.backbone.input_size**2
    assert folder.work(4) - folder.work(2) == pytest.approx(large / 2)
    assert folder.work(2) == pytest.approx(32**2 / 2)
