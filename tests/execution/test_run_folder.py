"""The folder of any training run: its loop, log and checkpoints, with a run that only counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from syper_data.dataset.lock import folder_lock
from syper_data.errors import DivergedError, InputError, LockedError, SyperError
from syper_data.execution.run_folder import Report, RunFolder, train_in
from syper_data.execution.team import Team


class Recipe:
    def write_text(self) -> str:
        return "kind: counting\n"


class Counting:
    """Ten steps; the figure of a step is its number. It diverges at ``falls_at``."""

    recipe = Recipe()

    def __init__(self, falls_at: int | None = None, broken_from: int = 99) -> None:
        self.step, self.team = 0, Team()
        self.falls_at, self.broken_from = falls_at, broken_from

    @property
    def done(self) -> bool:
        return self.step >= 10

    def advance(self) -> dict[str, float]:
        if self.step == self.falls_at:
            raise DivergedError("the loss is nan")
        self.step += 1
        return {"number": float(self.step)}

    def finite(self) -> bool:
        return self.step < self.broken_from

    def state(self) -> dict[str, Any]:
        return {"step": self.step, "of": "counting"}

    def restore(self, state: dict[str, Any], /) -> None:
        self.step = int(state["step"])


class Folder(RunFolder[Counting]):
    advice = "count slower"

    def __init__(self, path: Path, run: Counting, report: Report | None, of: str = "counting") -> None:
        super().__init__(path, run, report)
        self.of, self.anew, self.recalled = of, 0, ""

    @property
    def length(self) -> float:
        return 10

    def refuse_another_run(self, state: Mapping[str, Any]) -> None:
        if state["of"] != self.of:
            raise InputError(f"{self.path}: holds another run")

    def summary(self) -> dict[str, Any]:
        return {"images": 3}

    def due(self) -> bool:
        return self.run.step % 4 == 0

    def line(self, seconds: float, steps: int) -> dict[str, Any]:
        return {"step": self.run.step, "seconds": seconds, "of_this_process": steps}

    def looked_at(self) -> dict[str, Any]:
        return {"third": self.run.step / 3, "warning": "none"}

    def noted(self) -> dict[str, Any]:
        return {"note": f"at {self.run.step}"}

    def recall(self, state: Mapping[str, Any]) -> None:
        self.recalled = state["note"]

    def begin_anew(self) -> None:
        self.anew += 1

    def write_weights(self) -> None:
        (self.path / "weights").write_text(str(self.run.step))


def log(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "training.jsonl").read_text().splitlines()]


def trained(path: Path, run: Counting, **changes: Any) -> tuple[Folder, list[dict[str, Any]]]:
    said: list[dict[str, Any]] = []
    folders: list[Folder] = []

    def open_folder(leads: bool) -> Folder:
        assert leads
        folders.append(Folder(path, run, said.append, **changes))
        return folders[0]

    train_in(path, open_folder)
    return folders[0], said


def test_a_line_is_written_when_one_is_due_and_at_the_end_with_means_over_its_steps(tmp_path: Path) -> None:
    folder, said = trained(tmp_path, Counting())
    lines = log(tmp_path)
    assert [line["step"] for line in lines] == [4, 8, 10]
    assert [line["number"] for line in lines] == [2.5, 6.5, 9.5]
    assert [line["of_this_process"] for line in lines] == [4, 8, 10]
    assert [line["third"] for line in lines] == [1.33333, 2.66667, 3.33333]
    assert lines[0]["seconds"] <= lines[2]["seconds"]
    assert said[0] == {"images": 3, "from_step": 0}
    assert [{k: v for k, v in record.items() if k != "seconds_left"} for record in said[1:]] == lines
    assert (tmp_path / "weights").read_text() == "10"
    assert (tmp_path / "recipe.yaml").read_text() == "kind: counting\n"
    assert json.loads((tmp_path / "data.json").read_text()) == {"images": 3}
    assert (folder.anew, folder.recalled) == (1, "")


def test_how_long_it_will_take_is_said_after_a_few_steps_and_with_every_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Counting()
    clock = SimpleNamespace(monotonic=lambda: 20.0 * run.step + (30.0 if run.step else 0.0))  # a slow first step
    monkeypatch.setattr("syper_data.execution.run_folder.time", clock)
    _, said = trained(tmp_path, run)
    assert [(record["step"], record["seconds_left"]) for record in said[1:]] == [
        (3, 140),  # no line of the log yet
        (4, 120),
        (8, 40),
        (10, None),
    ]
    assert said[1] == {"step": 3, "seconds": 90.0, "of_this_process": 3, "seconds_left": 140}
    assert [line["step"] for line in log(tmp_path)] == [4, 8, 10]
    assert all("seconds_left" not in line for line in log(tmp_path))


def test_the_time_left_knows_that_later_steps_cost_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Counting()
    clock = SimpleNamespace(monotonic=lambda: 20.0 * run.step)
    monkeypatch.setattr("syper_data.execution.run_folder.time", clock)
    monkeypatch.setattr(Folder, "work", lambda self, reached: reached + 5 * max(0, reached - 5))
    _, said = trained(tmp_path, run)
    assert [(record["step"], record["seconds_left"]) for record in said[1:3]] == [(3, 640), (4, 620)]


def test_a_stopped_run_keeps_its_last_snapshot_and_goes_on_from_it(tmp_path: Path) -> None:
    with pytest.raises(SyperError, match=r"the loss is nan; .*checkpoint.pt is kept; count slower$"):
        trained(tmp_path, Counting(falls_at=6))
    (tmp_path / "training.jsonl").open("a").write('{"step": 8}\n')  # beyond the checkpoint: made again
    folder, said = trained(tmp_path, Counting())
    assert said[0]["from_step"] == 4
    assert [line["step"] for line in log(tmp_path)] == [4, 8, 10]
    assert log(tmp_path)[1]["number"] == 6.5
    assert [line["of_this_process"] for line in log(tmp_path)] == [4, 4, 6]
    assert (folder.anew, folder.recalled) == (0, "at 4")


def test_weights_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(SyperError, match=r"diverged at step 8 \(weights are not finite\); .* is kept"):
        trained(tmp_path, Counting(broken_from=7))
    assert (tmp_path / "weights").read_text() == "4"
    fresh = tmp_path / "fresh"
    with pytest.raises(SyperError, match=r"no snapshot was made yet; count slower$"):
        trained(fresh, Counting(broken_from=1))
    assert not (fresh / "checkpoint.pt").exists()


def test_another_run_and_a_busy_folder_are_refused_and_change_nothing(tmp_path: Path) -> None:
    trained(tmp_path, Counting())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != ".lock"}
    with pytest.raises(InputError, match="holds another run"):
        trained(tmp_path, Counting(), of="dreaming")
    with folder_lock(tmp_path), pytest.raises(LockedError):
        trained(tmp_path, Counting())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != ".lock"} == before


def test_a_run_that_could_not_begin_leaves_no_folder_of_its_own(tmp_path: Path) -> None:
    def refuse(leads: bool) -> Folder:
        raise InputError("unusable images")

    for name in ("new", "there"):
        (tmp_path / "there").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="unusable images"):
            train_in(tmp_path / name, refuse)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
