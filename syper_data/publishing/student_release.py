"""The release of a quantized recognizer: ``student.syq``, its records, and a card filled from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import syper_data
from syper_data.benchmarking.leaderboard import entries_in
from syper_data.benchmarking.shown import Figure
from syper_data.errors import ConfigError, InputError
from syper_data.publishing.generator_card import SPECTRA
from syper_data.publishing.recognizer_release import bundled_or, minutes
from syper_data.publishing.release_parts import (
    EVALUATION,
    LOG,
    RECIPE,
    Release,
    card_section,
    one_line,
    read_log,
    run_contents,
    text_option,
    write_release,
)
from syper_data.quantization.bench_model import bytes_promised, parameter_count
from syper_data.quantization.quantize import STUDENT
from syper_data.quantization.recipe import QuantizationRecipe
from syper_data.quantization.student_file import StudentFile, read_student
from syper_data.recognition.bundled import bundled_by_digest
from syper_data.rendering.numbers import count
from syper_data.rendering.templates import render_template

TEMPLATE = "student.md.j2"
_SHOWN = ("eer", "fnmr@0.01", "fnmr@0.001")

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class _Released:
    """All that a card is filled from; ``entries`` are of the student, and of its teacher if it was compared."""

    file: StudentFile
    recipe: QuantizationRecipe
    log: tuple[dict[str, Any], ...]
    entries: tuple[Entry, ...]
    terms: str | None
    faults: str | None


def release_student(
    run: Path,
    out: Path,
    *,
    evaluation: str | Path | None,
    terms: str | Path | None,
    faults: str | Path | None,
) -> Release:
    """Write the release folder of a run of ``quantize``; see :func:`syper_data.release`.

    ``evaluation`` is the folder of a benchmark that measured this very student; of its models the student and its
    teacher are taken over.

    Raises:
        InputError: the run lacks a file or holds a damaged one; the benchmark did not measure this student.
    """
    contents = run_contents(run, STUDENT, "student")
    file = read_student(run / STUDENT)
    try:
        recipe = QuantizationRecipe.read(run / RECIPE)
    except ConfigError as error:
        raise InputError(str(error)) from error
    entries = () if evaluation is None else _measured(Path(evaluation), file)
    if entries:
        contents[EVALUATION] = (json.dumps(list(entries), indent=1) + "\n").encode("utf-8")
    described = _Released(
        file, recipe, tuple(read_log(run / LOG)), entries, text_option(terms, "--terms"),
        text_option(faults, "--faults"),
    )  # fmt: skip
    size = len(contents[STUDENT])
    write_release(
        out, run, STUDENT, file.sha256, contents, lambda sha256: _card(described, out.name, size, sha256)
    )
    return Release(out, tuple(_warnings(described)))


def _measured(folder: Path, file: StudentFile) -> tuple[Entry, ...]:
    """What a benchmark found for the student, and before it for its teacher."""
    folder = folder if folder.is_dir() else folder.parent
    entries = {str(entry["model"]["sha256"]): entry for entry in entries_in(folder)}
    if file.sha256 not in entries:
        raise InputError(
            f"{folder}: did not measure the student with SHA-256 {file.sha256} but "
            f"{', '.join(str(entry['model']['label']) for entry in entries.values())}; benchmark this run's"
        )
    return tuple(entries[sha256] for sha256 in (file.teacher_sha256, file.sha256) if sha256 in entries)


def _card(run: _Released, name: str, size: int, digests: Mapping[str, str]) -> str:
    file = run.file
    parameters = parameter_count(file.config)
    try:
        return render_template(
            TEMPLATE,
            name=name,
            file=file,
            spectrum=SPECTRA.get(file.spectrum or "", "unknown"),
            recipe=run.recipe,
            parameters=f"{parameters / 1e6:.2f} M",
            size=count(size),
            promised=count(bytes_promised(file.network)),
            full=count(4 * parameters),
            teacher_terms=_teacher_terms(file.teacher_sha256),
            data=_data(file.summary),
            command=_command(run),
            minutes=minutes(run.log[-1]),
            last=run.log[-1],
            toolkit=f"syper-data {syper_data.__version__}",
            rows=[row for entry in run.entries for row in _rows(entry)],
            terms=run.terms,
            faults=run.faults,
            digests=digests,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the records lack what a card needs ({error})") from error


def _teacher_terms(sha256: str) -> str | None:
    bundled = bundled_by_digest(sha256)
    return None if bundled is None else card_section(bundled.parent, "Terms")


def _data(summary: Mapping[str, Any]) -> str:
    """What the student saw, in a few words."""
    data = summary["data"]
    if data.get("kind") == "generator":
        return f"images of the generator {data['generator']}, each of them made once; no real image"
    return f"{count(int(data['images']))} images" if isinstance(data.get("images"), int) else "images"


def _rows(entry: Entry) -> list[dict[str, Any]]:
    """A row a fold: who was measured on what, and the figures that the comparisons support."""
    folds = {fold["name"]: fold for fold in entry["protocol"]["folds"]}
    found = []
    for fold in entry["folds"]:
        figures = {key: Figure(**fold["figures"][key]) for key in _SHOWN if key in fold["figures"]}
        counts = {key: count(folds[fold["name"]][key]) for key in ("people", "mated", "nonmated")}
        protocol, model = f"{entry['protocol']['name']}, fold {fold['name']}", str(entry["model"]["label"])
        found.append({"protocol": protocol, "model": model, **counts, "figures": list(figures.values())})
    return found


def _command(run: _Released) -> str:
    """What makes the run again; words in capitals stand for files, whose names the records don't hold."""
    data = run.file.summary["data"]
    words = ["syper-data quantize --recipe recipe.yaml"]
    words += ["--teacher", bundled_or("teacher", run.file.teacher_sha256)]
    generated = data.get("kind") == "generator"
    words += (
        ["--generator", bundled_or("generator", data.get("generator_sha256"))] if generated else ["--data IMAGES"]
    )
    words += ["--start START"] if run.file.summary.get("start_sha256") else []
    return one_line([*words, "--out RUN"])


def _warnings(run: _Released) -> Sequence[str]:
    found = []
    steps, of_steps = (run.file.summary.get(key) for key in ("steps", "of_steps"))
    if isinstance(steps, int) and isinstance(of_steps, int) and steps < of_steps:
        found.append(f"the run stands at {steps} of its recipe's {of_steps} steps")
    for option, text in (("--terms", run.terms), ("--faults", run.faults)):
        if text is None:
            found.append(f"no {option}: the card says that none were written")
    return found
