"""Training: resumable to the bit, locked, and refusing what does not belong to the run."""

from __future__ import annotations

import errno
import importlib.util
import json
import math
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from killed_runs import stop_after
from small_training import PROJECTED, RECIPE, contents, crops, same, stored
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, LockedError, MissingExtraError, OutputError, SyperError
from syper_data.gan.ada import AdaConfig
from syper_data.gan.crops import load_crops
from syper_data.gan.generator_file import load_generator
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.training import TrainingRun, train_generator

LOG_KEYS = [
    *("kimg", "of_kimg", "seconds", "kimg_per_hour", "loss_d", "real", "fake", "loss_g", "r1", "path"),
    *("augment_p", "spread", "nearest"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never interrupted. Copy it before changing it."""
    out = tmp_path_factory.mktemp("training") / "run"
    train_generator(RECIPE, crops(), out)
    return out


def test_a_run_leaves_recipe_log_sheets_checkpoint_and_generator(finished: Path) -> None:
    assert sorted(contents(finished)) == [
        "checkpoint.pt",
        "data.json",
        "generator.safetensors",
        "recipe.yaml",
        "sheets/0000.008.png",
        "sheets/0000.016.png",
        "training.jsonl",
    ]
    assert TrainingRecipe.read(finished / "recipe.yaml") == RECIPE
    with Image.open(finished / "sheets/0000.016.png") as sheet:
        assert sheet.size == (10 * 16, 6 * 16)


def test_every_line_of_the_log_is_json_with_its_keys(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "training.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in lines] == [0.008, 0.016]
    for line in lines:
        assert list(line) == LOG_KEYS
        assert all(math.isfinite(value) for value in line.values())
        assert 0 < line["augment_p"] < 1
        assert line["of_kimg"] == 0.016
        assert line["kimg_per_hour"] > 0


def test_the_generator_file_holds_the_average_and_says_where_it_comes_from(finished: Path) -> None:
    loaded = load_generator(finished / "generator.safetensors")
    state = stored(finished)

    assert loaded.config == RECIPE.generator
    assert loaded.spectrum == "nir"
    assert same(dict(loaded.generator.state_dict()), dict(state["average"]))
    assert not same(dict(state["average"]), dict(state["generator"]))
    assert loaded.summary["kimg"] == 0.016
    assert loaded.summary["recipe"] == "tiny"
    assert loaded.summary["images"] == 6
    assert loaded.summary["data_sha256"] == load_crops(crops(), 16).sha256


@pytest.mark.parametrize("steps", [1, 3], ids=["before a snapshot", "after a snapshot"])
def test_a_killed_run_resumes_to_the_very_same_bits(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, TrainingRun, steps)
        with pytest.raises(KeyboardInterrupt):
            train_generator(RECIPE, crops(), tmp_path)
    assert (tmp_path / "checkpoint.pt").exists() == (steps > 2)
    reports: list[dict[str, Any]] = []

    path = train_generator(RECIPE, crops(), tmp_path, report=reports.append)

    assert path.read_bytes() == (finished / "generator.safetensors").read_bytes()
    assert same({**stored(tmp_path), "seconds": 0}, {**stored(finished), "seconds": 0})
    assert reports[0]["images"] == 6
    assert (reports[1]["kimg"], reports[-1]["kimg"]) == (0.016 if steps > 2 else 0.008, 0.016)
    log = [json.loads(line) for line in (tmp_path / "training.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in log] == [0.008, 0.016]


def test_a_finished_run_is_left_as_it_is(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(copied)
    stop_after(monkeypatch, TrainingRun, 4)
    assert train_generator(RECIPE, crops(), copied) == copied / "generator.safetensors"
    assert contents(copied) == before


@pytest.mark.parametrize(
    "other",
    [
        replace(RECIPE, seed=4),
        replace(RECIPE, name="other"),
        replace(RECIPE, augment=AdaConfig(probability=0.25)),
        replace(RECIPE, adversary=replace(RECIPE.adversary, r1_interval=3)),
        replace(RECIPE, generator=replace(RECIPE.generator, channel_max=4)),
    ],
    ids=["seed", "name", "augmentation", "adversary", "architecture"],
)
def test_another_recipe_is_refused_and_changes_nothing(copied: Path, other: TrainingRecipe) -> None:
    before = contents(copied)
    with pytest.raises(InputError) as caught:
        train_generator(other, crops(), copied)
    assert str(caught.value) == f"{copied}: holds a run of another recipe; choose another --out"
    assert contents(copied) == before


def test_other_images_are_refused_and_change_nothing(copied: Path) -> None:
    before = contents(copied)
    for images in (crops(seed=1), crops(count=5), crops()[::-1]):
        with pytest.raises(InputError, match="holds a run on other images"):
            train_generator(RECIPE, images, copied)
    assert contents(copied) == before


def damage(state: dict[str, Any], how: str) -> Any:
    if how == "a list":
        return [1, 2]
    if how == "no recipe":
        del state["recipe"]
    if how == "no average":
        del state["average"]
    if how == "no step":
        state["step"] = "many"
    if how == "another shape":
        state["generator"]["synthesis.b4.const"] = torch.zeros(3)
    if how == "no optimiser":
        state["generator_optimiser"] = {}
    return state


@pytest.mark.parametrize("how", ["a list", "no recipe", "no average", "no step", "another shape", "no optimiser"])
def test_a_checkpoint_with_a_wrong_part_is_refused_in_one_line(copied: Path, how: str) -> None:
    torch.save(damage(stored(copied), how), copied / "checkpoint.pt")
    assert "not a readable checkpoint (" in refused_checkpoint(copied)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_checkpoint_is_refused_in_one_line(copied: Path, share: float) -> None:
    data = (copied / "checkpoint.pt").read_bytes()
    (copied / "checkpoint.pt").write_bytes(data[: int(len(data) * share)])
    assert "not a readable checkpoint (" in refused_checkpoint(copied)


def test_a_checkpoint_never_runs_code(copied: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    (copied / "checkpoint.pt").write_bytes(pickle.dumps(Payload(), 2))
    assert "not a readable checkpoint (" in refused_checkpoint(copied)
    torch.save({"recipe": Payload()}, copied / "checkpoint.pt")
    assert "not a readable checkpoint (" in refused_checkpoint(copied)
    assert not marker.exists()


def refused_checkpoint(folder: Path) -> str:
    """What is said of it; nothing in the folder is changed."""
    before = contents(folder)
    with pytest.raises(InputError) as caught:
        train_generator(RECIPE, crops(), folder)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'checkpoint.pt'}: ")
    assert message.endswith("); remove it to start over")
    assert "\n" not in message
    assert contents(folder) == before
    return message


def test_a_locked_folder_is_refused(tmp_path: Path) -> None:
    with folder_lock(tmp_path), pytest.raises(LockedError, match="another run"):
        train_generator(RECIPE, crops(), tmp_path)


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        train_generator(RECIPE, crops(), tmp_path / "out")


def test_a_full_disk_is_said_in_one_line_and_costs_no_checkpoint(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
            train_generator(RECIPE, crops(), copied)
    assert stored(copied)["step"] == 3
    assert not list(copied.glob(".*.tmp"))


def test_what_a_killed_process_left_is_cleared_away(copied: Path) -> None:
    leftover = copied / ".checkpoint.pt.99999.tmp"
    leftover.write_bytes(b"half a checkpoint")
    train_generator(RECIPE, crops(), copied)
    assert not leftover.exists()


def test_without_the_extra_training_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install"):
        train_generator(PROJECTED, crops(side=128), tmp_path)
    assert contents(tmp_path) == {}


def test_the_length_of_a_run_may_change_and_the_change_is_recorded(copied: Path) -> None:
    longer = replace(RECIPE, total_kimg=0.024, decay_kimg=0.004)
    path = train_generator(longer, crops(), copied)

    change = {
        "at_kimg": 0.016,
        "from": {"total_kimg": 0.016, "decay_kimg": 0.008},
        "to": {"total_kimg": 0.024, "decay_kimg": 0.004},
    }
    assert stored(copied)["changes"] == [change]
    assert load_generator(path).summary["changes"] == [change]
    assert TrainingRecipe.read(copied / "recipe.yaml") == longer
    lines = [json.loads(line) for line in (copied / "training.jsonl").read_text().splitlines()]
    assert [(line["kimg"], line["of_kimg"]) for line in lines] == [(0.008, 0.016), (0.016, 0.016), (0.024, 0.024)]


def test_what_the_log_says_beyond_the_checkpoint_is_made_again(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process can die between writing the log and the checkpoint."""
    fresh = tmp_path / "fresh"
    with monkeypatch.context() as patch:
        stop_after(patch, TrainingRun, 3)
        with pytest.raises(KeyboardInterrupt):
            train_generator(RECIPE, crops(), fresh)
    shutil.copy(fresh / "checkpoint.pt", copied / "checkpoint.pt")  # at 8 images, the log at 16
    train_generator(RECIPE, crops(), copied)
    log = [json.loads(line) for line in (copied / "training.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in log] == [0.008, 0.016]


def test_a_damaged_log_is_named(copied: Path) -> None:
    (copied / "training.jsonl").write_text('{"kimg": 0.0')
    with pytest.raises(InputError, match=r"training\.jsonl: not a readable log"):
        train_generator(RECIPE, crops(), copied)


def killed_after_a_snapshot(recipe: TrainingRecipe, folder: Path) -> Path:
    """Train in a process of its own and kill it (SIGKILL) some steps after a checkpoint is there."""
    (folder / "recipe.yaml").write_text(recipe.write_text())
    code = (
        "import sys, torch\n"
        "from small_training import crops\n"
        "from syper_data.gan.training import train_generator\n"
        "torch.set_num_threads(1)\n"
        "train_generator(sys.argv[1], crops(), sys.argv[2])\n"
    )
    here, out = str(Path(__file__).resolve().parent.parent), folder / "run"
    child = f"import sys; sys.path.insert(0, {here!r})\n{code}"
    process = subprocess.Popen([sys.executable, "-c", child, str(folder / "recipe.yaml"), str(out)])
    try:
        until = time.monotonic() + 60
        while not (out / "checkpoint.pt").exists():
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.002)
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
    return out


def test_a_run_killed_outright_resumes_to_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    recipe = replace(RECIPE, total_kimg=0.08, snapshot_kimg=0.02)
    out = killed_after_a_snapshot(recipe, tmp_path)
    assert stored(out)["step"] in (5, 10, 15)
    path = train_generator(recipe, crops(), out)
    whole = train_generator(recipe, crops(), tmp_path / "whole")
    assert path.read_bytes() == whole.read_bytes()
    assert same({**stored(out), "seconds": 0}, {**stored(tmp_path / "whole"), "seconds": 0})


@pytest.mark.parametrize("player", ["generator", "adversary"])
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_snapshot(
    copied: Path, monkeypatch: pytest.MonkeyPatch, player: str
) -> None:
    before = contents(copied)
    weights: list[dict[str, Any]] = []
    advance = TrainingRun.advance

    def poisoned(run: TrainingRun) -> dict[str, float]:
        network = run.generator if player == "generator" else run.adversary.trained
        with torch.no_grad():
            next(network.parameters()).fill_(math.nan)
        weights.append({k: v.clone() for k, v in run.generator.state_dict().items() if "mapping.fc" in k})
        try:
            return advance(run)
        finally:
            weights.append({k: v.clone() for k, v in run.generator.state_dict().items() if "mapping.fc" in k})

    monkeypatch.setattr(TrainingRun, "advance", poisoned)
    with pytest.raises(SyperError) as caught:
        train_generator(replace(RECIPE, total_kimg=0.024), crops(), copied)

    message = str(caught.value)
    assert message.startswith(f"{copied}: training diverged at 0.016 kimg (loss_d nan")
    assert message.endswith("checkpoint.pt is kept; lower the learning rates")
    assert "\n" not in message
    assert caught.value.exit_code == 1
    after = contents(copied)
    assert {k: v for k, v in after.items() if k != "recipe.yaml"} == {
        k: v for k, v in before.items() if k != "recipe.yaml"
    }
    assert torch.equal(weights[0]["mapping.fc1.weight"], weights[1]["mapping.fc1.weight"])


def test_weights_that_are_not_finite_are_never_saved(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(copied)
    advance = TrainingRun.advance

    def poisoned(run: TrainingRun) -> dict[str, float]:
        figures = advance(run)
        with torch.no_grad():
            next(run.average.parameters()).fill_(math.inf)
        return figures

    monkeypatch.setattr(TrainingRun, "advance", poisoned)
    with pytest.raises(SyperError, match=r"weights are not finite\); .*checkpoint.pt is kept"):
        train_generator(replace(RECIPE, total_kimg=0.02), crops(), copied)
    for name in ("checkpoint.pt", "generator.safetensors", "training.jsonl"):
        assert (copied / name).read_bytes() == before[name]


def test_a_file_that_may_not_grow_is_a_full_disk_too(copied: Path) -> None:
    """RLIMIT_FSIZE stands in for a disk that is full: the file system itself refuses."""
    before = contents(copied)
    code = (
        "import dataclasses, resource, sys, torch\n"
        "from small_training import RECIPE, crops\n"
        "from syper_data.errors import OutputError\n"
        "from syper_data.gan.training import train_generator\n"
        "torch.set_num_threads(1)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n"
        "try:\n"
        "    train_generator(dataclasses.replace(RECIPE, total_kimg=0.024), crops(), sys.argv[1])\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    assert resource.RLIMIT_FSIZE is not None
    assert len(before["checkpoint.pt"]) > 150_000 > len(before["generator.safetensors"])
    here = str(Path(__file__).resolve().parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {here!r})\n{code}", str(copied)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{copied / 'checkpoint.pt'}: cannot be written: File too large\n", done.stderr
    assert (copied / "checkpoint.pt").read_bytes() == before["checkpoint.pt"]
    assert not list(copied.glob(".*.tmp"))
    train_generator(replace(RECIPE, total_kimg=0.024), crops(), copied)  # with room again it goes on
