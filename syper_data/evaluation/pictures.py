"""The pictures of an evaluation: samples, nearest neighbours, distributions, the truncation sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.evaluation.memorisation import Neighbourhood
from syper_data.metrics.distances import Indices
from syper_data.rendering.charts import histograms, line_panels
from syper_data.rendering.sheet import contact_sheet, encode_sheet

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

SHEET_IMAGES, SHEET_COLUMNS = 60, 10
ROWS, TILE, _GAP = 12, 96, 8


@dataclass(frozen=True)
class Picture:
    """A file of the report; ``real`` pictures show real images and are not for publication."""

    file: str
    content: bytes
    caption: str
    real: bool = False

    @property
    def media_type(self) -> str:
        """As a browser is told."""
        return "image/jpeg" if self.file.endswith(".jpg") else "image/png"


def sample_sheet(pixels: Pixels, what: str) -> Picture:
    """The first sixty images, not selected."""
    shown = list(pixels[:SHEET_IMAGES])
    sheet = encode_sheet(contact_sheet(shown, SHEET_COLUMNS, TILE), "JPEG")
    return Picture("samples.jpg", sheet, f"{what}: the first {len(shown)}, not selected.")


def neighbour_sheets(
    samples: Pixels, train: Pixels, spaces: Mapping[str, Neighbourhood], what: str
) -> list[Picture]:
    """Two pictures a space: the twelve samples closest to a training image, and twelve at random."""
    pictures = []
    for name, found in spaces.items():
        closest = np.argsort(found.distances[:, 0], kind="stable")[:ROWS]
        random = np.random.default_rng(0).permutation(len(samples))[:ROWS]
        for kind, rows in (("closest", closest), ("random", random)):
            which = "the ones closest to any" if kind == "closest" else "drawn at random"
            text = f"{len(rows)} samples, {which}: each with its {found.indices.shape[1]} nearest {what} ({name})."
            file = f"neighbours-{name.split()[0]}-{kind}.jpg"
            pictures.append(Picture(file, _neighbour_sheet(samples, train, found, rows), text, real=True))
    return pictures


def distance_plot(spaces: Mapping[str, Neighbourhood]) -> Picture:
    """How far samples, and held-out real images, are from their nearest training image."""
    panels = {
        f"by {name}": {"samples": found.distances[:, 0].tolist(), "held-out real images": found.floor.tolist()}
        for name, found in spaces.items()
    }
    labels = ["distance to the nearest training image"] * len(panels)
    caption = "Distance to the nearest training image: samples against real images that were not trained on."
    return Picture("distances.png", histograms(panels, labels), caption)


def sweep_plot(rows: Sequence[Mapping[str, Any]], judge: str) -> Picture:
    """Kernel distance, precision and recall against psi, with their intervals."""
    rows = sorted(rows, key=lambda row: float(row["psi"]))

    def series(name: str) -> tuple[list[float], list[float], list[float]]:
        cells = [row["figures"][f"{name}_{judge}"] for row in rows]
        return [c["value"] for c in cells], [c["low"] for c in cells], [c["high"] for c in cells]

    panels = {
        "kernel distance": {"kid": series("kid")},
        "precision and recall": {"precision": series("precision"), "recall": series("recall")},
    }
    chart = line_panels([row["psi"] for row in rows], "psi (1 is no truncation)", panels)
    return Picture("psi-sweep.png", chart, "The truncation sweep; bars are 95 % intervals.")


def _neighbour_sheet(samples: Pixels, train: Pixels, found: Neighbourhood, rows: Indices) -> bytes:
    """Rows of sample, gap, neighbours; two such columns beside each other."""
    strips = []
    for row in rows:
        neighbours = contact_sheet(list(train[found.indices[row]]), found.indices.shape[1], TILE)
        sample = contact_sheet([samples[row]], 1, TILE)
        gap = np.full((TILE, _GAP, 3), 255, np.uint8)
        strips.append(np.concatenate([sample, gap, neighbours, gap, gap], axis=1))
    return encode_sheet(contact_sheet(strips, 2), "JPEG")
