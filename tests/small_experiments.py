"""An experiment small enough for a test: runs of two steps, drawn eyes, a random teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from small_protocols import drawn_protocol
from syper_data.reproduction.plan import ExperimentPlan
from syper_data.reproduction.quantization import Reproduction, reproduce_quantization

LOST = "person-1/image_left/0"
PROTOCOL = drawn_protocol(people=4, samples=2, lost=[LOST])

RECIPE: dict[str, Any] = {
    "batch": 2,
    "loss": {"features": 0.0},
    "ranges": {"calibration": 2},
    "snapshot_steps": 2,
    "validation_images": 2,
}
CELL: dict[str, Any] = {
    "bits": "W3A3",
    "teacher": "main",
    "images": "synthetic",
    "steps": 2,
    "recipe": RECIPE,
}
VALUES: dict[str, Any] = {
    "name": "small",
    "protocol": "synthetic",
    "folds": ["1"],
    "repeats": 40,
    "teachers": {"main": "vis", "large": None},
    "generators": {"synthetic": "no-such-generator"},
    "data": {"real": None},
    "budgets": {
        "short": {
            "description": "Small runs.",
            "cells": [
                {**CELL, "bits": "W8A8"},
                {**CELL, "seeds": [0, 4]},
                {**CELL, "images": "real"},
                {**CELL, "teacher": "large"},
            ],
        },
        "one": {
            "cells": [{**CELL, "bits": "W4A4", "steps": 3, "recipe": {**RECIPE, "snapshot_steps": 1}}],
        },
        "counted": {
            "cells": [
                {
                    "bits": "W8A8", "teacher": "main", "images": "synthetic", "preset": "syper", "count": 6,
                    "recipe": {**RECIPE, "epochs": 1},
                },
            ],
        },
    },
    "published": [
        {
            "source": "Somebody, 2020",
            "data": "their people",
            "figure": "EER, %",
            "networks": {"Their network": {"full": 1.25, "W8A8": 1.5}},
        }
    ],
}  # fmt: skip


def small_plan(**changes: Any) -> ExperimentPlan:
    """The plan, with other values."""
    return ExperimentPlan.from_dict({**VALUES, **changes})


def only(cells: list[dict[str, Any]], **changes: Any) -> ExperimentPlan:
    """A plan of one budget, ``one``, with these cells, which take the small recipe."""
    base = {"teacher": "main", "images": "synthetic", "steps": 2, "recipe": RECIPE}
    return small_plan(budgets={"one": {"cells": [{**base, **cell} for cell in cells]}}, **changes)


def descriptor(generator: Path) -> dict[str, Any]:
    """A protocol over a tiny generator's images."""
    return {
        "name": "tiny-eyes",
        "title": "Eyes of a tiny generator",
        "dataset": "tiny",
        "reader": "generated",
        "folds": ["1"],
        "options": {"generator": str(generator), "seeds": 6, "captures": 2, "enrol": 0, "unenrolled": 0},
    }


def reproduce(teacher: Path, generator: Path, out: Path, /, **changes: Any) -> Reproduction:
    given = {"plan": small_plan(), "budget": "short", "protocol": PROTOCOL}
    given |= {"teachers": [teacher], "generator": generator, "out": out}
    return reproduce_quantization(**{**given, **changes})
