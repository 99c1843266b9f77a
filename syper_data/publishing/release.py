"""``release``: a training run and its evaluation become a folder that never changes again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import atomic_folder
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError, OutputError, UsageError
from syper_data.evaluation.comparison import SCHEMA
from syper_data.evaluation.images import sample_images
from syper_data.gan.bundled import WEIGHTS
from syper_data.gan.generator_file import load_generator
from syper_data.gan.recipe import TrainingRecipe
from syper_data.publishing.generator_card import ReleasedRun, render_generator_card
from syper_data.rendering.sheet import contact_sheet, encode_sheet

CARD, SHEET, EVALUATION, RECIPE, LOG = (
    "CARD.md", "contact-sheet.jpg", "evaluation.json", "recipe.yaml", "training.jsonl",
)  # fmt: skip
SHEET_IMAGES, SHEET_COLUMNS, SHEET_TILE = 60, 10, 128
MAX_BYTES = 40_000_000  # of a generator that ships with the toolkit

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Release:
    """The folder that was written, and what its maker should know."""

    path: Path
    warnings: tuple[str, ...]


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

    ``evaluation`` is the ``evaluation.json`` of :func:`syper_data.evaluate` on this very generator
    (checked by its SHA-256); ``unevaluated`` goes without and says so on the card. ``terms`` and
    ``faults`` are Markdown, as a text or the path of a file. The folder holds the weights, the
    recipe, the training log, a contact sheet of seeds 0 to 59, the evaluation and a filled
    ``CARD.md``; it appears whole or not at all.

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
        what = "exclude each other" if unevaluated else "are both missing: measure the generator first"
        raise UsageError(f"--evaluation and --unevaluated {what}")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of a training run")
    for name in (WEIGHTS, RECIPE, LOG):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: holds no {name}, so it is no training run that wrote a generator")
    loaded = load_generator(folder / WEIGHTS, name=out.name)
    recipe = TrainingRecipe.read(folder / RECIPE)
    if recipe.generator != loaded.config:
        raise InputError(f"{folder}: {RECIPE} describes another architecture than {WEIGHTS} has")
    log = read_log(folder / LOG)
    measured, measured_bytes = (
        (None, b"") if evaluation is None else read_evaluation(Path(evaluation), loaded.sha256)
    )
    contents: dict[str, bytes] = {
        WEIGHTS: (folder / WEIGHTS).read_bytes(),
        RECIPE: (folder / RECIPE).read_bytes(),
        LOG: (folder / LOG).read_bytes(),
    }
    if measured is not None:
        contents[EVALUATION] = measured_bytes
    described = ReleasedRun(
        loaded,
        recipe,
        tuple(log),
        measured,
        _text(terms, "--terms"),
        _text(faults, "--faults"),
        SHEET,
        SHEET_IMAGES,
    )
    images = sample_images(loaded, SHEET_IMAGES, report=report).pixels
    contents[SHEET] = encode_sheet(contact_sheet(list(images), SHEET_COLUMNS, SHEET_TILE), "JPEG")
    with atomic_folder(out) as temporary:
        for name, data in contents.items():
            (temporary / name).write_bytes(data)
        if file_sha256(temporary / WEIGHTS) != loaded.sha256:
            raise InputError(f"{folder / WEIGHTS}: changed while it was read; is the run still training?")
        digests = {name: file_sha256(temporary / name) for name in contents}
        card = render_generator_card(described, digests)
        (temporary / CARD).write_text(card, "utf-8")
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


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``training.jsonl``; one that is no JSON object is named."""
    lines = []
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable training log") from error
    for number, line in enumerate(text.splitlines(), 1):
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise InputError(f"{path}, line {number}: not a JSON object")
        lines.append(content)
    if not lines:
        raise InputError(f"{path}: the training log is empty")
    return lines


def _text(value: str | Path | None, option: str) -> str | None:
    """A text, or the text of the file that it names."""
    if value is None:
        return None
    try:
        is_file = Path(value).is_file()
    except (OSError, ValueError):  # a long text is no file name
        is_file = False
    try:
        text = Path(value).read_text("utf-8") if is_file else str(value)
    except (OSError, ValueError) as error:
        raise InputError(f"{option} {value}: not a readable text file") from error
    if not is_file and (
        isinstance(value, Path) or (str(value).endswith((".md", ".txt")) and " " not in str(value))
    ):
        raise InputError(f"{option} {value}: no such file")
    if not text.strip():
        raise UsageError(f"{option} is empty")
    return text.strip()


def _warnings(described: ReleasedRun, size: int) -> list[str]:
    loaded, recipe, evaluation = described.loaded, described.recipe, described.evaluation
    found = []
    if size > MAX_BYTES:
        found.append(
            f"{WEIGHTS} has {size / 1e6:.0f} MB; a generator that ships with the toolkit stays under 40 MB"
        )
    kimg = loaded.summary.get("kimg")
    if isinstance(kimg, int | float) and kimg < recipe.total_kimg:
        found.append(f"the run stands at {kimg:g} of its recipe's {recipe.total_kimg:g} thousand images")
    if recipe.name != loaded.name:
        found.append(f"the recipe is named {recipe.name!r}, the release {loaded.name!r}")
    if evaluation is None:
        found.append("nothing was measured: the card says so")
    elif not evaluation["memorisation"]:
        found.append("memorisation was not measured (evaluate --train): the card says so")
    elif str(evaluation["memorisation"]["verdict"]).startswith("Signs"):
        found.append("signs of memorised training images: think before you publish the weights")
    if described.terms is None:
        found.append("no --terms: the card says that none were written")
    if described.faults is None:
        found.append("no --faults: the card says that none were written")
    return found
