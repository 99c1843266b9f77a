"""Image quality on the page: each measure's distribution, its limits, and images on either side of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from syper_data.filtering.typicality import REASON as UNTYPICAL
from syper_data.rendering.numbers import count
from syper_data.rendering.svg import Bound, histogram
from syper_data.reporting.audited import Audited
from syper_data.reporting.pictures import SMALL_TILE, Pixels, Tile, images_at, key_text, tile

EXAMPLES = 4

TITLES = {
    "eye_contrast": "Is an eye to be seen?",
    "eye_offset": "Is the eye in the centre?",
    "sharpness": "Sharpness",
    "exposure": "Exposure",
    "contrast": "Contrast",
    "colour_warmth": "Colour, blue to orange",
    "colour_tint": "Colour, magenta to green",
    "glare": "Glare",
    "typicality": "Is it like real images?",
}


@dataclass(frozen=True)
class Side:
    """One limit: the reason given beyond it, how many images lie there, and the nearest on either side."""

    reason: str
    where: str  # below or above
    limit: str
    beyond: str
    outside: list[Tile]
    inside: list[Tile]


@dataclass(frozen=True)
class MeasureSection:
    """One measure of the page."""

    name: str
    title: str
    unit: str
    chart: Markup
    sides: list[Side]


@dataclass(frozen=True)
class _Limit:
    reason: str
    where: str
    value: float
    outside: list[int]  # rows, nearest to the limit first
    inside: list[int]
    beyond: int


def quality_sections(audited: Audited) -> list[MeasureSection]:
    """One a measure, in the audit's order; none where no quality is recorded.

    Raises:
        KeyError, TypeError, ValueError: the record is none that ``filter`` wrote.
    """
    if audited.ledger is None or not audited.record.get("quality"):
        return []
    limits = {**audited.record["quality"]["thresholds"]["limits"], **_typicality(audited)}
    names = sorted(limits, key=lambda name: (list(TITLES).index(name) if name in TITLES else len(TITLES), name))
    values = {name: audited.ledger.table[name].to_numpy() for name in limits}
    found = {name: _limits(limits[name], values[name]) for name in limits}
    shown = {row for sides in found.values() for side in sides for row in (*side.outside, *side.inside)}
    pixels = images_at(audited, shown)
    return [_section(audited, name, limits[name], values[name], found[name], pixels) for name in names]


def _typicality(audited: Audited) -> dict[str, dict[str, Any]]:
    """The limit of typicality, a measure of the identity audit; empty where it was not asked for."""
    found = (audited.overlap or {}).get("typicality")
    if not found:
        return {}
    sides = {"low": found["threshold"], "low_reason": UNTYPICAL, "high": None, "high_reason": None}
    return {"typicality": {"unit": found["unit"], **sides}}


def _limits(limit: dict[str, Any], values: Any) -> list[_Limit]:
    sides = []
    order = np.argsort(values, kind="stable")
    for side in ("low", "high"):
        bound, reason = limit[side], limit[f"{side}_reason"]
        if bound is None or reason is None:
            continue
        upwards = order if side == "low" else order[::-1]
        beyond = int((values < bound).sum() if side == "low" else (values > bound).sum())
        outside, inside = upwards[:beyond][::-1][:EXAMPLES], upwards[beyond:][:EXAMPLES]
        where = "below" if side == "low" else "above"
        sides.append(_Limit(str(reason), where, float(bound), outside.tolist(), inside.tolist(), beyond))
    return sides


def _section(
    audited: Audited, name: str, limit: dict[str, Any], values: Any, sides: list[_Limit], pixels: dict[int, Pixels]
) -> MeasureSection:
    def tiles(rows: list[int]) -> list[Tile]:
        return [
            tile(pixels[row], SMALL_TILE, f"{key_text(audited, row)}: {values[row]:.4g} {limit['unit']}")
            for row in rows
        ]

    bounds = {
        side: None if limit[side] is None else Bound(float(limit[side]), f"{limit[side]:.4g}")
        for side in ("low", "high")
    }
    return MeasureSection(
        name,
        TITLES.get(name, name.replace("_", " ")),
        str(limit["unit"]),
        histogram(values, str(limit["unit"]), low=bounds["low"], high=bounds["high"]),
        [
            Side(s.reason, s.where, f"{s.value:.4g}", count(s.beyond), tiles(s.outside), tiles(s.inside))
            for s in sides
        ],
    )
