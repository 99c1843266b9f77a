"""A training run and the folder it is written to: loop, log, checkpoints and resuming for every kind.

A kind of run says what a step is (:class:`Run`) and, in a subclass of :class:`RunFolder`, what its log
lines hold, which files it writes and which checkpoint is that of another run.
"""

from __future__ import annotations

import io
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch

from syper_data.dataset.atomic import remove_leftovers, write_atomically
from syper_data.dataset.lock import folder_lock
from syper_data.errors import DivergedError, InputError, SyperError
from syper_data.execution.pace import Pace
from syper_data.execution.run_files import read_log, reading_checkpoint
from syper_data.execution.team import Team

Report = Callable[[dict[str, Any]], None]  # gets records: what is known, then how far the run is

_CHECKPOINT = "checkpoint.pt"
_LOG = "training.jsonl"


class _Recipe(Protocol):
    def write_text(self) -> str: ...


class Run(Protocol):
    """What is trained, step by step. ``state`` holds tensors and plain values only; a step that would change a
    weight to what is not a number raises :class:`DivergedError` and changes none."""

    step: int
    team: Team

    @property
    def recipe(self) -> _Recipe: ...
    @property
    def done(self) -> bool: ...
    def advance(self) -> dict[str, float]: ...
    def finite(self) -> bool: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any], /) -> None: ...


R = TypeVar("R", bound=Run)


