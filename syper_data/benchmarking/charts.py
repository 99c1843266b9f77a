"""The charts of a page, from the figures of a fold as ``results.json`` holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from syper_data.rendering.curves import Axis, Line, line_chart, outlines, rate_axis

HIGHEST = 0.95  # FNMR of a DET
WIDEST = 0.5  # FMR of a DET
_BARS = 60  # of a distribution, at most


def det_chart(figures: Mapping[str, Any], labels: Sequence[str], title: str) -> Markup | None:
    """FNMR over FMR on normal-deviate axes, where the comparisons support both (rule of 3).

    A rate below three over the number of independent comparisons can't be told from zero: the line ends there.
    """
    lines, first, top = [], 0.01, WIDEST
    floor = 0.01
    for style, label in enumerate(labels):
        verification, det = figures[label]["verification"], figures[label]["det"]
        fmr, fnmr, low, high = (np.array(det[k], np.float64) for k in ("fmr", "fnmr", "fnmr_low", "fnmr_high"))
        least = 3 / max(1, verification["independent"])
        bottom = 3 / max(1, verification["mated"])
        drawn = (fmr >= least) & (fmr <= WIDEST) & (fnmr >= bottom) & (fnmr <= HIGHEST)
        band = (None, None) if np.isnan(low).any() else (low[drawn], high[drawn])
        lines.append(Line(label, fmr[drawn], fnmr[drawn], style, *band))
        if drawn.any():
            first, floor = min(first, float(fmr[drawn].min())), min(floor, float(fnmr[drawn].min()))
            top = HIGHEST if fnmr[drawn].max() > WIDEST else top
    if not any(len(line.x) for line in lines):
        return None
    x, y = rate_axis("FMR", max(1e-7, first), WIDEST, apart=0.11), rate_axis("FNMR", max(1e-7, floor), top)
    return line_chart(lines, x, y, title, even=True)


def cmc_chart(figures: Mapping[str, Any], labels: Sequence[str], title: str) -> Markup | None:
    """The share of searches that find their identity within each rank; None without searches."""
    lines = []
    for style, label in enumerate(labels):
        values = np.array((figures[label]["identification"] or {}).get("cmc") or [], np.float64)
        if len(values):
            lines.append(Line(label, np.arange(1, len(values) + 1), values, style))
    ranks = max((len(line.x) for line in lines), default=0)
    if ranks < 2:
        return None
    floor = max(0.0, float(np.floor((min(line.y.min() for line in lines) - 0.02) * 10) / 10))
    step = 0.2 if floor < 0.5 else 0.1 if floor < 0.8 else 0.05
    shown = [1.0 - step * i for i in range(6) if 1.0 - step * i >= floor - 1e-9]
    ticks = tuple((v, f"{100 * v:.0f} %") for v in shown)
    across = sorted({1, *(r for r in (5, 10, 15, 20, 50) if r <= ranks), ranks})
    x = Axis("rank", 1, ranks, tuple((r, str(r)) for r in across))
    return line_chart(lines, x, Axis("identified", floor, 1.0, ticks), title)


def scores_chart(distribution: Mapping[str, Any], title: str) -> Markup | None:
    """How often which score occurs among mated and among non-mated comparisons, each as shares of its number."""
    edges = np.array(distribution["edges"], np.float64)
    counts = [np.array(distribution[k], np.float64) for k in ("mated", "nonmated")]
    used = np.flatnonzero(counts[0] + counts[1])
    if not len(used):
        return None
    first, last = int(used[0]), int(used[-1]) + 1
    step = -(-(last - first) // _BARS)
    starts = np.arange(first, last, step)
    shown = edges[np.append(starts, last)]
    shares = [np.add.reduceat(c[:last], starts) / max(1.0, c.sum()) for c in counts]
    return outlines(shown, [("mated", shares[0], 0), ("non-mated", shares[1], 1)], "cosine similarity", title)
