"""A recognizer's release: weights, recipe, log, evaluation, and a card filled from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import syper_data
from syper_data.errors import ConfigError, InputError
from syper_data.gan.bundled import bundled_by_digest as bundled_generator
from syper_data.publishing.generator_card import SPECTRA
from syper_data.publishing.release_parts import (
    EVALUATION,
    LOG,
    RECIPE,
    Release,
    card_section,
    data_options,
    one_line,
    read_log,
    run_contents,
    text_option,
    write_release,
)
from syper_data.recognition.bundled import WEIGHTS, bundled_by_digest
from syper_data.recognition.evaluation import SCHEMA, percent
from syper_data.recognition.recipe import RecognizerRecipe
from syper_data.recognition.recognizer_file import RecognizerFile, read_recognizer
from syper_data.rendering.templates import render_template

TEMPLATE = "recognizer.md.j2"
MAX_BYTES = 45_000_000  # of a recognizer that ships with the toolkit

_COUNTS = ("images", "subjects", "identities", "mated", "nonmated", "trained_on")


@dataclass(frozen=True)
class ReleasedRecognizer:
    """All that a card is filled from; ``terms`` and ``faults`` are Markdown by the release's maker."""

    file: RecognizerFile
    recipe: RecognizerRecipe
    log: tuple[dict[str, Any], ...]
    evaluation: Mapping[str, Any] | None
    terms: str | None
    faults: str | None


def release_recognizer(
    run: Path,
    out: Path,
    *,
    evaluation: str | Path | None,
    terms: str | Path | None,
    faults: str | Path | None,
) -> Release:
    """Write the release folder of the run of a recognizer; see :func:`syper_data.release`.

    Raises:
        InputError: the run lacks a file or holds a damaged one; the evaluation is another recognizer's.
    """
    contents = run_contents(run, WEIGHTS, "recognizer")
    file = read_recognizer(run / WEIGHTS)
    try:
        recipe = RecognizerRecipe.read(run / RECIPE)
    except ConfigError as error:
        raise InputError(str(error)) from error
    if recipe.backbone != file.config:
        raise InputError(f"{run}: {RECIPE} describes another architecture than {WEIGHTS} has")
    log = read_log(run / LOG)
    measured = None
    if evaluation is not None:
        measured, contents[EVALUATION] = read_recognizer_evaluation(Path(evaluation), file.sha256)
    described = ReleasedRecognizer(
        file, recipe, tuple(log), measured, text_option(terms, "--terms"), text_option(faults, "--faults")
    )
    write_release(
        out, run, WEIGHTS, file.sha256, contents, lambda digests: _card(described, out.name, contents, digests)
    )
    return Release(out, tuple(_warnings(described, out.name, len(contents[WEIGHTS]))))


def read_recognizer_evaluation(path: Path, sha256: str) -> tuple[dict[str, Any], bytes]:
    """The evaluation of the recognizer with this SHA-256, and the file's bytes.

    Raises:
        InputError: unreadable, of another schema, without a figure or its counts, or of another recognizer.
    """
    if path.is_dir():
        path = path / EVALUATION
    try:
        data = path.read_bytes()
        content = json.loads(data)
        if content["schema"] != SCHEMA:
            raise InputError(f"{path}: schema is {content['schema']!r}, this toolkit reads {SCHEMA!r}")
        found = content["recognizer"]["sha256"]
        sets = content["sets"]
        counts = [entry[name] for entry in sets for name in _COUNTS]
        rates = [entry["eer"]["value"] for entry in sets]
        shown = [_row(entry) for entry in sets]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not a readable evaluation") from error
    whole = all(isinstance(count, int) and count >= 0 for count in counts)
    if not shown or not whole or not all(isinstance(rate, float) and 0 <= rate <= 1 for rate in rates):
        raise InputError(f"{path}: holds no figures, or some that are none")
    if found != sha256:
        raise InputError(
            f"{path}: measured the recognizer with SHA-256 {found}, the run's has {sha256}; evaluate this run's"
        )
    return content, data


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A set of comparisons as a row of the card's table."""
    at = {point["point"]["target"]: percent(point["fnmr"]) for point in entry["at"]}
    return {
        **{name: entry[name] for name in (*_COUNTS, "name", "comparison", "independent")},
        "eer": percent(entry["eer"]),
        "fnmr": [(f"{100 * target:g} %", shown) for target, shown in sorted(at.items(), reverse=True)],
    }


