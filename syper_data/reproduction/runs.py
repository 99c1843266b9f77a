"""The runs of a budget: a cell and a seed, with the teacher and images that were found, or why it is left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from syper_data.errors import SyperError
from syper_data.execution.run_files import read_log
from syper_data.quantization.bench_model import bytes_promised, parameter_count
from syper_data.quantization.quantize import quantize
from syper_data.quantization.recipe import QuantizationRecipe
from syper_data.quantization.student_file import read_student
from syper_data.recognition.recognizer_file import RecognizerFile
from syper_data.reproduction.materials import Images, Materials, MissingError
from syper_data.reproduction.plan import SEEDS_APART, Budget, Cell
from syper_data.reproduction.testing import Trial, Trials
from syper_data.sampling.sample import sample

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Run:
    """One student to be trained and tested."""

    cell: Cell
    seed: int
    recipe: QuantizationRecipe
    teacher: RecognizerFile
    images: Images
    trial: Trial

    @property
    def name(self) -> str:
        """Of its folder."""
        return run_name(self.cell, self.seed)

    def identity(self) -> str:
        """SHA-256 of all that its figures depend on: recipe, teacher, images, comparisons, resamples."""
        parts = {
            "recipe": self.recipe.to_dict(),
            "teacher": self.teacher.sha256,
            "images": self.images.sha256,
            "count": self.cell.count,
            "fold": self.trial.fold.sha256(),
            "repeats": self.trial.settings.repeats,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class LeftOut:
    """A run that can't be made, and why."""

    cell: Cell
    seed: int
    reason: str

    @property
    def name(self) -> str:
        """What its folder would be called."""
        return run_name(self.cell, self.seed)


def run_name(cell: Cell, seed: int) -> str:
    """A run's folder: ``w4a4-nir-synthetic-seed0``."""
    return f"{cell.name}-seed{seed}"


def runs_of(budget: Budget, materials: Materials, trials: Trials, steps: int | None) -> list[Run | LeftOut]:
    """Every seed of every cell, in the plan's order; ``steps`` replace the lengths.

    Raises:
        UsageError: the protocol needs an option, or has several folds.
        InputError: what the user gave is unusable.
    """
    return [run for cell in budget.cells for run in _runs(cell, materials, trials, steps)]


def _runs(cell: Cell, materials: Materials, trials: Trials, steps: int | None) -> list[Run | LeftOut]:
    try:
        teacher = materials.teacher(cell.teacher)
        images = materials.images(cell.images, teacher.config.input_size)
    except MissingError as error:
        return [LeftOut(cell, seed, str(error)) for seed in cell.seeds]
    try:
        trial = trials.of(cell.protocol)
    except SyperError as error:
        if cell.protocol is None:
            raise
        return [LeftOut(cell, seed, str(error)) for seed in cell.seeds]
    known = trial.known_people(teacher, images.identities)
    if known is not None:
        return [LeftOut(cell, seed, known) for seed in cell.seeds]
    found: list[Run | LeftOut] = []
    for seed in cell.seeds:
        recipe = cell.recipe_of(seed)
        recipe = recipe if steps is None else replace(recipe, steps=steps, epochs=None)
        found.append(Run(cell, seed, recipe, teacher, images, trial))
    return found


def train(run: Run, out: Path, report: Report) -> dict[str, Any]:
    """Train the student of a run, or go on with it, with :func:`~syper_data.quantization.quantize.quantize`.

    Its folder is ``out/runs/NAME``; images that are made once lie in ``out/images``, shared by the runs that
    repeat them. Returns what the table holds of the training.

    Raises:
        SyperError: whatever ``quantize`` and ``sample`` raise.
    """
    folder = out / "runs" / run.name
    if run.images.generator is None:
        source: dict[str, Any] = {"data": run.images.path}
    elif run.cell.count is None:
        source = {"generator": run.images.path}
    else:
        source = {"data": _stored(run.images, run.cell.count, out, report)}
    student = quantize(teacher=run.teacher.path, recipe=run.recipe, out=folder, report=report, **source)
    last = json.loads(read_log(folder / "training.jsonl", "step", run.recipe.steps or 10**9)[-1])
    data = json.loads((folder / "data.json").read_text("utf-8"))
    seen = last["step"] * run.recipe.batch
    return {
        "seconds": last["seconds"],
        "steps": last["step"],
        "images_seen": seen,
        "different_images": min(seen, data.get("images", seen)),
        "agreement": last["agreement"],
        "least_agreement": last["least_agreement"],
        "data_sha256": data.get("sha256") or data["generator_sha256"],
        "student_bytes": student.stat().st_size,
        "promised_bytes": bytes_promised(read_student(student).network),
        "teacher_bytes": run.teacher.path.stat().st_size,
        "parameters": parameter_count(run.teacher.config),
    }


def _stored(images: Images, count: int, out: Path, report: Report) -> Path:
    """``count`` images of a generator, made once: a dataset directory."""
    assert images.generator is not None
    folder = out / "images" / f"{images.generator.name}-{images.sha256[:8]}-{count}"

    report({"sampling": count, "generator": images.shown})
    sample(n=count, seed_start=SEEDS_APART, generator=images.path, out=folder)
    return folder
