"""Lines with bands, and outlines of distributions, as inline SVG for pages; see :mod:`~syper_data.rendering.svg`.

Lines are told apart by colour and by dashes (:data:`STYLE`, for the page), so that a print without colour can
be read; :func:`legend` names them once for several charts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from markupsafe import Markup

from syper_data.rendering.svg import ticks

Floats = np.ndarray[Any, np.dtype[np.float64]]

WIDTH, HEIGHT = 420, 330  # units of the drawing; it scales with the page
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 18, 10, 42
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#8a6d00", "#56b4e9", "#1d2327")  # Okabe & Ito, darkened
_DASHES = ("none", "7 3", "2 2", "9 3 2 3", "12 4", "4 4", "1 3")

STYLE = Markup(
    "\n".join(
        f"svg .s{i} {{ stroke: {colour}; stroke-dasharray: {dash}; }} svg .f{i} {{ fill: {colour}; }}"
        for i, (colour, dash) in enumerate(zip(_COLOURS, _DASHES, strict=True))
    )
    + "\nsvg .line { fill: none; stroke-width: 1.8; } svg .band { opacity: .16; } svg .area { opacity: .3; }"
    + "\nsvg .grid { stroke: #e4e8ec; } svg .even { stroke: #9aa4ad; stroke-dasharray: 1 3; }"
)


def same(values: Any) -> Floats:
    """A linear axis."""
    return np.asarray(values, np.float64)


def normal_deviate(values: Any) -> Floats:
    """Shares (0, 1) as quantiles of the standard normal distribution: the axes of a DET plot."""
    quantile = NormalDist().inv_cdf
    return np.asarray([quantile(v) for v in np.clip(np.asarray(values, np.float64), 1e-12, 1 - 1e-12)])


def logarithm(values: Any) -> Floats:
    """A logarithmic axis."""
    return np.log10(np.maximum(np.asarray(values, np.float64), 1e-300))


_RATES = (
    0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 0.4, 0.8, 0.95, 0.2, 0.05, 0.6, 0.02, 0.005, 0.002, 5e-4, 2e-4,
)  # the most wanted ticks of a rate first  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """From ``first`` to ``last``; ``ticks`` are values and what stands there."""

    label: str
    first: float
    last: float
    ticks: tuple[tuple[float, str], ...]
    scale: Callable[[Any], Floats] = same

    def place(self, values: Any, start: float, stop: float) -> Floats:
        """Where values lie between two units of the drawing; what is beyond the axis stands at its end."""
        first, last = self.scale([self.first, self.last])
        inside = np.clip(np.asarray(values, np.float64), min(self.first, self.last), max(self.first, self.last))
        placed: Floats = start + (self.scale(inside) - first) / (last - first) * (stop - start)
        return placed


@dataclass(frozen=True)
class Line:
    """``y`` over ``x`` [k]; ``low`` and ``high`` bound its band. ``style`` numbers its colour and dashes."""

    name: str
    x: Any
    y: Any
    style: int
    low: Any = None
    high: Any = None


def line_chart(lines: Sequence[Line], x: Axis, y: Axis, label: str, *, even: bool = False) -> Markup:
    """Lines on two axes, bands behind them; ``even`` draws where both values are equal."""
    right, floor = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = [*_grid(x, y)]
    if even:
        ends = np.linspace(max(x.first, y.first), min(x.last, y.last), 60)
        parts.append(_path("even line", x.place(ends, _LEFT, right), y.place(ends, floor, _TOP)))
    for line in lines:
        if line.low is not None and len(line.x):
            across = np.concatenate([line.x, np.asarray(line.x)[::-1]])
            edge = np.concatenate([line.low, np.asarray(line.high)[::-1]])
            places = x.place(across, _LEFT, right), y.place(edge, floor, _TOP)
            parts.append(_path(f"band f{line.style % len(_COLOURS)}", *places, closed=True))
    for line in lines:
        places = x.place(line.x, _LEFT, right), y.place(line.y, floor, _TOP)
        parts.append(_path(f"line s{line.style % len(_COLOURS)}", *places, title=line.name))
    return _svg(parts, label)


def outlines(edges: Any, shares: Sequence[tuple[str, Any, int]], x_label: str, label: str) -> Markup:
    """Distributions on common bins: ``edges`` [k + 1] and, for each, its name, shares [k] and style."""
    edges = np.asarray(edges, np.float64)
    most = max(float(np.max(values)) for _, values, _ in shares) or 1.0
    x = Axis(x_label, float(edges[0]), float(edges[-1]), _round_ticks(float(edges[0]), float(edges[-1])))
    y = Axis("share of comparisons", 0.0, 1.05 * most, _round_ticks(0.0, 1.05 * most))
    right, floor = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = [*_grid(x, y)]
    for name, values, style in shares:
        across = x.place(np.concatenate([[edges[0]], np.repeat(edges[1:-1], 2), [edges[-1]]]), _LEFT, right)
        height = y.place(np.repeat(np.asarray(values, np.float64), 2), floor, _TOP)
        ends = np.concatenate([[across[0]], across, [across[-1]]]), np.concatenate([[floor], height, [floor]])
        parts.append(_path(f"area f{style}", *ends, closed=True))
        parts.append(_path(f"line s{style}", across, height, title=name))
    return _svg(parts, label)


def legend(names: Sequence[str]) -> Markup:
    """What the lines of styles 0, 1, ... are called, as a paragraph."""
    entry = Markup(
        '<span class="key"><svg viewBox="0 0 34 10" width="34" height="10" aria-hidden="true">'
        '<line class="line s{style}" x1="0" y1="5" x2="34" y2="5"/></svg> {name}</span>'
    )
    entries = [entry.format(style=i % len(_COLOURS), name=name) for i, name in enumerate(names)]
    return Markup('<p class="legend">{}</p>').format(Markup(" ").join(entries))


def rate_axis(label: str, first: float, last: float, apart: float = 0.06) -> Axis:
    """An axis of a DET plot in percent, ticks between ``first`` and ``last``: powers of ten, then what fits
    between them, ``apart`` of the axis' length."""
    bare = Axis(label, first, last, (), normal_deviate)
    kept: dict[float, float] = {}
    for value in _RATES:
        place = float(bare.place([value], 0, 1)[0])
        if first <= value <= last and all(abs(place - other) >= apart for other in kept.values()):
            kept[value] = place
    return replace(bare, ticks=tuple((value, f"{100 * value:g} %") for value in sorted(kept)))