def _card(run: ReleasedRecognizer, name: str, contents: Mapping[str, bytes], digests: Mapping[str, str]) -> str:
    parameters = sum(p.numel() for p in run.file.backbone.parameters())
    start = _start(run.file.summary)
    try:
        return render_template(
            TEMPLATE,
            name=name,
            spectrum=SPECTRA.get(run.file.spectrum or "", "unknown"),
            config=run.file.config,
            orientation=run.file.orientation,
            parameters=f"{parameters / 1e6:.2f} M",
            megabytes=f"{len(contents[WEIGHTS]) / 1e6:.1f}",
            counted=_counted(run, start),
            file=run.file,
            start=start,
            lessons=_lessons(run),
            origins=" and ".join(w for w in ("teacher", "start") if run.file.summary.get(f"{w}_sha256")),
            command=_command(run, start),
            summary=run.file.summary,
            recipe=run.recipe,
            minutes=minutes(run.log[-1]),
            last=run.log[-1],
            toolkit=f"syper-data {syper_data.__version__}",
            evaluation=run.evaluation,
            rows=[_row(entry) for entry in run.evaluation["sets"]] if run.evaluation else [],
            terms=run.terms,
            faults=run.faults,
            digests=digests,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the records lack what a card needs ({error})") from error


@dataclass(frozen=True)
class _Start:
    """What a run began with. ``given`` stands in the command; ``terms`` are known of a bundled one only."""

    name: str
    sha256: str
    given: str
    terms: str | None


def _start(summary: Mapping[str, Any]) -> _Start | None:
    sha256 = summary.get("start_sha256")
    if not isinstance(sha256, str):
        return None
    bundled = bundled_by_digest(sha256)
    if bundled is None:
        return _Start(str(summary.get("start")), sha256, "START", None)
    return _Start(bundled.parent.name, sha256, bundled.parent.name, card_section(bundled.parent, "Terms"))


def _counted(run: ReleasedRecognizer, start: _Start | None) -> list[str]:
    """How much this very run learned from. The subjects of a distilled one may be synthetic, or none at all."""
    summary, distilled = run.file.summary, run.recipe.distill is not None
    people: object = len(run.file.identities)
    if distilled or start is not None:
        people = summary.get("subjects", None if distilled else people)
    found = [] if people is None else [f"{people} {'subjects' if distilled else 'people'}"]
    found += [f"{summary[name]} {name}" for name in ("classes", "images") if name in summary]
    return found or ["images that a generator made, each of them once"]


_ORIGINS = {"teacher": bundled_by_digest, "generator": bundled_generator}


def bundled_or(role: str, sha256: object) -> str:
    """The option's word for a teacher or generator: a bundled one's name, or the role in capitals."""
    bundled = _ORIGINS[role](sha256) if isinstance(sha256, str) else None
    return role.upper() if bundled is None else bundled.parent.name


def _lessons(run: ReleasedRecognizer) -> list[tuple[str, str, object]]:
    """(what, name, SHA-256) of the networks that a distilled recognizer learned from."""
    summary = run.file.summary
    roles = [role for role in _ORIGINS if summary.get(role) is not None] if run.recipe.distill else []
    return [(role.capitalize(), str(summary[role]), summary.get(f"{role}_sha256")) for role in roles]


def _command(run: ReleasedRecognizer, start: _Start | None) -> str:
    """What makes the run again; words in capitals stand for files, whose names the records don't hold."""
    summary, distilled = run.file.summary, run.recipe.distill is not None
    words = ["syper-data", *(["distill", "--recipe"] if distilled else ["train-recognizer"]), RECIPE]
    words += (
        ["--generator", bundled_or("generator", summary.get("generator_sha256"))]
        if summary.get("kind") == "generator"
        else data_options(summary)
    )
    words += (
        ["--teacher", bundled_or("teacher", summary.get("teacher_sha256"))]
        if summary.get("teacher") is not None
        else []
    )
    if isinstance(summary.get("subjects_half"), int):
        words += ["--subjects-half", str(summary["subjects_half"])]
    if start is not None:
        words += ["--start" if distilled else "--init-from", start.given]
    return one_line([*words, "--out", "RUN"])


def minutes(line: Mapping[str, Any]) -> str:
    """Minutes of training by the last line of the log, whose seconds go on when a run is resumed."""
    seconds = line.get("seconds")
    return f"{seconds / 60:.0f}" if isinstance(seconds, int | float) and seconds >= 60 else ""


def _warnings(run: ReleasedRecognizer, name: str, size: int) -> list[str]:
    found = []
    if size > MAX_BYTES:
        found.append(f"{WEIGHTS} has {size / 1e6:.0f} MB; what ships with the toolkit stays under 45 MB")
    steps, of_steps = (run.file.summary.get(key) for key in ("steps", "of_steps"))
    if isinstance(steps, int) and isinstance(of_steps, int) and steps < of_steps:
        found.append(f"the run stands at {steps} of its recipe's {of_steps} steps")
    if run.recipe.name != name:
        found.append(f"the recognizer is named {run.recipe.name!r} wherever it is shown, after its recipe")
    if run.evaluation is not None and any(entry["trained_on"] for entry in run.evaluation["sets"]):
        found.append("people whom it was trained on were measured: the card says so")
    for option, text in (("--terms", run.terms), ("--faults", run.faults)):
        if text is None:
            found.append(f"no {option}: the card says that none were written")
    return found
