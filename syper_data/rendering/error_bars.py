"""Values with their intervals, one a row, as inline SVG; see :mod:`~syper_data.rendering.svg`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from syper_data.rendering.svg import ticks

WIDTH = 420  # units of the drawing; it scales with the page
_SIDE, _TOP, _ROW, _BOTTOM = 14, 6, 32, 36
_STYLES = 7  # of curves.STYLE

STYLE = Markup(
    "svg .whisker { stroke: var(--ink); stroke-width: 1.4; }"
    "\nsvg .zero { stroke: var(--soft); stroke-dasharray: 3 2; }"
    "\nsvg.chart text.row { fill: var(--ink); stroke: #fff; stroke-width: 3px; paint-order: stroke; }"
)


@dataclass(frozen=True)
class Bar:
    """A value, its interval, and what it is called. ``style`` numbers its colour (``curves.STYLE``)."""

    name: str
    value: float
    low: float
    high: float
    style: int = 0


def error_bars(bars: Sequence[Bar], axis: str, label: str) -> Markup:
    """One row a bar, from the first to the last; the line at zero is always on the drawing.

    Each name stands above its bar, so that long ones fit a phone, too.
    """
    first, last = _range(bars)
    floor = _TOP + _ROW * len(bars)
    parts = [_grid(first, last, floor, axis)]
    for number, bar in enumerate(bars):
        y = _TOP + _ROW * number
        low, value, high = (_x(v, first, last) for v in (bar.low, bar.value, bar.high))
        text = f"{bar.name}: {bar.value:+.2f} [{bar.low:+.2f}, {bar.high:+.2f}]"
        parts.append(
            Markup(
                '<g><title>{said}</title><text class="row" x="{side}" y="{base}">{name}</text>'
                '<line class="whisker" x1="{low}" y1="{y}" x2="{high}" y2="{y}"/>'
                '<line class="whisker" x1="{low}" y1="{up}" x2="{low}" y2="{down}"/>'
                '<line class="whisker" x1="{high}" y1="{up}" x2="{high}" y2="{down}"/>'
                '<circle class="f{style}" cx="{value}" cy="{y}" r="4"/></g>'
            ).format(
                said=text, name=bar.name, side=_SIDE, base=y + 11, y=y + 21, up=y + 17, down=y + 25,
                low=f"{low:.1f}", value=f"{value:.1f}", high=f"{high:.1f}", style=bar.style % _STYLES,
            )
        )  # fmt: skip
    return Markup('<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">{body}</svg>').format(
        w=WIDTH, h=floor + _BOTTOM, label=label, body=Markup("").join(parts)
    )


def _range(bars: Sequence[Bar]) -> tuple[float, float]:
    ends = [0.0, *(v for bar in bars for v in (bar.low, bar.value, bar.high))]
    first, last = min(ends), max(ends)
    margin = 0.04 * (last - first) or 0.5
    return first - margin, last + margin


def _x(value: float, first: float, last: float) -> float:
    return _SIDE + (value - first) / (last - first) * (WIDTH - 2 * _SIDE)


def _grid(first: float, last: float, floor: int, axis: str) -> Markup:
    parts = []
    for tick in ticks(first, last):
        parts.append(
            Markup(
                '<line class="{c}" x1="{x}" y1="{top}" x2="{x}" y2="{floor}"/>'
                '<text x="{x}" y="{below}" text-anchor="middle">{text}</text>'
            ).format(
                c="zero" if tick == 0 else "grid", x=f"{_x(tick, first, last):.1f}", top=_TOP, floor=floor,
                below=floor + 13, text=f"{tick:g}",
            )
        )  # fmt: skip
    parts.append(
        Markup('<text x="{x}" y="{y}" text-anchor="middle">{text}</text>').format(
            x=WIDTH / 2, y=floor + 29, text=axis
        )
    )
    return Markup("").join(parts)