def _grid(x: Axis, y: Axis) -> list[Markup]:
    right, floor = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = []
    for value, text in x.ticks:
        at = float(x.place([value], _LEFT, right)[0])
        parts.append(
            Markup(
                '<line class="grid" x1="{x}" y1="{top}" x2="{x}" y2="{floor}"/>'
                '<text x="{x}" y="{below}" text-anchor="middle">{text}</text>'
            ).format(x=f"{at:.1f}", top=_TOP, floor=floor, below=floor + 14, text=text)
        )
    for value, text in y.ticks:
        at = float(y.place([value], floor, _TOP)[0])
        parts.append(
            Markup(
                '<line class="grid" x1="{left}" y1="{y}" x2="{right}" y2="{y}"/>'
                '<text x="{before}" y="{base}" text-anchor="end">{text}</text>'
            ).format(left=_LEFT, right=right, y=f"{at:.1f}", before=_LEFT - 5, base=f"{at + 4:.1f}", text=text)
        )
    parts.append(
        Markup(
            '<line class="axis" x1="{l}" y1="{f}" x2="{r}" y2="{f}"/>'
            '<line class="axis" x1="{l}" y1="{t}" x2="{l}" y2="{f}"/>'
            '<text x="{cx}" y="{by}" text-anchor="middle">{x}</text>'
            '<text transform="translate(11 {cy}) rotate(-90)" text-anchor="middle">{y}</text>'
        ).format(
            l=_LEFT, r=right, t=_TOP, f=floor, cx=(_LEFT + right) / 2, by=HEIGHT - 8, cy=(floor + _TOP) / 2,
            x=x.label, y=y.label,
        )
    )  # fmt: skip
    return parts


def _path(
    classes: str, x: Floats | Any, y: Floats | Any, *, closed: bool = False, title: str | None = None
) -> Markup:
    if not len(x):
        return Markup("")
    points = " ".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    path = Markup('<path class="{c}" d="M{p}{z}">').format(c=classes, p=points, z="Z" if closed else "")
    said = Markup("") if title is None else Markup("<title>{}</title>").format(title)
    return path + said + Markup("</path>")


def _round_ticks(first: float, last: float) -> tuple[tuple[float, str], ...]:
    """Three to six round numbers between, as the ticks of a linear axis."""
    return tuple((v, f"{v:g}") for v in ticks(first, last))


def _svg(parts: Sequence[Markup], label: str) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">{body}</svg>').format(
        w=WIDTH, h=HEIGHT, label=label, body=Markup("").join(parts)
    )
