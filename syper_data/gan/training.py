"""Training: a recipe and crops become a generator file, resumable to the step.

The step itself is :class:`~syper_data.gan.training_run.TrainingRun`; here are the folder of the run,
the log, the snapshots and the resuming.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from syper_data.dataset.atomic import remove_leftovers, write_atomically
from syper_data.dataset.lock import folder_lock
from syper_data.errors import DivergedError, InputError, SyperError
from syper_data.execution.run_files import read_log, reading_checkpoint
from syper_data.execution.team import Team
from syper_data.gan.bundled import open_generator
from syper_data.gan.crops import Pixels, load_crops
from syper_data.gan.generator_file import GeneratorFile, save_generator
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.synthesis import Key
from syper_data.gan.training_run import TrainingRun
from syper_data.gan.watch import Watch
from syper_data.imaging.source import SourceImage, read_images
from syper_data.imaging.split import Split
from syper_data.rendering.sheet import contact_sheet, encode_sheet

Report = Callable[[dict[str, Any]], None]

_CHECKPOINT = "checkpoint.pt"
_LOG = "training.jsonl"
_SHEET_COLUMNS, _SHEET_ROWS = 10, 6
_MAY_CHANGE = ("total_kimg", "decay_kimg")


def train_generator(
    recipe: TrainingRecipe | str | Path,
    data: str | Path | Iterable[SourceImage],
    out: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    subjects: str | Path | Iterable[str] | None = None,
    holdout: float | None = None,
    init_from: str | Path | GeneratorFile | None = None,
    report: Report | None = None,
) -> Path:
    """Train until the recipe's length is reached; the same call again resumes.

    ``data`` is an image source (folder, Parquet, dataset directory; ``columns`` maps our names to
    its own) or the images themselves. ``subjects`` trains on these subjects only (a text file of one
    id a line, or the ids), ``holdout`` leaves out a share of them by a rule; ``evaluate`` measures
    against the others with the same option (:mod:`syper_data.imaging.split`). ``init_from`` is a
    generator file, or a bundled generator's name, to start from. ``report`` is called with what is
    known of the data, then with each line of the log. A resumed run may have another ``total_kimg``
    and ``decay_kimg``; the change is recorded.

    Writes ``recipe.yaml``, ``data.json`` (counts, sizes, classes in their order), ``training.jsonl``,
    ``checkpoint.pt``, ``generator.safetensors`` (the averaged weights) and ``sheets/KIMG.png`` into
    ``out``; returns the generator file. Several processes (``torchrun``) train as one, and the first
    of them writes.

    Raises:
        InputError: unusable crops, or ``out`` holds a run of another recipe, other data or another
            start.
        ConfigError: recipe, data, initial generator and processes do not fit each other.
        LockedError: another process is training into ``out``.
        SyperError: a loss is not finite; the last snapshot stays as it is.
        OutputError: the disk is full; the last snapshot stays as it is.
    """
    out = Path(out)
    if not isinstance(recipe, TrainingRecipe):
        recipe = TrainingRecipe.read(Path(recipe))
    images = read_images(Path(data), columns) if isinstance(data, str | Path) else data
    split = Split.of(holdout, subjects)
    initial = None if init_from is None else open_generator(init_from)
    team = Team.current()
    with folder_lock(out) if team.leads else nullcontext():
        if team.leads:
            remove_leftovers(out)
        team.wait()
        chosen = split.side(images, "training")
        crops = load_crops(chosen, recipe.generator.resolution, recipe.class_of if recipe.conditional else None)
        folder = RunFolder(out, TrainingRun(recipe, crops, initial), report if team.leads else None, split)
        folder.resume()
        team.wait()  # nothing is written before everyone has read
        folder.begin()
        folder.train()
        team.wait()
        return out / "generator.safetensors"


class RunFolder:
    """A run and the folder that it is written to."""

    def __init__(self, path: Path, run: TrainingRun, report: Report | None, split: Split | None = None) -> None:
        self.path, self.run, self.split = path, run, split or Split()
        self._report = report or (lambda line: None)
        self._changes: list[dict[str, Any]] = []
        self._lines: list[str] = []
        self._watch: Watch | None = None

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one.

        Raises:
            InputError: it is damaged, or that of another run.
        """
        path = self.path / _CHECKPOINT
        if not path.exists():
            return
        with reading_checkpoint(path):
            state = torch.load(path, map_location="cpu", weights_only=True)
            self._refuse_another_run(state)
            self.run.restore(state)
            self._changes = self._recorded_changes(state)
        self._lines = read_log(self.path / _LOG, "kimg", round(self.run.kimg, 3))

    def _refuse_another_run(self, state: dict[str, Any]) -> None:
        run, stored = self.run, dict(state["recipe"])
        mine = run.recipe.to_dict()
        different = [key for key in mine if key not in _MAY_CHANGE and stored.get(key) != mine[key]]
        if different or set(stored) != set(mine):
            raise InputError(f"{self.path}: holds a run of another recipe; choose another --out")
        if state["data_sha256"] != run.crops.sha256:
            raise InputError(f"{self.path}: holds a run on other images; choose another --out")
        if state["init_from"] != run.init_from:
            theirs, ours = (x[:12] if x else "nothing" for x in (state["init_from"], run.init_from))
            raise InputError(
                f"{self.path}: holds a run that started from {theirs}, not from {ours}; give the same --init-from"
            )

    def _recorded_changes(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        changes = [dict(change) for change in state["changes"]]
        before = {key: state["recipe"][key] for key in _MAY_CHANGE}
        after = {key: getattr(self.run.recipe, key) for key in _MAY_CHANGE}
        if before != after:
            changes.append({"at_kimg": round(self.run.kimg, 3), "from": before, "to": after})
        return changes

    def begin(self) -> None:
        """Write what is known before the first step, and report it."""
        run = self.run
        summary = {**run.crops.summary(), **self.split.record(), "init_from": run.init_from}
        if run.team.leads:
            write_atomically(self.path / "recipe.yaml", run.recipe.write_text())
            write_atomically(self.path / "data.json", json.dumps(summary, indent=1) + "\n")
        shown = {key: value for key, value in summary.items() if key != "classes"}
        self._report({**shown, "classes": len(run.crops.classes), "from_kimg": round(run.kimg, 3)})

    def train(self) -> None:
        """Steps, and a snapshot every ``snapshot_kimg``, until the run is done."""
        run, recipe = self.run, self.run.recipe
        started, first_step = time.monotonic(), run.step
        figures: dict[str, list[float]] = {}
        next_snapshot = run.kimg + recipe.snapshot_kimg
        while not run.done:
            try:
                for name, value in run.advance().items():
                    figures.setdefault(name, []).append(value)
            except DivergedError as error:
                raise self._stopped(str(error)) from error
            if run.kimg >= next_snapshot or run.done:
                next_snapshot = run.kimg + recipe.snapshot_kimg
                seconds = time.monotonic() - started
                line = {
                    "kimg": round(run.kimg, 3),
                    "of_kimg": recipe.total_kimg,
                    "seconds": round(seconds, 1),
                    "kimg_per_hour": round((run.step - first_step) * recipe.batch * 3.6 / seconds, 1),
                    **{name: round(sum(values) / len(values), 4) for name, values in figures.items()},
                }
                if recipe.augment.kind == "ada":
                    line["augment_p"] = round(run.augmenter.probability, 4)
                figures = {}
                if run.team.leads:
                    self._snapshot(line)

    def _stopped(self, reason: str) -> SyperError:
        kept = f"{self.path / _CHECKPOINT} is kept" if self._lines else "no snapshot was made yet"
        return SyperError(f"{self.path}: {reason}; {kept}; lower the learning rates")

    def _snapshot(self, line: dict[str, Any]) -> None:
        run = self.run
        if not run.finite():
            raise self._stopped(f"training diverged at {run.kimg:.3f} kimg (weights are not finite)")
        self._watch = self._watch or Watch.of(run)
        line = {**line, **self._watch.look(run)}
        summary = {
            "kimg": round(run.kimg, 3),
            "recipe": run.recipe.name,
            "images": len(run.crops),
            "data_sha256": run.crops.sha256,
            "adversary": run.adversary.description,
            "seed": run.recipe.seed,
        }
        optional = {
            "classes": list(run.crops.classes),
            **self.split.record(),
            "init_from": run.init_from,
            "changes": self._changes,
        }
        summary |= {name: value for name, value in optional.items() if value}
        self._lines.append(json.dumps(line))
        buffer = io.BytesIO()  # torch.save itself hides a full disk behind a RuntimeError
        torch.save({**run.state(), "changes": self._changes}, buffer)
        write_atomically(self.path / "sheets" / f"{run.kimg:08.3f}.png", encode_sheet(sheet(run)))
        save_generator(
            run.average, self.path / "generator.safetensors", spectrum=run.recipe.spectrum, summary=summary
        )
        write_atomically(self.path / _LOG, "".join(text + "\n" for text in self._lines))
        write_atomically(self.path / _CHECKPOINT, buffer.getvalue())
        self._report(line)


def sheet(run: TrainingRun) -> Pixels:
    """The averaged generator's images: seeds 0..59, or ten seeds a row for up to six classes, spread
    over all of them."""
    c_dim = run.recipe.generator.c_dim
    if not c_dim:
        keys: list[Key] = [(seed, None) for seed in range(_SHEET_COLUMNS * _SHEET_ROWS)]
    else:
        rows = min(c_dim, _SHEET_ROWS)
        classes = [round(i) for i in np.linspace(0, c_dim - 1, rows)]
        keys = [(seed, label) for label in classes for seed in range(_SHEET_COLUMNS)]
    return contact_sheet(list(run.samples(keys)), _SHEET_COLUMNS)
