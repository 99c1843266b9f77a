"""Training a recognizer: labelled crops become a recognizer file, resumable to the step.

The step itself is :class:`~syper_data.recognition.training_run.RecognizerRun`; here are the folder of the
run, its log, the validation and the resuming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from syper_data.errors import InputError, UsageError
from syper_data.execution.run_files import is_recipe
from syper_data.execution.run_folder import Report, RunFolder, another_start, train_in
from syper_data.imaging.holdout import is_held_out
from syper_data.imaging.source import SourceImage
from syper_data.imaging.spectrum import SPECTRA, OneSpectrum
from syper_data.imaging.split import Split
from syper_data.imaging.subjects import one_half, only_subjects, read_people
from syper_data.recognition.batches import LabelledLessons
from syper_data.recognition.bundled import WEIGHTS, open_recognizer
from syper_data.recognition.eyes import Eyes, load_eyes
from syper_data.recognition.initialisation import check_start, joined_identities, known_to
from syper_data.recognition.recipe import RecognizerRecipe
from syper_data.recognition.recognizer_file import identity_digest, write_recognizer
from syper_data.recognition.training_run import RecognizerRun
from syper_data.recognition.validation import validate

Source = str | Path | Iterable[SourceImage]


def train_recognizer(
    recipe: RecognizerRecipe | str | Path,
    data: Source | Sequence[str | Path],
    out: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    subjects: str | Path | Iterable[str] | None = None,
    subjects_half: int | None = None,
    holdout: float | None = None,
    init_from: str | Path | None = None,
    report: Report | None = None,
) -> Path:
    """Train until the recipe's length is reached; the same call again resumes.

    ``data`` is an image source with the columns ``subject`` and ``side``, several of them (a list), or
    the images themselves; ``columns`` maps our names to the source's own. The same id in two sources
    is two persons. ``subjects`` (a text file, one id a line, or the ids) and ``subjects_half`` (0 or
    1, by the last bit of the id's SHA-256) choose whom to read at all; ``holdout`` then leaves a share of
    them out of training, by the rule of :mod:`syper_data.imaging.holdout`, and the log says how well the
    network tells *them* apart. ``init_from`` is a bundled recognizer's name, or a recognizer file, of the recipe's
    architecture, whose weights the backbone begins with; the margin head begins fresh. ``report`` is called with
    what is known of the data, then with each line of the log and, in between, how far the run is; these say
    ``seconds_left``.

    Writes ``recipe.yaml``, ``data.json``, ``training.jsonl``, ``checkpoint.pt`` and
    ``recognizer.safetensors`` (with the digests of the plain ids trained on, and of those that ``init_from`` was
    trained on; its orientation is that of ``init_from``) into ``out``; returns that file. Several processes
    (``torchrun``) train as one, and the first of them writes.

    Raises:
        InputError: unusable crops or list of subjects, crops of another spectrum than the recipe's, or ``out``
            holds a run of another recipe, other data or another start; ``init_from`` is unusable, or of another
            architecture.
        ConfigError: the recipe makes no sense, or its batch does not divide over the processes.
        UsageError: a half or a share out of range, or a recipe that needs a teacher.
        LockedError: another process is training into ``out``.
        SyperError: the loss is not finite; the last checkpoint stays as it is.
        OutputError: the disk is full; the last checkpoint stays as it is.
    """
    out = Path(out)
    recipe = recipe if isinstance(recipe, RecognizerRecipe) else RecognizerRecipe.read(Path(recipe))
    wanted = Split.of(None, subjects).listed
    if recipe.distill is not None:
        raise UsageError(f"the recipe {recipe.name} has a distill section: train with syper-data distill --recipe")
    spectrum = OneSpectrum(recipe.spectrum, {name: f"spectrum: {name}" for name in SPECTRA})
    begun = None if init_from is None else open_recognizer(init_from)
    if begun is not None:
        check_start(begun, recipe.backbone)
    given = labelled_sources(data, columns)
    sources = [spectrum.checked(_chosen(images, wanted, subjects_half)) for images in given]
    held_out = None if holdout is None else partial(is_held_out, share=holdout)
    if holdout is not None:
        is_held_out("", holdout)  # a share out of range is said before anything is read

    def open_folder(leads: bool) -> RecognizerFolder:
        size, at_least = recipe.backbone.input_size, recipe.sampling.at_least
        eyes = load_eyes(sources, size, recipe.both_eyes, at_least=at_least, held_out=held_out)
        eyes.summary.update(subjects_half=subjects_half, holdout=holdout, **how_read(data, columns, wanted))
        if begun is not None and eyes.validation is not None:
            eyes.summary["validation_known_to_start"] = known_to(begun, eyes.validation.subjects)
        run = RecognizerRun(recipe, LabelledLessons(eyes.training, recipe), begun)
        origins = [] if begun is None else [begun]
        known = joined_identities(origins, map(identity_digest, eyes.training.subjects))
        return RecognizerFolder(out, run, eyes.summary, known, report if leads else None, eyes.validation)

    train_in(out, open_folder)
    return out / WEIGHTS


def labelled_sources(
    data: Source | Sequence[str | Path], columns: Mapping[str, str] | None
) -> list[Iterable[SourceImage]]:
    """One source of labelled images, several of them, or the images themselves."""
    return opened_sources(data, lambda path: read_people(path, columns))


def how_read(
    data: Source | Sequence[str | Path], columns: Mapping[str, str] | None, listed: frozenset[str] | None = None
) -> dict[str, Any]:
    """What a run's summary says of the options ``--data``, ``--columns`` and ``--subjects``; no path, no id."""
    several = [] if isinstance(data, str | Path) else [entry for entry in data if isinstance(entry, str | Path)]
    return {
        "sources": max(1, len(several)),
        "columns": dict(columns) if columns else None,
        "listed": Split(listed=listed).record()["listed"],
    }


def opened_sources(
    data: Source | Sequence[str | Path], read: Callable[[str | Path], Iterable[SourceImage]]
) -> list[Iterable[SourceImage]]:
    """What ``read`` gives for one path or each of several, or the images that were given themselves.

    Raises:
        UsageError: nothing was given, or paths and images mixed.
    """
    given = [data] if isinstance(data, str | Path) else list(data)
    paths = [entry for entry in given if isinstance(entry, str | Path)]
    if not given:
        raise UsageError("--data: no image source was given")
    if len(paths) not in (0, len(given)):
        raise UsageError("data: paths and images can't be mixed")
    if not paths:
        return [[entry for entry in given if isinstance(entry, SourceImage)]]
    return [read(path) for path in paths]


def _chosen(
    images: Iterable[SourceImage], subjects: Iterable[str] | None, half: int | None
) -> Iterator[SourceImage]:
    chosen = iter(images)
    if subjects is not None:
        chosen = only_subjects(chosen, subjects)
    return chosen if half is None else one_half(chosen, half)


class RecognizerFolder(RunFolder[RecognizerRun]):
    """The run of a recognizer and its folder."""

    start_option: ClassVar[str] = "--init-from"

    def __init__(
        self,
        path: Path,
        run: RecognizerRun,
        summary: Mapping[str, Any],
        identities: Iterable[str] | None,
        report: Report | None,
        validation: Eyes | None = None,
    ) -> None:
        """``summary`` says what is trained on, ``identities`` are digests of whom (None: nobody knows)."""
        super().__init__(path, run, report)
        self.validation = validation
        self._summary, self._identities = {**summary, **run.start}, identities

    @property
    def length(self) -> float:
        """Steps to make."""
        return self.run.steps

    def work(self, reached: float) -> float:
        """Pixels: a step of large images takes longer than one of small ones."""
        return self.run.recipe.pixels_until(reached / self.run.steps)

    def refuse_another_run(self, state: Mapping[str, Any]) -> None:
        """See :class:`RunFolder`."""
        if not is_recipe(self.run.recipe, state["recipe"]):
            raise InputError(f"{self.path}: holds a run of another recipe; choose another --out")
        theirs = (state["data_sha256"], state["validation_sha256"])
        if theirs != (self._summary["sha256"], self._summary.get("validation_sha256")):
            raise InputError(
                f"{self.path}: holds a run on other images or subjects; give the same --data, --subjects, "
                "--subjects-half and --holdout, or choose another --out"
            )
        began, ours = state.get("start_sha256"), self.run.start["start_sha256"]  # absent from old checkpoints
        if began != ours:
            raise another_start(self.path, began, ours, self.start_option)

    def noted(self) -> dict[str, Any]:
        """See :class:`RunFolder`."""
        return {"validation_sha256": self._summary.get("validation_sha256")}

    def summary(self) -> dict[str, Any]:
        """See :class:`RunFolder`."""
        return self._summary

    def announcement(self) -> dict[str, Any]:
        """The summary and the length."""
        return {**self._summary, "steps": self.run.steps}

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
            "images_per_second": round(steps * run.recipe.sampling.batch / seconds, 1),
            "size": run.recipe.size_at((run.step - 1) / run.steps),
        }

    def looked_at(self) -> dict[str, Any]:
        """How well the network does on what it is not trained on."""
        if self.validation is None:
            return {}
        run = self.run
        watched = self.validation.first(run.recipe.validation_images)
        return validate(run.averaged, watched, run.device, mirrored=run.mirrored)

    def write_weights(self) -> None:
        """The recognizer file, with what it was made of."""
        recipe, run = self.run.recipe, self.run
        summary = {
            "steps": run.step,
            "of_steps": run.steps,
            "recipe": recipe.name,
            "seed": recipe.seed,
            "both_eyes": recipe.both_eyes,
            **{k: v for k, v in self._summary.items() if v is not None},
        }
        write_recognizer(
            self.path / WEIGHTS,
            run.averaged,
            recipe.backbone,
            name=recipe.name,
            spectrum=recipe.spectrum,
            orientation="opposite" if run.mirrored else "canonical",
            identities=self._identities,
            summary=summary,
        )
