"""Small charts as PNG bytes (matplotlib, drawn without a display or global state)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_SIZE, _DPI = (7.0, 3.2), 120

Series = tuple[Sequence[float], Sequence[float], Sequence[float]]  # value, low, high


def line_panels(x: Sequence[float], x_label: str, panels: Mapping[str, Mapping[str, Series]]) -> bytes:
    """One panel a quantity, side by side; in each a line with error bars for every series."""
    figure, axes = _figure(len(panels))
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for name, (value, low, high) in lines.items():
            bars = [
                [v - a for v, a in zip(value, low, strict=True)],
                [b - v for v, b in zip(value, high, strict=True)],
            ]
            axis.errorbar(x, value, yerr=np.maximum(bars, 0), marker="o", markersize=4, capsize=3, label=name)
        axis.set(title=title, xlabel=x_label)
        axis.set_ylim(bottom=min(0.0, *(min(v[1]) for v in lines.values())))
        axis.grid(alpha=0.3)
        if len(lines) > 1:
            axis.legend(frameon=False)
    return _png(figure)


def histograms(panels: Mapping[str, Mapping[str, Sequence[float]]], x_labels: Sequence[str]) -> bytes:
    """One panel a quantity; in each the outlines of some samples' distributions, on common bins."""
    figure, axes = _figure(len(panels))
    for axis, (title, samples), x_label in zip(axes, panels.items(), x_labels, strict=True):
        every = np.concatenate([np.asarray(v, float) for v in samples.values()])
        bins = np.linspace(float(every.min()), float(every.max()) or 1.0, 41)
        for name, values in samples.items():
            axis.hist(
                values,
                bins,
                weights=np.full(len(values), 1 / len(values)),
                histtype="step",
                linewidth=1.5,
                label=name,
            )
        axis.set(title=title, xlabel=x_label, ylabel="share of images")
        axis.legend(frameon=False, fontsize="small")
    return _png(figure)


def _figure(panels: int) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIZE[0] * max(1.0, panels / 2), _SIZE[1]), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)
    return figure, list(axes[0])


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
