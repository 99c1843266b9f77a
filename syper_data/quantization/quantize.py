"""``quantize``: a recognizer and images without labels become a student file, resumable to the step.

The step itself is :class:`~syper_data.quantization.quantization_run.QuantizationRun`; here are the options, the
folder of the run, its log and the resuming.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from syper_data.errors import InputError, UsageError, naming_options
from syper_data.execution.run_files import is_recipe
from syper_data.execution.run_folder import Report, RunFolder, train_in
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
from syper_data.recognition.initialisation import joined_identities
from syper_data.recognition.recognizer_file import RecognizerFile

STUDENT = "student.syq"


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
    ``start`` is a bundled recognizer or a file to begin with in place of the teacher. ``report`` is called with
    what is known of the images, then with each line of the log and, in between, how far the run is.

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

    def open_folder(leads: bool) -> _Folder:
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
        return _Folder(out, QuantizationRun(chosen, known, feed, begun), known, begun, report if leads else None)

    train_in(out, open_folder)
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


class _Folder(RunFolder[QuantizationRun]):
    """The run of a quantization and its folder."""

    digits = 6

    def __init__(
        self,
        path: Path,
        run: QuantizationRun,
        teacher: RecognizerFile,
        start: RecognizerFile | None,
        report: Report | None,
    ) -> None:
        super().__init__(path, run, report)
        self.teacher = teacher
        self._start = None if start is None else start.sha256
        self._origins = [file for file in (teacher, start) if file is not None]

    def begin_anew(self) -> None:
        """Calibrate; an :class:`InputError` where there is nothing to calibrate with."""
        self.run.calibrate()

    @property
    def length(self) -> float:
        """Steps to make."""
        return self.run.steps

    def refuse_another_run(self, state: Mapping[str, Any]) -> None:
        """See :class:`RunFolder`."""
        for what, ours, theirs in (
            ("of another recipe", True, is_recipe(self.run.recipe, state["recipe"])),
            ("with another teacher", self.teacher.sha256, state["teacher_sha256"]),
            ("with another start", self._start, state["start_sha256"]),
            ("on other images", self.run.feed.sha256, state["data_sha256"]),
        ):
            if ours != theirs:
                raise InputError(f"{self.path}: holds a run {what}; choose another --out")

    def noted(self) -> dict[str, Any]:
        """See :class:`RunFolder`."""
        return {"start_sha256": self._start}

    def summary(self) -> dict[str, Any]:
        """See :class:`RunFolder`."""
        return {
            **self.run.feed.summary,
            "teacher": self.teacher.name,
            "teacher_sha256": self.teacher.sha256,
            "teacher_spectrum": self.teacher.spectrum,
            "start_sha256": self._start,
        }

    def announcement(self) -> dict[str, Any]:
        """The summary and the length."""
        return {**self.summary(), "steps": self.run.steps}

    def due(self) -> bool:
        """Every ``snapshot_steps``."""
        return self.run.step % self.run.recipe.snapshot_steps == 0

    def line(self, seconds: float, steps: int) -> dict[str, Any]:
        """See :class:`RunFolder`."""
        run = self.run
        return {
            "step": run.step,
            "of_steps": run.steps,
            "seconds": seconds,
            "images_per_second": round(steps * run.recipe.batch / seconds, 1),
            "weights": run.student.bits.weights,
            "activations": run.student.bits.activations,
        }

    def looked_at(self) -> dict[str, Any]:
        """How near the student is to its teacher on images kept out of training."""
        return self.run.agreement()

    def write_weights(self) -> None:
        """The student file, with what it was made of."""
        run, teacher = self.run, self.teacher
        bits = run.student.bits
        write_student(
            self.path / STUDENT,
            run.student,
            name=f"{teacher.name[:80]}-w{bits.weights}a{bits.activations}",
            spectrum=teacher.spectrum,
            orientation=teacher.orientation,
            identities=joined_identities(self._origins, run.feed.identities),
            teacher_sha256=teacher.sha256,
            data_sha256=run.feed.sha256,
            summary={
                "steps": run.step,
                "of_steps": run.steps,
                "recipe": run.recipe.name,
                "seed": run.recipe.seed,
                "teacher": teacher.name,
                "data": {k: v for k, v in run.feed.summary.items() if k != "sha256"},
                **({} if self._start is None else {"start_sha256": self._start}),
            },
        )
