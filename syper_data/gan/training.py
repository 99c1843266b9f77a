"""Training: a recipe and crops become a generator file, resumable to the step.

The step itself is :class:`~syper_data.gan.training_run.TrainingRun`; here is what its folder
holds (:mod:`syper_data.execution.run_folder`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.dataset.atomic import write_atomically
from syper_data.errors import InputError
from syper_data.execution.run_files import is_recipe
from syper_data.execution.run_folder import Report, RunFolder, another_start, train_in
from syper_data.gan.bundled import open_generator
from syper_data.gan.crops import Pixels, load_crops
from syper_data.gan.generator_file import GeneratorFile, save_generator
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.synthesis import Key
from syper_data.gan.training_run import TrainingRun
from syper_data.gan.watch import Watch
from syper_data.imaging.source import SourceImage, read_images
from syper_data.imaging.spectrum import OneSpectrum
from syper_data.imaging.split import Split
from syper_data.rendering.sheet import contact_sheet, encode_sheet

_WEIGHTS = "generator.safetensors"
_SHEET_COLUMNS, _SHEET_ROWS = 10, 6
_MAY_CHANGE = ("total_kimg", "decay_kimg")
_SPECTRUM = {"vis": "spectrum: vis and img_channels: 3", "nir": "spectrum: nir and img_channels: 1"}


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
    known of the data, then with each line of the log and, in between, how far the run is; these say
    ``seconds_left``. A resumed run may have another ``total_kimg``
    and ``decay_kimg``; the change is recorded.

    Writes ``recipe.yaml``, ``data.json`` (counts, sizes, classes in their order), ``training.jsonl``,
    ``checkpoint.pt``, ``generator.safetensors`` (the averaged weights) and ``sheets/KIMG.png`` into
    ``out``; returns the generator file. Several processes (``torchrun``) train as one, and the first
    of them writes.

    Raises:
        InputError: unusable crops, crops of another spectrum than the recipe's, or ``out`` holds a run of
            another recipe, other data or another start.
        ConfigError: recipe, data, initial generator and processes do not fit each other.
        LockedError: another process is training into ``out``.
        SyperError: a loss is not finite; the last snapshot stays as it is.
        OutputError: the disk is full; the last snapshot stays as it is.
    """
    out = Path(out)
    recipe = recipe if isinstance(recipe, TrainingRecipe) else TrainingRecipe.read(Path(recipe))
    images = read_images(Path(data), columns) if isinstance(data, str | Path) else data
    split = Split.of(holdout, subjects)
    initial = None if init_from is None else open_generator(init_from)

    def open_folder(leads: bool) -> GeneratorFolder:
        chosen = OneSpectrum(recipe.spectrum, _SPECTRUM).checked(split.side(images, "training"))
        crops = load_crops(chosen, recipe.generator.resolution, recipe.class_of if recipe.conditional else None)
        return GeneratorFolder(out, TrainingRun(recipe, crops, initial), report if leads else None, split, columns)

    train_in(out, open_folder)
    return out / _WEIGHTS


class GeneratorFolder(RunFolder[TrainingRun]):
    """The run of a generator and its folder, with a contact sheet a snapshot."""

    counter = "kimg"
    digits = 4
    advice = "lower the learning rates"

    def __init__(
        self,
        path: Path,
        run: TrainingRun,
        report: Report | None,
        split: Split | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(path, run, report)
        self.split, self._columns = split or Split(), dict(columns or {})
        self._changes: list[dict[str, Any]] = []
        self._watch: Watch | None = None
        self._next = run.kimg + run.recipe.snapshot_kimg

    @property
    def reached(self) -> float:
        """Thousands of images shown."""
        return round(self.run.kimg, 3)

    @property
    def length(self) -> float:
        """Thousands of images to show."""
        return self.run.recipe.total_kimg

    def refuse_another_run(self, state: Mapping[str, Any]) -> None:
        """See :class:`RunFolder`; the length may change."""
        run = self.run
        lengths = {key: getattr(run.recipe, key) for key in _MAY_CHANGE}
        if not is_recipe(run.recipe, {**state["recipe"], **lengths}):
            raise InputError(f"{self.path}: holds a run of another recipe; choose another --out")
        if state["data_sha256"] != run.crops.sha256:
            raise InputError(f"{self.path}: holds a run on other images; choose another --out")
        if state["init_from"] != run.init_from:
            raise another_start(self.path, state["init_from"], run.init_from, "--init-from")

    def recall(self, state: Mapping[str, Any]) -> None:
        """Take up what the checkpoint says of changed lengths, and note a further one."""
        self._changes = [dict(change) for change in state["changes"]]
        stored = TrainingRecipe.from_dict(state["recipe"])
        before = {key: getattr(stored, key) for key in _MAY_CHANGE}
        after = {key: getattr(self.run.recipe, key) for key in _MAY_CHANGE}
        if before != after:
            self._changes.append({"at_kimg": self.reached, "from": before, "to": after})
        self._next = self.run.kimg + self.run.recipe.snapshot_kimg

    def noted(self) -> dict[str, Any]:
        """See :class:`RunFolder`."""
        return {"changes": self._changes}

    def summary(self) -> dict[str, Any]:
        """See :class:`RunFolder`."""
        read = {"columns": self._columns or None, **self.split.record()}
        return {**self.run.crops.summary(), **read, "init_from": self.run.init_from}

    def announcement(self) -> dict[str, Any]:
        """The summary, with the number of the classes in place of their names, and the length."""
        return {
            **self.summary(),
            "classes": len(self.run.crops.classes),
            "of_kimg": self.run.recipe.total_kimg,
        }

    def due(self) -> bool:
        """Every ``snapshot_kimg``."""
        due = self.run.kimg >= self._next
        if due:
            self._next = self.run.kimg + self.run.recipe.snapshot_kimg
        return due

    def line(self, seconds: float, steps: int) -> dict[str, Any]:
        """See :class:`RunFolder`."""
        recipe = self.run.recipe
        return {
            "kimg": self.reached,
            "of_kimg": recipe.total_kimg,
            "seconds": seconds,
            "kimg_per_hour": round(steps * recipe.batch * 3.6 / seconds, 1),
        }

    def looked_at(self) -> dict[str, Any]:
        """The adapted strength of augmentation, signs of collapse and of copying."""
        run = self.run
        self._watch = self._watch or Watch.of(run)
        adapted = {"augment_p": run.augmenter.probability} if run.recipe.augment.kind == "ada" else {}
        return {**adapted, **self._watch.look(run)}

    def write_weights(self) -> None:
        """The averaged generator, with what it was made of, and its contact sheet."""
        run = self.run
        summary = {
            "kimg": self.reached,
            "recipe": run.recipe.name,
            "images": len(run.crops),
            "data_sha256": run.crops.sha256,
            "adversary": run.adversary.description,
            "seed": run.recipe.seed,
        }
        optional = {
            "classes": list(run.crops.classes),
            "class_of": run.recipe.class_of if run.crops.classes else None,
            "columns": self._columns,
            **self.split.record(),
            "init_from": run.init_from,
            "changes": self._changes,
        }
        summary |= {name: value for name, value in optional.items() if value}
        write_atomically(self.path / "sheets" / f"{run.kimg:08.3f}.png", encode_sheet(sheet(run)))
        save_generator(run.average, self.path / _WEIGHTS, spectrum=run.recipe.spectrum, summary=summary)


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
