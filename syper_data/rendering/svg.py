"""Small charts as inline SVG, for pages: sharp in print, text that can be read and searched, no script.

Colours and type are the page's (``cards/page.html.j2``); every text is escaped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT = 360, 150  # units of the drawing; it scales with the page
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 22, 34
_BINS = 40
_DIGIT, _APART = 6.2, 6  # a digit of 11 px type; room between two texts
_TAIL = 0.001  # of the values at either end, gathered in the outermost bar


@dataclass(frozen=True)
class Bound:
    """A vertical line: where it stands, and what it is called."""

    value: float
    text: str


def histogram(values: Any, axis: str, *, low: Bound | None = None, high: Bound | None = None) -> Markup:
    """How often which value occurs, values [n]; bars below ``low`` and above ``high`` are marked.

    The outermost bars hold what lies beyond the drawn range as well.
    """
    values = np.asarray(values, np.float64)
    first, last = _range(values, [b.value for b in (low, high) if b is not None])
    edges = np.linspace(first, last, _BINS + 1)
    counts, _ = np.histogram(np.clip(values, first, last), edges)
    parts = [*_bars(counts, edges, low, high), _axis(first, last, axis), *_lines(first, last, low, high)]
    label = f"{axis}: distribution of {len(values):,} images"
    return Markup('<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">{body}</svg>').format(
        w=WIDTH, h=HEIGHT, label=label, body=Markup("").join(parts)
    )


def _range(values: Any, bounds: list[float]) -> tuple[float, float]:
    first, last = (float(np.quantile(values, q)) for q in (_TAIL, 1 - _TAIL))
    first, last = min([first, *bounds]), max([last, *bounds])
    if last <= first:
        return first - 0.5, first + 0.5
    margin = 0.03 * (last - first)
    return first - margin, last + margin


def _x(value: float, first: float, last: float) -> float:
    return _LEFT + (value - first) / (last - first) * (WIDTH - _LEFT - _RIGHT)


def _bars(counts: Any, edges: Any, low: Bound | None, high: Bound | None) -> list[Markup]:
    room, most, floor = HEIGHT - _TOP - _BOTTOM, max(int(counts.max()), 1), HEIGHT - _BOTTOM
    bars = []
    for number, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if not number:
            continue
        x, end = _x(left, edges[0], edges[-1]), _x(right, edges[0], edges[-1])
        height = max(1.0, number / most * room)
        middle = (left + right) / 2
        beyond = (low is not None and middle < low.value) or (high is not None and middle > high.value)
        bars.append(
            Markup('<rect class="{c}" x="{x}" y="{y}" width="{w}" height="{h}"/>').format(
                c="beyond" if beyond else "bar",
                x=f"{x:.1f}",
                y=f"{floor - height:.1f}",
                w=f"{end - x - 0.6:.1f}",
                h=f"{height:.1f}",
            )
        )
    return bars


def _axis(first: float, last: float, text: str) -> Markup:
    floor = HEIGHT - _BOTTOM
    parts = [Markup(f'<line class="axis" x1="{_LEFT}" y1="{floor}" x2="{WIDTH - _RIGHT}" y2="{floor}"/>')]
    for tick in ticks(first, last):
        x = _x(tick, first, last)
        parts.append(Markup(f'<text x="{x:.1f}" y="{floor + 13}" text-anchor="middle">{tick:g}</text>'))
    parts.append(
        Markup(f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 5}" text-anchor="middle">')
        + escape(text)
        + Markup("</text>")
    )
    return Markup("").join(parts)


def ticks(first: float, last: float) -> list[float]:
    """Three to six round numbers between."""
    raw = (last - first) / 4
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(m * scale for m in (1, 2, 5, 10) if m * scale >= raw)
    found = np.arange(math.ceil(first / step), math.floor(last / step) + 1) * step
    return [float(f"{value:.10g}") + 0.0 for value in found]


def _lines(first: float, last: float, low: Bound | None, high: Bound | None) -> list[Markup]:
    """The bounds with their texts beside each other: where they would meet, each stands outside of its line."""
    sides = ((low, "start"), (high, "end"))
    found = [(_x(b.value, first, last), b.text, side) for b, side in sides if b is not None]
    starts = [_text_start(*line) for line in found]
    if len(found) == 2:
        (x, text, _), (right_x, right_text, _) = found
        if starts[0] + _text_width(text) + _APART > starts[1]:
            starts = [max(0.0, x - 3 - _text_width(text)), min(WIDTH - _text_width(right_text), right_x + 3)]
            over = max(0.0, starts[0] + _text_width(text) + _APART - starts[1])
            starts = [0.0, starts[1] + over] if starts[0] == 0 else [starts[0] - over, starts[1]]
    return [_line(x, text, start) for (x, text, _), start in zip(found, starts, strict=True)]


def _text_start(x: float, text: str, side: str) -> float:
    """Where the text of a line begins: inside of the bound, or on the other side at the drawing's edge."""
    if side == "start" and x > WIDTH - 120:
        side = "end"
    elif side == "end" and x < 120:
        side = "start"
    return x + 3 if side == "start" else x - 3 - _text_width(text)


def _text_width(text: str) -> float:
    """About how wide it is in the page's type, where letters are no wider than digits."""
    return _DIGIT * len(text)


def _line(x: float, text: str, start: float) -> Markup:
    """A dashed line and its text; a text on its left ends there."""
    side, at = ("end", start + _text_width(text)) if start < x else ("start", start)
    return Markup(
        '<line class="bound" x1="{x}" y1="{top}" x2="{x}" y2="{floor}"/>'
        '<text class="bound" x="{at}" y="{y}" text-anchor="{side}">{text}</text>'
    ).format(x=f"{x:.1f}", top=_TOP - 8, floor=HEIGHT - _BOTTOM, at=f"{at:.1f}", y=_TOP - 10, side=side, text=text)
