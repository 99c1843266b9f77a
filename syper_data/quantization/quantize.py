"""``quantize``: a recognizer and images without labels become a student file, resumable to the step.

The step itself is :class:`~syper_data.quantization.quantization_run.QuantizationRun`; here are the options, the
folder of the run, its log and the resuming.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from syper_data.dataset.atomic import remove_leftovers, write_atomically
from syper_data.dataset.lock import folder_lock
from syper_data.errors import DivergedError, InputError, SyperError, UsageError, naming_options
from syper_data.execution.run_files import read_log, reading_checkpoint
from syper_data.execution.team import Team
from syper_data.gan.config import check_whole
from syper_data.gan.generator_file import GeneratorFile
from syper_data.quantization.bits import LEAST, MOST, parse_layer_bits
from syper_data.quantization.images import Source, open_feed
from syper_data.quantization.presets import default_recipe
from syper_data.quantization.presets import preset as published
from syper_data.quantization.quantization_run import QuantizationRun
from syper_data.quantization.recipe import QuantizationRecipe
from syper_data.quantization.student_file import write_student
from syper_data.recognition.bundled import open_recognizer
from syper_data.recognition.recognizer_file import RecognizerFile

Report = Callable[[dict[str, Any]], None]

STUDENT = "student.syq"
_CHECKPOINT = "checkpoint.pt"
_LOG = "training.jsonl"


def quantize(
    *,
    teacher: str | Path | None = None,
    data: Source | Sequence[str | Path] | None = None,
    generator: str | Path | GeneratorFile | None = None,
    columns: Mapping[str, str] | None = None,
    weights: int | None = None,
    activations: int | None = None,
    layer_bits: Sequence[str] | None = None,
    preset: str | None = None,
    recipe: QuantizationRecipe | str | Path | None = None,
    steps: int | None = None,
    seed: int | None = None,
    start: str | Path | None = None,
    out: str | Path,
    report: Report | None = None,
) -> Path:
    """Train a student of few bits to give the teacher's vectors; the same call again resumes.

    ``teacher`` is a bundled recognizer or a recognizer file (default: the bundled one for visible light). Images
    come from ``data`` (an image source, several of them, or the images themselves; nothing is learned from labels,
    but the student's file lists the people whom they name as those of its training)
    or from a ``generator``, which makes every one of them anew and keeps none. ``weights`` and ``activations`` are
    bits, 2..8; ``layer_bits`` says otherwise for some layers (``"conv1.*=8/8"``). The schedule is the default
    one, a ``preset`` (syper, quantface) or a ``recipe`` (YAML), and what is given besides replaces its values.
    ``start`` is a recognizer file to begin with in place of the teacher. ``report`` is called with what is
    known of the images, then with each line of the log.

    Writes ``recipe.yaml``, ``data.json``, ``training.jsonl``, ``checkpoint.pt`` and ``student.syq`` into ``out``;
    returns that file. Several processes (``torchrun``) train as one, and the first of them writes.

    Raises:
        UsageError: options that exclude each other, or a width out of 2..8.
        InputError: an unusable teacher, start or image, activations without a range, or ``out`` holds another run.
        ConfigError: the recipe makes no sense, or its batch does not divide over the processes.
        LockedError: another process is writing into ``out``.
        SyperError: the loss is not finite; the last checkpoint stays as it is.
        OutputError: the disk is full; the last checkpoint stays as it is.
    """
    out = Path(out)
    chosen = _recipe(preset, recipe, weights, activations, layer_bits, steps, seed)
    known = open_recognizer(teacher)
    begun = None if start is None else open_recognizer(start)
    team = Team.current()
    with folder_lock(out) if team.leads else nullcontext():
        if team.leads:
            remove_leftovers(out)
        team.wait()
        feed = open_feed(
            data,
            generator,
            known.config.input_size,
            columns=columns,
            steps=chosen.steps,
            batch=chosen.batch,
            held_out=chosen.validation_images,
            seed=chosen.seed,
            seed_start=chosen.seed_start,
            psi=chosen.psi,
        )
        run = QuantizationRun(chosen, known, feed, begun)
        folder = _Folder(out, run, known, begun, report if team.leads else None)
        folder.resume()
        team.wait()  # nothing is written before everyone has read
        folder.begin()
        folder.train()
        team.wait()
        return out / STUDENT


def _recipe(
    preset: str | None,
    recipe: QuantizationRecipe | str | Path | None,
    weights: int | None,
    activations: int | None,
    layer_bits: Sequence[str] | None,
    steps: int | None,
    seed: int | None,
) -> QuantizationRecipe:
    """The recipe that the options say."""
    if preset is not None and recipe is not None:
        raise UsageError("--preset and --recipe exclude each other")
    if isinstance(recipe, str | Path):
        chosen = QuantizationRecipe.read(Path(recipe))
    elif recipe is not None:
        chosen = recipe
    else:
        chosen = default_recipe() if preset is None else published(preset)
    bits = chosen.bits
    with naming_options("weights", "activations"):
        if weights is not None:
            check_whole("weights", weights, LEAST, MOST)
            bits = replace(bits, weights=weights)
        if activations is not None:
            check_whole("activations", activations, LEAST, MOST)
            bits = replace(bits, activations=activations)
    if layer_bits:
        bits = replace(bits, other=(*bits.other, *parse_layer_bits(tuple(layer_bits))))
    chosen = replace(chosen, bits=bits)
    if steps is not None:
        chosen = replace(chosen, steps=steps, epochs=None)
    return chosen if seed is None else replace(chosen, seed=seed)


class _Folder:
    """A run and the folder that it is written to."""

    def __init__(
        self,
        path: Path,
        run: QuantizationRun,
        teacher: RecognizerFile,
        start: RecognizerFile | None,
        report: Report | None,
    ) -> None:
        self.path, self.run, self.teacher = path, run, teacher
        self._start = None if start is None else start.sha256
        self._origins = [file for file in (teacher, start) if file is not None]
        self._report = report or (lambda line: None)
        self._lines: list[str] = []
        self._seconds = 0.0  # of training, before this process

    def resume(self) -> None:
        """Continue from the checkpoint; without one, calibrate.

        Raises:
            InputError: the checkpoint is damaged or that of another run, or there is nothing to calibrate with.
        """
        path = self.path / _CHECKPOINT
        if not path.exists():
            self.run.calibrate()
            return
        with reading_checkpoint(path):
            state = torch.load(path, map_location="cpu", weights_only=True)
            self._refuse_another_run(state)
            self.run.restore(state)
            self._seconds = float(state["seconds"])
        self._lines = read_log(self.path / _LOG, "step", self.run.step)

    def _refuse_another_run(self, state: dict[str, Any]) -> None:
        for what, ours, theirs in (
            ("of another recipe", self.run.recipe.to_dict(), dict(state["recipe"])),
            ("with another teacher", self.teacher.sha256, state["teacher_sha256"]),
            ("with another start", self._start, state["start_sha256"]),
            ("on other images", self.run.feed.sha256, state["data_sha256"]),
        ):
            if ours != theirs:
                raise InputError(f"{self.path}: holds a run {what}; choose another --out")

    def begin(self) -> None:
        """Write what is known before the first step, and report it."""
        run = self.run
        summary = {
            **run.feed.summary,
            "teacher": self.teacher.name,
            "teacher_sha256": self.teacher.sha256,
            "teacher_spectrum": self.teacher.spectrum,
            "start_sha256": self._start,
        }
        if run.team.leads:
            write_atomically(self.path / "recipe.yaml", run.recipe.write_text())
            write_atomically(self.path / "data.json", json.dumps(summary, indent=1) + "\n")
        self._report({**summary, "steps": run.steps, "from_step": run.step})

    def train(self) -> None:
        """Steps, and a snapshot every ``snapshot_steps``, until the run is done."""
        run, started, first = self.run, time.monotonic(), self.run.step
        figures: dict[str, list[float]] = {}
        while not run.done:
            try:
                for name, value in run.advance().items():
                    figures.setdefault(name, []).append(value)
            except DivergedError as error:
                raise self._stopped(str(error)) from error
            if run.step % run.recipe.snapshot_steps == 0 or run.done:
                seconds = time.monotonic() - started
                line: dict[str, Any] = {
                    "step": run.step,
                    "of_steps": run.steps,
                    "seconds": round(self._seconds + seconds, 1),
                    "images_per_second": round((run.step - first) * run.recipe.batch / seconds, 1),
                    "weights": run.student.bits.weights,
                    "activations": run.student.bits.activations,
                    **{name: round(sum(values) / len(values), 6) for name, values in figures.items()},
                }
                figures = {}
                if run.team.leads:
                    self._snapshot(line)
                run.team.wait()

    def _stopped(self, reason: str) -> SyperError:
        kept = f"{self.path / _CHECKPOINT} is kept" if self._lines else "no snapshot was made yet"
        return SyperError(f"{self.path}: {reason}; {kept}; lower optimiser.lr")

    def _snapshot(self, line: dict[str, Any]) -> None:
        run = self.run
        if not run.finite():
            raise self._stopped(f"training diverged at step {run.step} (weights are not finite)")
        line |= {name: round(value, 6) for name, value in run.agreement().items()}
        self._lines.append(json.dumps(line))
        buffer = io.BytesIO()  # torch.save itself hides a full disk behind a RuntimeError
        torch.save({**run.state(), "start_sha256": self._start, "seconds": line["seconds"]}, buffer)
        self._write_student()
        write_atomically(self.path / _LOG, "".join(text + "\n" for text in self._lines))
        write_atomically(self.path / _CHECKPOINT, buffer.getvalue())
        self._report(line)

    def _write_student(self) -> None:
        run, teacher = self.run, self.teacher
        bits, known = run.student.bits, all(file.identities_known for file in self._origins)
        write_student(
            self.path / STUDENT,
            run.student,
            name=f"{teacher.name[:80]}-w{bits.weights}a{bits.activations}",
            spectrum=teacher.spectrum,
            orientation=teacher.orientation,
            identities=run.feed.identities.union(*(f.identities for f in self._origins)) if known else None,
            teacher_sha256=teacher.sha256,
            data_sha256=run.feed.sha256,
            summary={
                "steps": run.step,
                "of_steps": run.steps,
                "recipe": run.recipe.name,
                "seed": run.recipe.seed,
                "teacher": teacher.name,
                "data": {k: v for k, v in run.feed.summary.items() if k != "sha256"},
            },
        )
