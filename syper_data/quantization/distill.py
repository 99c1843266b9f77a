"""``distill``: a new recognizer that learns from another, from synthetic identities, or from both.

The result is an ordinary recognizer. Step, folder, log and resuming are those of ``train_recognizer``; here are
the options, the images and whom the student knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from syper_data.errors import InputError, UsageError
from syper_data.execution.run_folder import Report, train_in
from syper_data.gan.generator_file import GeneratorFile
from syper_data.imaging.holdout import is_held_out
from syper_data.imaging.pixels import resize
from syper_data.imaging.source import SourceImage
from syper_data.imaging.spectrum import SPECTRA, OneSpectrum
from syper_data.quantization.distillation_run import DistillationRun, UnlabelledLessons, check_alike
from syper_data.quantization.images import Feed, Pixels, Source, StoredImages, open_feed, open_sources
from syper_data.recognition.augment import AugmentConfig
from syper_data.recognition.batches import LabelledLessons
from syper_data.recognition.bundled import WEIGHTS, open_recognizer
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.distillation import METHODS, DistillConfig
from syper_data.recognition.eyes import load_eyes
from syper_data.recognition.initialisation import joined_identities
from syper_data.recognition.margins import CONTRASTIVE, MarginConfig
from syper_data.recognition.recipe import OptimiserConfig, RecognizerRecipe, SamplingConfig, ScheduleConfig
from syper_data.recognition.recognizer_file import RecognizerFile, identity_digest
from syper_data.recognition.training import RecognizerFolder, how_read, labelled_sources


def distill(
    *,
    method: str | None = None,
    teacher: str | Path | None = None,
    data: Source | Sequence[str | Path] | None = None,
    generator: str | Path | GeneratorFile | None = None,
    columns: Mapping[str, str] | None = None,
    holdout: float | None = None,
    recipe: RecognizerRecipe | str | Path | None = None,
    steps: int | None = None,
    seed: int | None = None,
    start: str | Path | None = None,
    out: str | Path,
    report: Report | None = None,
) -> Path:
    """Train a recognizer with a teacher, or on synthetic identities; the same call again resumes.

    ``method`` is ``kt`` (the default: vectors like the teacher's, images without labels from ``data`` or from a
    ``generator``), ``cls`` (a margin loss on labelled ``data``, no teacher), ``cl`` (both) or ``maskinv`` (both,
    the student's images occluded). ``teacher`` is a bundled recognizer or a recognizer file (default: the
    bundled one for visible light). Labels are the column ``subject`` or, of generated images, ``label``; a
    generated image with neither is an identity of its own (then let the recipe's ``margin.kind`` be
    ``contrastive``: directions of classes hardly learn from one image each). ``holdout`` leaves a share of the
    subjects out of training; the log says how well the student tells *them* apart. ``recipe`` is that of a
    recognizer with a section ``distill``, which may say the method, too; ``steps`` and ``seed`` replace its
    values. ``start`` is a bundled recognizer or a recognizer file to begin with, as ``init_from`` of
    :func:`syper_data.train_recognizer`. ``report`` is called with what is known of the images, then with each
    line of the log and, in between, how far the run is.

    Writes what :func:`syper_data.train_recognizer` writes into ``out``, and returns ``recognizer.safetensors``. It
    names the people that teacher and start know, and the subjects of real images; where a real image names none,
    the file says that nobody knows.

    Raises:
        UsageError: an unknown method, options that exclude each other, or a share out of range.
        InputError: an unusable image, teacher or start, no labels, labelled images of another spectrum than the
            recipe's (without one: the teacher's or the start's), vectors of other lengths, or ``out`` holds
            another run.
        ConfigError: the recipe makes no sense, or its batch does not divide over the processes.
        LockedError: another process is writing into ``out``.
        SyperError: the loss is not finite; the last checkpoint stays as it is.
        OutputError: the disk is full; the last checkpoint stays as it is.
    """
    out = Path(out)
    given = RecognizerRecipe.read(Path(recipe)) if isinstance(recipe, str | Path) else recipe
    config = _distillation(method, given)
    _check_options(config, teacher, data, generator, holdout)
    known = open_recognizer(teacher) if config.guided else None
    begun = None if start is None else open_recognizer(start)
    chosen = replace(given or default_recipe(config.method, known, begun), distill=config)
    if steps is not None:
        chosen = replace(chosen, steps=steps, epochs=None)
    if seed is not None:
        chosen = replace(chosen, seed=seed)
    check_alike(chosen, known, begun)

    def open_folder(leads: bool) -> _Folder:
        shown = report if leads else None
        return _open(out, chosen, known, begun, data, generator, columns, holdout, shown)

    train_in(out, open_folder)
    return out / WEIGHTS


def default_recipe(
    method: str, teacher: RecognizerFile | None, start: RecognizerFile | None = None
) -> RecognizerRecipe:
    """MobileFaceNet at 112 px, or the network of ``start``, with vectors as long as the teacher's; 2000 steps of
    64 images, the published margins."""
    dim = 128 if teacher is None else teacher.config.embedding_dim
    origin = teacher or start
    elastic = method == "maskinv"
    return RecognizerRecipe(
        f"distilled-{method}",
        "vis" if origin is None or origin.spectrum is None else origin.spectrum,
        BackboneConfig("mobilefacenet", 112, dim, "pooling") if start is None else start.config,
        "one_class",
        steps=2000,
        margin=MarginConfig("elasticface-arc", sigma=0.05) if elastic else MarginConfig("cosface"),
        sampling=SamplingConfig(identities=32, images=2, at_least=1),
        augment=AugmentConfig(cutout=0.0),  # the teacher is asked about the whole eye
        optimiser=OptimiserConfig("adamw", 2e-3, 0.05),
        schedule=ScheduleConfig(margin_warmup=0.3),
        snapshot_steps=100,
        validation_images=600 if method != "kt" else 64,
        distill=DistillConfig(method),
    )


def _distillation(method: str | None, recipe: RecognizerRecipe | None) -> DistillConfig:
    if method is not None and method not in METHODS:
        raise UsageError(f"--method is {method!r}: must be {', '.join(METHODS)}")
    said = None if recipe is None else recipe.distill
    if said is None:
        return DistillConfig(method or METHODS[0])
    if method not in (None, said.method):
        raise UsageError(f"--method is {method}, the recipe says {said.method}: leave one out")
    return said


def _check_options(
    config: DistillConfig, teacher: object, data: object, generator: object, holdout: object
) -> None:
    if not config.guided and teacher is not None:
        raise UsageError("--method cls has no teacher: leave --teacher out, or choose cl")
    if config.labelled and (generator is not None or data is None):
        raise UsageError(f"--method {config.method} needs --data with labels (syper-data sample writes such data)")
    if not config.labelled and holdout is not None:
        raise UsageError(f"--holdout belongs to labels, which --method {config.method} does not look at")


def _open(
    out: Path,
    recipe: RecognizerRecipe,
    teacher: RecognizerFile | None,
    start: RecognizerFile | None,
    data: Source | Sequence[str | Path] | None,
    generator: str | Path | GeneratorFile | None,
    columns: Mapping[str, str] | None,
    holdout: float | None,
    report: Report | None,
) -> _Folder:
    """Read the images, and put run and folder together."""
    assert recipe.distill is not None
    size = max(recipe.backbone.input_size, 0 if teacher is None else teacher.config.input_size)
    people = _People(file for file in (teacher, start) if file is not None)
    origin = {
        "method": recipe.distill.method,
        "teacher": None if teacher is None else teacher.name,
        "teacher_sha256": None if teacher is None else teacher.sha256,
    }
    if recipe.distill.labelled:
        assert data is not None
        held_out = None if holdout is None else partial(is_held_out, share=holdout)
        if holdout is not None:
            is_held_out("", holdout)  # a share out of range is said before anything is read
        light = {name: f"spectrum: {name}" for name in SPECTRA}
        spectrum = OneSpectrum(recipe.spectrum, light)
        sources = [people.seen(spectrum.checked(images)) for images in labelled_sources(data, columns)]
        at_least = recipe.sampling.at_least
        eyes = load_eyes(sources, size, recipe.both_eyes, at_least=at_least, held_out=held_out)
        run = DistillationRun(recipe, LabelledLessons(eyes.training, recipe), teacher, start)
        summary = {**eyes.summary, **origin, "holdout": holdout, **how_read(data, columns)}
        if eyes.training.classes == len(eyes.training) and recipe.margin.kind != CONTRASTIVE:
            summary["note"] = (
                "every image is an identity of its own, from which class vectors hardly learn: margin.kind "
                "contrastive in the recipe does"
            )
        watched = () if eyes.validation is None else eyes.validation.first(recipe.validation_images).pixels
        known, compared = people.digests(eyes.training.subjects), eyes.validation
        if compared is not None and size != recipe.backbone.input_size:
            smaller = (resize(pixels, recipe.backbone.input_size, "lanczos") for pixels in compared.pixels)
            compared = replace(compared, pixels=tuple(smaller))
        return _Folder(out, run, summary, known, report, compared, watched=watched)
    feed = _feed(recipe, size, data, generator, columns, people)
    run = DistillationRun(recipe, UnlabelledLessons(feed), teacher, start)
    held = feed.held_out(recipe.validation_images)
    summary = {**feed.summary, "sha256": feed.sha256, **origin}
    if data is not None:
        summary |= how_read(data, columns)
    return _Folder(out, run, summary, people.digests(), report, watched=held)


def _feed(
    recipe: RecognizerRecipe,
    size: int,
    data: Source | Sequence[str | Path] | None,
    generator: str | Path | GeneratorFile | None,
    columns: Mapping[str, str] | None,
    people: _People,
) -> Feed:
    assert recipe.distill is not None
    batch, held, seed = recipe.sampling.batch, recipe.validation_images, recipe.seed
    if data is not None and generator is None:
        sources = [people.seen(images) for images in open_sources(data, columns)]
        return StoredImages(sources, size, held_out=held, batch=batch, seed=seed)
    return open_feed(
        data,
        generator,
        size,
        columns=columns,
        steps=recipe.steps,
        batch=batch,
        held_out=held,
        seed=seed,
        seed_start=recipe.distill.seed_start,
        psi=recipe.distill.psi,
    )


class _People:
    """Whom a student knows: those of the files it comes from, and those on real images."""

    def __init__(self, origins: Iterable[RecognizerFile]) -> None:
        self._origins, self._named = list(origins), True
        self._subjects: set[str] = set()

    def seen(self, images: Iterable[SourceImage]) -> Iterator[SourceImage]:
        """The same images; generated ones (with a seed) show nobody: their class or seed is their subject."""
        for image in images:
            if image.seed is not None:
                named = f"seed {image.seed}" if image.label is None else f"label {image.label}"
                yield image if image.subject is not None else replace(image, subject=named)
                continue
            if image.subject is None:
                self._named = False
            else:
                self._subjects.add(image.subject)
            yield image

    def digests(self, trained: Iterable[str] | None = None) -> frozenset[str] | None:
        """The digests of all whom is known of; ``trained`` are the subjects that were trained on (None: all)."""
        if not self._named:
            return None
        real = self._subjects if trained is None else self._subjects & set(trained)
        return joined_identities(self._origins, map(identity_digest, real))


class _Folder(RecognizerFolder):
    """A run with a teacher and the folder that it is written to."""

    run: DistillationRun
    start_option = "--start"

    def __init__(self, *arguments: Any, watched: Sequence[Pixels]) -> None:
        super().__init__(*arguments)
        self._watched = watched

    def refuse_another_run(self, state: Mapping[str, Any]) -> None:
        """See :class:`RecognizerFolder`; the teacher must be the same, too."""
        super().refuse_another_run(state)
        if state["teacher_sha256"] != self.run.teacher_sha256:
            raise InputError(f"{self.path}: holds a run with another teacher; choose another --out")

    def looked_at(self) -> dict[str, Any]:
        """How near the student is to its teacher, too."""
        return {**super().looked_at(), **self.run.agreement(self._watched)}
