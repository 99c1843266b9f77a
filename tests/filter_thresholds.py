"""Threshold files for tests of ``filter``."""

from __future__ import annotations

from pathlib import Path

from syper_data.filtering.quality.measures import MeasureSet
from syper_data.filtering.quality.thresholds import Limits, Thresholds


def write_thresholds(path: Path, extra: tuple[str, ...] = (), **limits: tuple[float | None, float | None]) -> Path:
    """A threshold file that bounds only the measures named, as (low, high)."""
    measures = MeasureSet("vis", extra=extra)
    found = {}
    for measure in measures.measures:
        low, high = limits.get(measure.name, (None, None))
        found[measure.name] = Limits(measure.unit, low, high, measure.low, measure.high)
    crops = {"source": "drawn", "images": 1000, "sha256": "0" * 64}
    Thresholds("vis", 5.4, 0.005, found, crops, 0.01, extra=extra).write(path)
    return path
