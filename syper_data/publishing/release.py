"""``release``: a training run and its evaluation become a folder that never changes again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from syper_data.errors import InputError, OutputError, UsageError
from syper_data.evaluation.comparison import SCHEMA
from syper_data.evaluation.images import sample_images
from syper_data.gan.bundled import WEIGHTS
from syper_data.gan.generator_file import load_generator
from syper_data.gan.recipe import TrainingRecipe
from syper_data.publishing.generator_card import ReleasedRun, render_generator_card
from syper_data.publishing.recognizer_release import release_recognizer
from syper_data.publishing.release_parts import (
    EVALUATION,
    LOG,
    RECIPE,
    Release,
    read_log,
    run_contents,
    text_option,
    write_release,
)
from syper_data.publishing.student_release import release_student
from syper_data.quantization.quantize import STUDENT
from syper_data.recognition.bundled import WEIGHTS as RECOGNIZER
from syper_data.rendering.sheet import contact_sheet, encode_sheet

SHEET = "contact-sheet.jpg"
SHEET_IMAGES, SHEET_COLUMNS, SHEET_TILE = 60, 10, 128
MAX_BYTES = 40_000_000  # of a generator that ships with the toolkit

Report = Callable[[str, int, int], None]


def release(
    run: str | Path,
    out: str | Path,
    *,
    evaluation: str | Path | None = None,
    unevaluated: bool = False,
    terms: str | Path | None = None,
    faults: str | Path | None = None,
    report: Report | None = None,
) -> Release:
    """Write the release folder ``out`` of the training run in the folder ``run``.

    ``evaluation`` is the ``evaluation.json`` of :func:`syper_data.evaluate` on this very generator, or of
    :func:`syper_data.evaluate_recognizer` on this very recognizer, or the folder of a benchmark of this very
    student (checked by its SHA-256);
    ``unevaluated`` goes without and says so on the card. ``terms`` and
    ``faults`` are Markdown, as a text or the path of a file. The folder holds the weights, the
    recipe, the training log, the evaluation, a filled ``CARD.md`` and, for a generator, a contact sheet of
    seeds 0 to 59; it appears whole or not at all.

    Raises:
        OutputError: ``out`` is there already: a release is immutable, the next one is ``-v2``.
        InputError: the run lacks a file or holds a damaged one; the evaluation is another
            generator's.
        UsageError: neither an evaluation nor ``unevaluated``, or both.
    """
    folder, out = Path(run), Path(out)
    if out.exists() or out.is_symlink():
        raise OutputError(f"{out}: is there already; a release is immutable, so choose another name, such as -v2")
    if (evaluation is None) != unevaluated:
        what = "exclude each other" if unevaluated else "are both missing: measure it first"
        raise UsageError(f"--evaluation and --unevaluated {what}")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of a training run")
    if (folder / RECOGNIZER).is_file() and not (folder / WEIGHTS).is_file():
        return release_recognizer(folder, out, evaluation=evaluation, terms=terms, faults=faults)
    if (folder / STUDENT).is_file() and not (folder / WEIGHTS).is_file():
        return release_student(folder, out, evaluation=evaluation, terms=terms, faults=faults)
    contents = run_contents(folder, WEIGHTS, "generator")
    loaded = load_generator(folder / WEIGHTS, name=out.name)
    recipe = TrainingRecipe.read(folder / RECIPE)
    if recipe.generator != loaded.config:
        raise InputError(f"{folder}: {RECIPE} describes another architecture than {WEIGHTS} has")
    log = read_log(folder / LOG)
    measured, measured_bytes = (
        (None, b"") if evaluation is None else read_evaluation(Path(evaluation), loaded.sha256)
    )
    if measured is not None:
        contents[EVALUATION] = measured_bytes
    described = ReleasedRun(
        loaded,
        recipe,
        tuple(log),
        measured,
        text_option(terms, "--terms"),
        text_option(faults, "--faults"),
        SHEET,
        SHEET_IMAGES,
    )
    images = sample_images(loaded, SHEET_IMAGES, report=report).pixels
    contents[SHEET] = encode_sheet(contact_sheet(list(images), SHEET_COLUMNS, SHEET_TILE), "JPEG")
    write_release(
        out, folder, WEIGHTS, loaded.sha256, contents, lambda digests: render_generator_card(described, digests)
    )
    return Release(out, tuple(_warnings(described, len(contents[WEIGHTS]))))


def read_evaluation(path: Path, sha256: str) -> tuple[dict[str, Any], bytes]:
    """An ``evaluation.json`` of the generator with this SHA-256, and its bytes."""
    if path.is_dir():
        path = path / EVALUATION
    try:
        data = path.read_bytes()
        content = json.loads(data)
        if content["schema"] != SCHEMA:
            raise InputError(f"{path}: schema is {content['schema']!r}, this toolkit reads {SCHEMA!r}")
        judged = content["generated"]["generator"]
        name, figures = content["feature_net"]["name"], content["figures"]
        values = [figures[f"{figure}_{name}"]["value"] for figure in ("frechet", "kid", "precision", "recall")]
        found = None if judged is None else judged["sha256"]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not a readable evaluation") from error
    if not all(isinstance(v, int | float) and abs(v) < 1e30 for v in values):
        raise InputError(f"{path}: holds figures that are not finite")
    if found != sha256:
        which = "no generator" if found is None else f"the generator with SHA-256 {found}"
        raise InputError(f"{path}: measured {which}, the run's has {sha256}; evaluate this run's generator")
    return content, data


def _warnings(described: ReleasedRun, size: int) -> list[str]:
    loaded, recipe, evaluation = described.loaded, described.recipe, described.evaluation
    found = []
    if size > MAX_BYTES:
        found.append(
            f"{WEIGHTS} has {size / 1e6:.0f} MB; a generator that ships with the toolkit stays under 40 MB"
        )
    unfinished = recipe.unfinished(loaded.summary.get("kimg"))
    if unfinished is not None:
        found.append(unfinished)
    memorisation = None if evaluation is None else evaluation["memorisation"]
    if evaluation is not None and not memorisation:
        found.append("memorisation was not measured (evaluate --train): the card says so")
    elif memorisation and str(memorisation["verdict"]).startswith("Signs"):
        found.append("signs of memorised training images: think before you publish the weights")
    if described.terms is None:
        found.append("no --terms: the card says that none were written")
    if described.faults is None:
        found.append("no --faults: the card says that none were written")
    return found
