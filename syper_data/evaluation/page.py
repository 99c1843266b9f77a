"""The page a person reads: figures first, then pictures; one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from syper_data.evaluation.pictures import Picture
from syper_data.rendering.numbers import interval, number
from syper_data.rendering.templates import data_uri, render_template

TEMPLATE = "evaluation.html.j2"
LABELS = {
    "frechet": "Fréchet distance",
    "kid": "Kernel distance (KID)",
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
}
QUESTIONS = {
    "near_copies": "Samples nearer to a training image than 99 % of held-out real images are",
    "closer_to_training": "Samples nearer to a training image than to any of as many held-out ones",
    "median_ratio": "Median distance to the nearest training image, samples over held-out images",
}
_LONG = ("generator", "environment", "settings")


def render_page(evaluation: Mapping[str, Any], pictures: Sequence[Picture]) -> str:
    """``evaluation.json``'s content and the pictures -> the text of ``report.html``."""
    judge = evaluation["feature_net"]["name"]
    memorisation, sweep = evaluation["memorisation"], evaluation["psi_sweep"]
    return render_template(
        TEMPLATE,
        title=evaluation["name"],
        judge=judge,
        shows_real=any(p.real for p in pictures),
        notes=[*(f"Warning: {line}." for line in evaluation.get("warnings", ())), *evaluation["notes"]],
        table=list(figure_rows(evaluation)),
        floor=evaluation["floor"],
        coverage_k=evaluation["figures"][f"coverage_{judge}"]["k"],
        memorisation=memorisation,
        memorisation_table=memorisation_rows(memorisation) if memorisation else [],
        sweep=[
            {"psi": f"{row['psi']:g}", "cells": [_with_interval(row["figures"][f"{n}_{judge}"]) for n in LABELS]}
            for row in sweep or ()
        ],
        sweep_labels=list(LABELS.values()),
        pictures=[
            {"uri": data_uri(p.content, p.media_type), "caption": p.caption, "real": p.real} for p in pictures
        ],
        provenance=list(provenance(evaluation)),
    )


def figure_rows(evaluation: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The figures in words and rounded, for a page or a card."""
    judge, floor = evaluation["feature_net"]["name"], evaluation["floor"]
    for name, label in LABELS.items():
        key = f"{name}_{judge}"
        figure = evaluation["figures"][key]
        row = {
            "name": key,
            "label": label,
            "value": number(figure["value"]),
            "interval": interval(figure),
            "counts": _counts(figure),
        }
        if floor:
            row["same_count"] = number(floor["generated_at_the_same_count"][key]["value"])
            cell = floor["real_halves"][key]
            row["floor"] = f"{number(cell['value'])} ({number(cell['smallest'])} to {number(cell['largest'])})"
        yield row


def memorisation_rows(memorisation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The questions of the memorisation part with their answers in every space."""
    return [
        {
            "label": label,
            "cells": [
                {"value": number(f[name]["value"]), "interval": interval(f[name])}
                for f in memorisation["spaces"].values()
            ],
            "expected": number(next(iter(memorisation["spaces"].values()))[name]["expected"]),
        }
        for name, label in QUESTIONS.items()
    ]


def provenance(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Labels and values of how the evaluation was made."""
    generated, real, train = evaluation["generated"], evaluation["real"], evaluation["train"]
    yield "Toolkit", evaluation["toolkit"]
    if generated.get("generator"):
        yield "Generator", f"{generated['generator']['name']}, SHA-256 {generated['generator']['sha256']}"
    for label, part in (("Generated images", generated), ("Real images", real), ("Training images", train)):
        if part:
            shown = {
                k: v
                for k, v in part.items()
                if k not in ("generator", "environment", "settings") and v is not None
            }
            yield label, ", ".join(f"{k.replace('_', ' ')} {_show(v)}" for k, v in shown.items())
    yield "Judge", ", ".join(f"{k} {v}" for k, v in evaluation["feature_net"].items())
    yield "Measures", ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in evaluation["measures"].items())
    for name, text in interval_methods(evaluation).items():
        yield f"Interval of {name}", text


def interval_methods(evaluation: Mapping[str, Any]) -> dict[str, str]:
    """How the intervals of the figures that were measured are made, by the figures' names."""
    absent = () if evaluation["memorisation"] else tuple(name.replace("_", " ") for name in QUESTIONS)
    return {name: text for name, text in evaluation["intervals"].items() if name not in absent}


def _with_interval(figure: Mapping[str, Any]) -> str:
    return f"{number(figure['value'])} {interval(figure)}".strip()


def _counts(figure: Mapping[str, Any]) -> str:
    if "n_real" in figure:
        return f"{figure['n_real']} real, {figure['n_generated']} generated, subsets of {figure['subset_size']}"
    return f"{figure['n']} a side"


def _show(value: object) -> str:
    return " to ".join(str(v) for v in value) if isinstance(value, list) else str(value)