class RunFolder(ABC, Generic[R]):
    """A run and its folder. ``recipe.yaml`` and ``data.json`` say what it is; ``training.jsonl`` gets a line, and
    ``checkpoint.pt`` is replaced, at every snapshot, after the weights. Of several processes the first writes."""

    counter: ClassVar[str] = "step"  # names how far a line of the log is
    digits: ClassVar[int] = 5  # of the figures in the log
    advice: ClassVar[str] = "lower optimiser.lr"  # to who sees the run diverge

    def __init__(self, path: Path, run: R, report: Report | None) -> None:
        self.path, self.run = path, run
        self._report = report or (lambda line: None)
        self._lines: list[str] = []
        self._seconds = 0.0  # of training, before this process

    @property
    def reached(self) -> float:
        """How far the run is, as its log counts."""
        return self.run.step

    @property
    @abstractmethod
    def length(self) -> float:
        """How far the run goes, as its log counts."""

    @abstractmethod
    def refuse_another_run(self, state: Mapping[str, Any]) -> None:
        """Raise :class:`InputError` where this checkpoint was not made by this very run."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """What is trained on: the content of ``data.json``."""

    @abstractmethod
    def due(self) -> bool:
        """Whether a snapshot is to be made after this step (the last one always is)."""

    @abstractmethod
    def line(self, seconds: float, steps: int) -> dict[str, Any]:
        """The head of a log line; ``steps`` were made by this process, in so many seconds."""

    @abstractmethod
    def write_weights(self) -> None:
        """Write the network, and whatever is to be looked at."""

    def work(self, reached: float) -> float:
        """What the way to ``reached`` costs, in any unit: for the time left."""
        return reached

    def looked_at(self) -> dict[str, Any]:
        """What is measured at a snapshot, for the log."""
        return {}

    def noted(self) -> dict[str, Any]:
        """What the checkpoint holds besides the state of the run."""
        return {}

    def recall(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`noted` left in a checkpoint; the run is restored already."""

    def begin_anew(self) -> None:
        """What is done where there is no checkpoint to continue."""

    def announcement(self) -> dict[str, Any]:
        """What is reported before the first step."""
        return self.summary()

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one.

        Raises:
            InputError: it is damaged, or that of another run.
        """
        path = self.path / _CHECKPOINT
        if not path.exists():
            self.begin_anew()
            return
        with reading_checkpoint(path):
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.refuse_another_run(state)
            self.run.restore(state)
            self._seconds = float(state.get("seconds", 0.0))
            self.recall(state)
        self._lines = read_log(self.path / _LOG, self.counter, self.reached)

    def begin(self) -> None:
        """Write what is known before the first step, and report it."""
        if self.run.team.leads:
            write_atomically(self.path / "recipe.yaml", self.run.recipe.write_text())
            write_atomically(self.path / "data.json", json.dumps(self.summary(), indent=1) + "\n")
        self._report({**self.announcement(), f"from_{self.counter}": self.reached})

    def train(self) -> None:
        """Steps, and a snapshot whenever one is due, until the run is done.

        In between it is reported now and then how far the run is. Such a record and that of a snapshot say
        ``seconds_left`` (None at the end); the log does not.
        """
        run, started, first = self.run, time.monotonic(), self.run.step
        pace = Pace(self.work(self.length), self.work(self.reached), started)
        figures: dict[str, list[float]] = {}
        while not run.done:
            try:
                for name, value in run.advance().items():
                    figures.setdefault(name, []).append(value)
            except DivergedError as error:
                raise self._stopped(str(error)) from error
            now = time.monotonic()
            pace.step(self.work(self.reached), now)
            snapshot = self.due() or run.done
            if not snapshot and not pace.due:
                continue
            line = self.line(now - started, run.step - first)
            line["seconds"] = round(self._seconds + now - started, 1)
            if snapshot:
                line |= {name: round(sum(of) / len(of), self.digits) for name, of in figures.items()}
                figures = {}
                if run.team.leads:
                    self._snapshot(line)
                run.team.wait()
            left = pace.seconds_left
            self._report({**line, "seconds_left": None if left is None else round(left)})
            pace.said()

    def _stopped(self, reason: str) -> SyperError:
        kept = f"{self.path / _CHECKPOINT} is kept" if self._lines else "no snapshot was made yet"
        return SyperError(f"{self.path}: {reason}; {kept}; {self.advice}")

    def _snapshot(self, line: dict[str, Any]) -> None:
        if not self.run.finite():
            raise self._stopped(f"training diverged at {self.counter} {self.reached} (weights are not finite)")
        seen = self.looked_at()
        for name, value in seen.items():
            if isinstance(value, float) and not math.isfinite(value):  # finite weights may give what is not
                raise self._stopped(f"training diverged at {self.counter} {self.reached} ({name} is {value})")
        line |= {k: round(v, self.digits) if isinstance(v, float) else v for k, v in seen.items()}
        self._lines.append(json.dumps(line))
        buffer = io.BytesIO()  # torch.save itself hides a full disk behind a RuntimeError
        torch.save({**self.run.state(), **self.noted(), "seconds": line["seconds"]}, buffer)
        self.write_weights()
        write_atomically(self.path / _LOG, "".join(text + "\n" for text in self._lines))
        write_atomically(self.path / _CHECKPOINT, buffer.getvalue())


def another_start(path: Path, theirs: str | None, ours: str | None, option: str) -> InputError:
    """What is wrong with a folder whose run began with another network than this one would."""
    began, wanted = (digest[:12] if digest else "nothing" for digest in (theirs, ours))
    return InputError(f"{path}: holds a run that started from {began}, not from {wanted}; give the same {option}")


def train_in(out: Path, open_folder: Callable[[bool], RunFolder[Any]]) -> None:
    """Open the run of the folder ``out``, or make one, and train it to its end; one command at a time.

    ``open_folder`` is told whether this process leads: only then may it report. A folder that was made for a run
    that could not begin is removed.

    Raises:
        LockedError: another process is writing into ``out``.
    """
    team = Team.current()
    with folder_lock(out, forget=True) if team.leads else nullcontext():
        if team.leads:
            remove_leftovers(out)
        team.wait()
        folder = open_folder(team.leads)
        folder.resume()
        team.wait()  # nothing is written before everyone has read
        folder.begin()
        folder.train()
        team.wait()
