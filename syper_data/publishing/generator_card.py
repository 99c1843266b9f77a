"""A generator's card: the text a person reads before using the weights, filled from the records."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import syper_data
from syper_data.errors import InputError
from syper_data.evaluation.page import figure_rows, interval_methods, memorisation_rows
from syper_data.gan.bundled import bundled_by_digest
from syper_data.gan.generator_file import GeneratorFile
from syper_data.gan.recipe import TrainingRecipe
from syper_data.publishing.release_parts import card_section, data_options, one_line
from syper_data.rendering.templates import render_template

TEMPLATE = "generator.md.j2"
SPECTRA = {"vis": "visible-light", "nir": "near-infrared"}

_SHORTEST = 180  # seconds of training that are 0.1 hours when rounded


@dataclass(frozen=True)
class ReleasedRun:
    """All that a card is filled from; ``terms`` and ``faults`` are Markdown by the release's maker."""

    loaded: GeneratorFile
    recipe: TrainingRecipe
    log: tuple[dict[str, Any], ...]
    evaluation: Mapping[str, Any] | None
    terms: str | None
    faults: str | None
    sheet: str
    sheet_images: int


def render_generator_card(run: ReleasedRun, digests: Mapping[str, str]) -> str:
    """The text of ``CARD.md``; ``digests`` maps the release's other files to their SHA-256."""
    loaded, evaluation = run.loaded, run.evaluation
    parameters = sum(p.numel() for p in loaded.generator.parameters())
    try:
        return render_template(
            TEMPLATE,
            name=loaded.name,
            spectrum=SPECTRA[loaded.spectrum],
            config=loaded.config,
            parameters=f"{parameters / 1e6:.1f} M" if parameters >= 1e5 else f"{parameters:,}",
            megabytes=f"{4 * parameters / 1e6:.1f}",
            summary=loaded.summary,
            recipe=run.recipe,
            kimg=_kimg(run),
            hours=training_hours(run.log),
            command=training_command(loaded.summary),
            toolkit=f"syper-data {syper_data.__version__}",
            evaluation=evaluation,
            figures=list(figure_rows(evaluation)) if evaluation else [],
            intervals=interval_methods(evaluation) if evaluation else {},
            real=_real(evaluation) if evaluation else "",
            memorisation=_memorisation(evaluation),
            terms=run.terms,
            faults=run.faults,
            sheet=run.sheet,
            sheet_images=run.sheet_images,
            digests=digests,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the evaluation lacks what a card needs ({error})") from error


def training_hours(log: tuple[dict[str, Any], ...]) -> str:
    """Hours of training by the log, whose seconds begin again when a run is resumed; "" if unknown or none."""
    seconds = [line["seconds"] for line in log if isinstance(line.get("seconds"), int | float)]
    total = sum(now for now, after in itertools.pairwise([*seconds, 0.0]) if after < now)
    return f"{total / 3600:.1f}" if total >= _SHORTEST else ""


def training_command(summary: Mapping[str, Any]) -> str:
    """The command that trained a generator, by what its file says of the run; one line."""
    words = ["syper-data train-generator recipe.yaml", *data_options(summary)]
    if summary.get("init_from"):
        words.append("--init-from FILE")
    return one_line([*words, "--out RUN"])


def bundled_faults(sha256: str) -> str | None:
    """The section "Known faults" of the card of the bundled generator with this SHA-256."""
    weights = bundled_by_digest(sha256)
    return None if weights is None else card_section(weights.parent, "Known faults")


def _kimg(run: ReleasedRun) -> str:
    kimg = run.loaded.summary.get("kimg")
    return f"{kimg:g}" if isinstance(kimg, int | float) else "an unknown number of"


def _memorisation(evaluation: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    measured = evaluation["memorisation"] if evaluation else None
    return memorisation_rows(measured) if measured else []


def _real(evaluation: Mapping[str, Any]) -> str:
    real = evaluation["real"]
    listed = real.get("listed")
    how = f"{listed['subjects']} listed for training" if listed else real["holdout"] and f"{real['holdout']:g}"
    side = f", the {real['holdout_side']} side of a split by subject ({how})" if how else ""
    subjects = f" of {real['subjects']} subjects" if real["subjects"] else ""
    return f"{real['images']} images{subjects}{side}, SHA-256 {real['sha256']}"
