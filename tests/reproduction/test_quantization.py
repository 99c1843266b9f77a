"""The folder of an experiment: figures that benchmark gives, resumable, and one line for whatever is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from click.testing import CliRunner
from datasets import load_dataset
from PIL import Image

import syper_data
from small_experiments import PROTOCOL, VALUES, descriptor, only, reproduce, small_plan
from small_generators import save_small_generator
from small_protocols import drawn_protocol
from small_recognizer_training import people
from small_recognizers import save_random_recognizer
from syper_data.cli.reproduce import command
from syper_data.dataset.lock import folder_lock
from syper_data.dataset.shards import file_sha256
from syper_data.errors import ConfigError, InputError, LockedError, SyperError, UsageError
from syper_data.recognition.recognizer_file import identity_digest
from syper_data.reproduction import quantization as module
from syper_data.reproduction.quantization import Reproduction

Run = dict[str, Any]


def unmade(work: Any, run: Any) -> dict[str, Any]:
    """In place of training and testing."""
    return {**module._entry(run), "status": "waiting", "reason": ""}


def by_name(table: dict[str, Any]) -> dict[str, Run]:
    return {str(run["name"]): run for run in table["runs"]}


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: Any) -> None:
        raise AssertionError("a finished run was trained again")

    monkeypatch.setattr(module, "train", train)


def test_every_run_is_a_row_and_the_figures_are_those_of_benchmark(
    finished: Reproduction, teacher: Path, tmp_path: Path
) -> None:
    runs = by_name(finished.table)
    assert [(name, run["status"]) for name, run in runs.items()] == [
        ("w8a8-main-synthetic-seed0", "done"),
        ("w3a3-main-synthetic-seed0", "done"),
        ("w3a3-main-synthetic-seed4", "done"),
        ("w3a3-main-real-seed0", "done"),
        ("w3a3-large-synthetic-seed0", "not run"),
    ]
    assert json.loads((finished.path / "quantization.json").read_bytes()) == finished.table
    student = finished.path / "runs" / "w3a3-main-synthetic-seed4" / "student.syq"
    done = syper_data.benchmark(protocol=PROTOCOL, models=[student, teacher], out=tmp_path / "b", repeats=40)
    fold = done.results["folds"][0]
    small, full = (fold["figures"][model["label"]] for model in done.results["models"])
    test = runs["w3a3-main-synthetic-seed4"]["test"]
    assert test["all"]["student"] == small["verification"]["eer"]
    assert test["all"]["teacher"] == full["verification"]["eer"]
    paired = next(d for d in fold["differences"] if d["figure"] == "eer")
    assert (test["all"]["difference"], test["all"]["p"]) == (paired["difference"], paired["p"])
    assert test["acquired"]["student"]["value"] == small["acquired"]["eer"]
    assert test["acquired"]["teacher"]["value"] == full["acquired"]["eer"]
    assert (test["not_acquired"], test["images_sha256"]) == (1, done.results["images"]["sha256"])
    assert test["acquired"]["mated"] == test["all"]["mated"] - full["fta"]["failed_mated"]


def test_a_row_says_size_length_and_agreement_as_the_run_has_them(finished: Reproduction) -> None:
    for name, run in by_name(finished.table).items():
        if run["status"] != "done":
            continue
        folder, made = finished.path / "runs" / name, run["training"]
        last = json.loads((folder / "training.jsonl").read_text("utf-8").splitlines()[-1])
        assert made["student_bytes"] == (folder / "student.syq").stat().st_size
        assert [made[k] for k in ("seconds", "agreement", "least_agreement")] == [
            last[k] for k in ("seconds", "agreement", "least_agreement")
        ]
        assert (made["steps"], made["images_seen"]) == (2, 4)
        assert made["promised_bytes"] == round(1.1 * made["parameters"] * int(run["bits"][1]) / 8)


def test_the_seeds_of_a_cell_are_summed_up(finished: Reproduction) -> None:
    runs = by_name(finished.table)
    a, b = (runs[f"w3a3-main-synthetic-seed{seed}"]["test"]["all"]["difference"]["value"] for seed in (0, 4))
    cells = {entry["cell"]: entry for entry in finished.table["over_seeds"]}
    assert cells["w3a3-main-synthetic"]["seeds"] == [0, 4]
    assert cells["w3a3-main-synthetic"]["difference"]["mean"] == pytest.approx((a + b) / 2)
    assert cells["w3a3-main-synthetic"]["difference"]["deviation"] == pytest.approx(abs(a - b) / 2**0.5)
    assert cells["w8a8-main-synthetic"]["difference"]["deviation"] is None


def test_the_same_call_again_trains_nothing_and_writes_the_same_table(
    copied: Path, teacher: Path, tiny: Path, crops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (copied / "quantization.json").read_bytes()
    forbid_training(monkeypatch)
    reproduce(teacher, tiny, copied, real=crops)
    assert (copied / "quantization.json").read_bytes() == before


def test_rows_that_lacked_images_are_run_when_they_are_given(
    teacher: Path, tiny: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = only([{"bits": "W8A8"}, {"bits": "W8A8", "images": "real"}])
    first = by_name(reproduce(teacher, tiny, tmp_path, plan=plan, budget="one").table)
    assert first["w8a8-main-real-seed0"]["status"] == "not run"
    assert first["w8a8-main-real-seed0"]["reason"] == "no real images were given: --real CROPS"
    both = by_name(reproduce(teacher, tiny, tmp_path, plan=plan, budget="one", real=crops).table)
    assert [run["status"] for run in both.values()] == ["done", "done"]
    assert both["w8a8-main-synthetic-seed0"] == first["w8a8-main-synthetic-seed0"]
    forbid_training(monkeypatch)
    again = by_name(reproduce(teacher, tiny, tmp_path, plan=plan, budget="one").table)
    assert again == both  # without the images again: what is finished stays


def test_images_that_are_counted_are_made_once_and_an_epoch_is_over_them(
    teacher: Path, tiny: Path, tmp_path: Path
) -> None:
    done = reproduce(teacher, tiny, tmp_path, budget="counted").table["runs"][0]
    assert done["name"] == "w8a8-main-synthetic-6-syper-seed0"
    assert (done["planned"], done["training"]["steps"], done["training"]["different_images"]) == ("1 epoch", 2, 4)
    (folder,) = (tmp_path / "images").iterdir()
    assert load_dataset(str(folder), split="train").num_rows == 6


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": "one"}, "holds a table of another plan: other budget (short, now one)"),
        ({"steps": 1}, "other steps (None, now 1)"),
        ({"plan": small_plan(repeats=41)}, "other repeats (40, now 41)"),
        ({"protocol": drawn_protocol(people=3, samples=2)}, "begun with another fold of drawn"),
        ({"protocol": drawn_protocol(people=4, samples=2)}, ""),
        ({"teachers": "another"}, "begun with another teacher main"),
        ({"generator": "another"}, "begun with another images synthetic at 112 px"),
        ({"real": "another"}, "begun with another images real at 112 px"),
    ],
)
def test_another_plan_or_other_inputs_are_refused(
    changes: dict[str, Any], said: str, copied: Path, teacher: Path, tiny: Path, crops: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given = {"real": crops, **changes}
    if given.get("teachers") == "another":
        given["teachers"] = [save_random_recognizer(tmp_path / "t.safetensors", seed=1)]
    if given.get("generator") == "another":
        given["generator"] = save_small_generator(tmp_path / "g.safetensors", seed=1)
    if given["real"] == "another":
        given["real"] = Path(shutil.copytree(crops, tmp_path / "crops"))
        (given["real"] / "0.png").unlink()
    before = (copied / "quantization.json").read_bytes()
    forbid_training(monkeypatch)
    if not said:  # the same comparisons; that its images are others shows when one of them is read
        reproduce(teacher, tiny, copied, **given)
    else:
        with pytest.raises(InputError) as caught:
            reproduce(teacher, tiny, copied, **given)
        assert said in str(caught.value)
        assert "choose another --out" in str(caught.value)
    assert (copied / "quantization.json").read_bytes() == before


def test_a_longer_budget_goes_on_in_the_folder_of_a_shorter_one_that_it_holds(
    copied: Path, teacher: Path, tiny: Path, crops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = VALUES["budgets"]["short"]["cells"]
    longer = {"cells": [*short[1:], {**short[0], "seeds": [0, 1]}]}
    plan = small_plan(budgets={**VALUES["budgets"], "longer": longer})
    made: list[str] = []
    train = module.train
    monkeypatch.setattr(module, "train", lambda run, *rest: made.append(run.name) or train(run, *rest))
    before = by_name(json.loads((copied / "quantization.json").read_bytes()))

    table = reproduce(teacher, tiny, copied, real=crops, plan=plan, budget="longer").table
    assert made == ["w8a8-main-synthetic-seed1"]
    assert table["plan"]["budget"] == "longer"
    assert {name: run for name, run in by_name(table).items() if name in before} == before
    with pytest.raises(InputError, match=r"another plan: other budget \(longer, now short\)"):
        reproduce(teacher, tiny, copied, real=crops)


def test_other_test_images_of_the_same_comparisons_are_refused(
    copied: Path, teacher: Path, tiny: Path, crops: Path
) -> None:
    table = json.loads((copied / "quantization.json").read_bytes())
    table["runs"][0]["status"] = "failed"
    (copied / "quantization.json").write_text(json.dumps(table), "utf-8")
    with pytest.raises(InputError, match="begun with another test images of drawn"):
        reproduce(teacher, tiny, copied, real=crops, protocol=drawn_protocol(people=4, samples=2))


def test_a_damaged_table_is_refused_and_without_it_the_students_are_used_again(
    copied: Path, teacher: Path, tiny: Path, crops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = copied / "quantization.json"
    content = json.loads(file.read_bytes())
    for damaged in (b"{", b"[]", b"{}", json.dumps({**content, "runs": [1]}).encode()):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged; remove it"):
            reproduce(teacher, tiny, copied, real=crops)
    file.write_text(json.dumps({**content, "schema": "syper-quantization-table/9"}), "utf-8")
    with pytest.raises(InputError, match="schema is"):
        reproduce(teacher, tiny, copied, real=crops)
    file.unlink()
    monkeypatch.setattr("syper_data.quantization.quantization_run.QuantizationRun.advance", None)
    assert reproduce(teacher, tiny, copied, real=crops).table == content


def test_a_training_that_diverges_is_a_row_and_the_others_go_on(teacher: Path, tiny: Path, tmp_path: Path) -> None:
    cells = [{"bits": "W8A8"}, {"bits": "W4A4"}]
    plan = only(cells)
    wild = {"optimiser": {"kind": "sgd", "lr": 1e38, "momentum": 0.0}, "snapshot_steps": 2}
    cells[0] = {"bits": "W8A8", "recipe": {**plan.budgets[0].cells[0].recipe, **wild}}  # type: ignore[dict-item]
    runs = by_name(reproduce(teacher, tiny, tmp_path, plan=only(cells), budget="one").table)
    assert [run["status"] for run in runs.values()] == ["failed", "done"]
    reason = runs["w8a8-main-synthetic-seed0"]["reason"]
    assert "training diverged at step" in reason
    assert str(tmp_path) not in reason


def test_nobody_is_tested_whom_teacher_or_images_know(
    teacher: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = save_random_recognizer(tmp_path / "known.safetensors", identities=[identity_digest("person-2")])
    with pytest.raises(UsageError, match="can be run: the teacher was trained on 1 of the 4"):
        reproduce(known, tiny, tmp_path / "a")
    real, images = tmp_path / "real.parquet", people(3)
    for number, image in enumerate(images):
        Image.fromarray(image.pixels).save(tmp_path / f"{number}.png")
    cells = [{"bytes": (tmp_path / f"{number}.png").read_bytes(), "path": None} for number in range(len(images))]
    pq.write_table(pa.table({"image": cells, "subject": [image.subject for image in images]}), real)
    plan = only([{"bits": "W8A8"}, {"bits": "W8A8", "images": "real"}])
    monkeypatch.setattr(module._Work, "_done", unmade)
    runs = by_name(reproduce(teacher, tiny, tmp_path / "b", plan=plan, budget="one", real=real).table)
    assert runs["w8a8-main-real-seed0"]["reason"].startswith("the images show 3 of the 4 people of fold 1")


def test_what_can_not_be_used_is_one_line(teacher: Path, tiny: Path, crops: Path, tmp_path: Path) -> None:
    for changes, said in (
        ({"generator": tmp_path / "no.safetensors"}, "neither a generator file nor a bundled generator"),
        ({"generator": None}, "no-such-generator: .*; --generator takes another one"),
        ({"teachers": [tmp_path / "no.safetensors"]}, "neither a recognizer file nor"),
        ({"teachers": [teacher, teacher]}, "--teacher main: was given twice"),
        ({"teachers": ["large="]}, "--teacher large=: names no file"),
        ({"real": tmp_path / "none"}, "none"),
        ({"real": crops, "plan": small_plan(data={"real": str(crops)})}, "leaves no images open"),
        ({"protocol": drawn_protocol(folds=2)}, r"drawn: the table is of one fold, choose with --folds \(1, 2\)"),
        ({"protocol": "nir-lamp100"}, "--root: where is your copy of the data"),
        ({"root": tmp_path}, "an opened one has its own"),
        ({"plan": tmp_path / "no.yaml"}, "cannot be read"),
    ):
        with pytest.raises(SyperError, match=said) as caught:
            reproduce(teacher, tiny, tmp_path / "out", **changes)
        assert caught.value.exit_code == 2
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out" / "quantization.json").exists()
    with pytest.raises(ConfigError, match="--steps"):
        reproduce(teacher, tiny, tmp_path / "out", steps=0)
    with folder_lock(tmp_path / "out"), pytest.raises(LockedError, match="another run"):
        reproduce(teacher, tiny, tmp_path / "out")


def test_a_teacher_may_be_given_for_one_of_the_plans_names(
    teacher: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module._Work, "_done", unmade)
    large = save_random_recognizer(tmp_path / "large.safetensors", seed=1)
    table = reproduce(teacher, tiny, tmp_path / "out", teachers=[teacher, f"large={large}"]).table
    assert table["inputs"]["teacher main"] == file_sha256(teacher)
    assert table["inputs"]["teacher large"] == file_sha256(large)


def test_a_cell_may_have_a_protocol_of_its_own_that_needs_no_data(
    teacher: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module._Work, "_done", unmade)
    cells = [
        {"bits": "W8A8"},
        {"bits": "W8A8", "protocol": "synthetic"},
        {"bits": "W8A8", "protocol": "nir-lamp100"},
    ]
    table = reproduce(teacher, tiny, tmp_path, plan=only(cells), budget="one").table
    assert [run["status"] for run in table["runs"]] == ["waiting", "waiting", "not run"]
    assert table["runs"][2]["reason"].startswith("--root: where is your copy of the data")
    assert [entry["name"] for entry in table["protocols"]] == ["drawn", "synthetic"]


def test_killed_in_a_run_the_same_command_goes_on_to_the_same_students(
    teacher: Path, tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "eyes.yaml").write_text(yaml.safe_dump(descriptor(tiny)), "utf-8")
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(VALUES), "utf-8")
    words = ["quantization", "--budget", "one", "--plan", str(tmp_path / "plan.yaml")]
    words += ["--protocol", str(tmp_path / "eyes.yaml"), "--folds", "1", "--teacher", str(teacher)]
    words += ["--generator", str(tiny), "--out"]
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    process = subprocess.Popen(
        [sys.executable, "-m", "syper_data", "reproduce", *words, str(killed)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    run = Path("runs") / "w4a4-main-synthetic-seed0"
    try:
        while not (killed / run / "checkpoint.pt").exists():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    state = json.loads((killed / "quantization.json").read_bytes())["runs"][0]["status"]
    assert state == "waiting"
    reached = torch.load(killed / run / "checkpoint.pt", weights_only=True)["step"]
    assert 0 < reached < 3

    for folder in (killed, straight):
        done = CliRunner().invoke(command, [*words, str(folder)], catch_exceptions=False)
        assert done.exit_code == 0
        assert "quantization.html: 1 done" in done.output
    assert (killed / run / "student.syq").read_bytes() == (straight / run / "student.syq").read_bytes()
    tables = [json.loads((folder / "quantization.json").read_bytes()) for folder in (killed, straight)]
    for table in tables:
        table["runs"][0]["training"]["seconds"] = 0
    assert tables[0] == tables[1]
