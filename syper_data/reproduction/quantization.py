"""``reproduce quantization``: the experiment table of low-bit recognizers, resumable at every moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import remove_leftovers, write_atomically
from syper_data.dataset.lock import folder_lock
from syper_data.errors import OutputError, SyperError, UsageError
from syper_data.gan.config import check_whole
from syper_data.protocols.protocol import Protocol
from syper_data.quantization.quantize import STUDENT
from syper_data.rendering.numbers import counted
from syper_data.reproduction.materials import Materials
from syper_data.reproduction.page import PAGE, render_page
from syper_data.reproduction.plan import Budget, ExperimentPlan, cell_values
from syper_data.reproduction.record import DONE, FAILED, NOT_RUN, WAITING, Entry, Table
from syper_data.reproduction.runs import LeftOut, Run, runs_of, train
from syper_data.reproduction.testing import Trials

CACHE = "cache"

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Reproduction:
    """Where the output is, and the content of its ``quantization.json``."""

    path: Path
    table: dict[str, Any]


def reproduce_quantization(
    *,
    budget: str,
    out: str | Path,
    real: str | Path | None = None,
    protocol: str | Path | Protocol | None = None,
    root: str | Path | None = None,
    images: str | Path | None = None,
    folds: Sequence[str] | None = None,
    generator: str | Path | None = None,
    teachers: Sequence[str | Path] | None = None,
    steps: int | None = None,
    plan: str | Path | ExperimentPlan | None = None,
    report: Report | None = None,
) -> Reproduction:
    """Train and test the students of a budget; write ``quantization.json`` and ``quantization.html`` after each.

    ``budget`` is ``1h``, ``8h`` or ``full`` of the plan that ships, or one of ``plan`` (YAML). ``real`` are crops
    of real people for the rows that want some (an image source, as ``quantize`` takes). Students are tested on
    ``protocol`` (default: the plan's), with ``root``, ``images`` and ``folds`` as ``benchmark`` takes them; the
    table is of one fold. ``generator`` replaces the plan's first generator, ``teachers`` its first teacher, or as
    ``NAME=FILE`` that one; ``steps`` replaces every run's length, and the page says so. Rows whose teacher or
    images are not there are listed with the reason. ``report`` is called with the name and number of a run, and
    with what is known of it.

    The folder holds a student a run, too. The same call again, also after a kill, makes what is missing: a run
    that was stopped goes on, one that is in the table is not repeated, one that failed is tried again. So does a
    budget that has every row of the folder's.

    Raises:
        UsageError: options out of range, or nothing of the budget can be run.
        InputError: unusable inputs, or the folder holds the table of another plan or of other inputs.
        LockedError: another process is writing into ``out``.
        OutputError: the disk is full or a folder read-only.
    """
    chosen = (
        plan if isinstance(plan, ExperimentPlan) else ExperimentPlan.read(None if plan is None else Path(plan))
    )
    part = chosen.budget(budget)
    if steps is not None:
        check_whole("--steps", steps, 1, 10**8)
    own = protocol is None
    trials = Trials(
        chosen.protocol if protocol is None else protocol,
        root=root,
        images=images,
        folds=(chosen.folds if own and not folds else folds) or None,
        repeats=chosen.repeats,
    )
    materials = Materials(chosen, teachers=teachers, generator=generator, real=real)
    target = Path(out)
    with folder_lock(target):
        remove_leftovers(target)
        runs = runs_of(part, materials, trials, steps)
        table = Table(target, _plan_record(chosen, part, runs, steps), _inputs(runs), materials.options())
        work = _Work(target, chosen, runs, table, report or (lambda line: None))
        return Reproduction(target, work.run())


class _Work:
    """The runs of a folder, one after the other, and the table that grows with them."""

    def __init__(
        self, out: Path, plan: ExperimentPlan, runs: Sequence[Run | LeftOut], table: Table, report: Report
    ) -> None:
        self._out, self._plan, self._runs, self._table, self._report = out, plan, runs, table, report
        trials = {run.trial.fold.sha256(): run.trial for run in runs if isinstance(run, Run)}
        self._protocols = [trial.record for trial in trials.values()]

    def run(self) -> dict[str, Any]:
        """Make what is missing; the table's content."""
        ready = [run for run in self._runs if isinstance(run, Run)]
        if not ready:
            reasons = [run.reason for run in self._runs if isinstance(run, LeftOut)]
            raise UsageError(f"nothing of this budget can be run: {reasons[0]}")
        waiting = [run for run in ready if not self._table.finished(run.name, run.identity())]
        for run in self._runs:
            if isinstance(run, LeftOut):
                self._table.put({**_entry(run), "status": NOT_RUN, "reason": run.reason})
            elif run in waiting:
                self._table.put({**_entry(run), "status": WAITING, "reason": "not run yet"})
        content = self._write()
        for number, run in enumerate(waiting, 1):
            self._report({"run": run.name, "number": number, "of": len(waiting)})
            self._table.put(self._done(run))
            content = self._write()
        return content

    def _done(self, run: Run) -> Entry:
        """Train and test; a training that fails, or a model that does, is a row that says so."""
        try:
            training = train(run, self._out, self._report)
            self._report({"testing": run.name})
            student = self._out / "runs" / run.name / STUDENT
            test = run.trial.measure(run.teacher.path, student, self._out / CACHE)
        except (UsageError, OutputError):
            raise
        except SyperError as error:
            reason = str(error).replace(f"{self._out}/", "")
            self._report({"failed": run.name, "reason": reason})
            return {**_entry(run), "status": FAILED, "reason": reason}
        self._table.require(f"test images of {test['protocol']}", test["images_sha256"])
        found = test["all"]
        self._report(
            {"done": run.name, "teacher_eer": found["teacher"]["value"], "difference": found["difference"]}
        )
        return {
            **_entry(run),
            "status": DONE,
            "identity": run.identity(),
            "teacher_name": run.teacher.name,
            "teacher_sha256": run.teacher.sha256,
            "images_shown": run.images.shown,
            "steps": run.recipe.steps,
            "recipe": run.recipe.to_dict(),
            "training": training,
            "test": test,
        }

    def _write(self) -> dict[str, Any]:
        names = [run.name for run in self._runs]
        published = [asdict(entry) for entry in self._plan.published]
        content = self._table.content(names, self._protocols, published)
        write_atomically(self._out / PAGE, render_page(content))
        self._table.write(content)
        return content


def _entry(run: Run | LeftOut) -> Entry:
    cell = run.cell
    named = {name: getattr(cell, name) for name in ("bits", "teacher", "images", "count", "preset")}
    return {"name": run.name, "cell": cell.name, **named, "seed": run.seed, "planned": _length(run)}


def _length(run: Run | LeftOut) -> str:
    recipe = run.cell.recipe_of(run.seed)
    if recipe.steps is not None:
        return counted(recipe.steps, "step")
    assert recipe.epochs is not None
    return counted(recipe.epochs, "epoch")


def _plan_record(
    plan: ExperimentPlan, budget: Budget, runs: Sequence[Run | LeftOut], steps: int | None
) -> dict[str, Any]:
    """What may not change from one call to the next."""
    main = [run.trial for run in runs if isinstance(run, Run) and run.cell.protocol is None]
    return {
        "plan": plan.name,
        "budget": budget.name,
        "description": budget.description,
        "cells": [cell_values(cell) for cell in budget.cells],
        "repeats": plan.repeats,
        "steps": steps,
        "protocol": main[0].protocol.name if main else plan.protocol,
        "fold": main[0].fold.name if main else ",".join(plan.folds),
    }


def _inputs(runs: Sequence[Run | LeftOut]) -> dict[str, str]:
    found: dict[str, str] = {}
    for run in runs:
        if isinstance(run, Run):
            found[f"teacher {run.cell.teacher}"] = run.teacher.sha256
            found[f"images {run.cell.images} at {run.teacher.config.input_size} px"] = run.images.sha256
            found[f"fold of {run.trial.protocol.name}"] = run.trial.fold.sha256()
    return found
