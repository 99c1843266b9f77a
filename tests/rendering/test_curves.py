"""Lines, bands and outlines stand where their values say, and every text is escaped."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from syper_data.rendering.curves import (
    STYLE,
    Axis,
    Line,
    legend,
    line_chart,
    normal_deviate,
    outlines,
    rate_axis,
    same,
)

HOSTILE = "<b>&\"'"


def points(chart: object, classes: str) -> np.ndarray:
    found = re.search(f'class="{classes}" d="M([^"Z]*)', str(chart))
    assert found is not None
    return np.array(found[1].split(), float).reshape(-1, 2)


def test_normal_deviates_are_quantiles_of_the_normal_distribution() -> None:
    found = normal_deviate([0.5, 0.975, 0.025, 1e-6, 0.0])
    assert found[:4] == pytest.approx([0, 1.959964, -1.959964, -4.753424], abs=1e-6)
    assert np.isfinite(found).all()


def test_equal_rates_lie_on_the_diagonal_of_equal_axes() -> None:
    axis = rate_axis("FMR", 0.001, 0.5)
    x, y = axis.place([0.01, 0.1], 0, 100), axis.place([0.01, 0.1], 0, 100)
    assert np.array_equal(x, y)
    assert axis.place([0.001, 0.5], 0, 100) == pytest.approx([0, 100])
    assert [text for _, text in axis.ticks][:3] == ["0.1 %", "0.2 %", "0.5 %"]


def test_ticks_of_rates_keep_apart_and_reach_the_lowest_rates() -> None:
    wide = [text for _, text in rate_axis("FMR", 6e-5, 0.5, apart=0.11).ticks]
    assert wide == ["0.01 %", "0.1 %", "1 %", "10 %", "20 %", "40 %"]
    axis = rate_axis("FNMR", 0.0017, 0.95)
    assert [text for _, text in axis.ticks][:3] == ["0.2 %", "1 %", "5 %"]
    places = axis.place([value for value, _ in axis.ticks], 0, 1)
    assert np.diff(places).min() >= 0.06


def test_values_beyond_an_axis_stand_at_its_end() -> None:
    axis = Axis("x", 0.0, 1.0, (), same)
    assert axis.place([-5, 0.25, 7], 10, 50).tolist() == [10, 20, 50]


def test_a_line_and_its_band_go_through_their_values() -> None:
    axis = Axis("x", 0.0, 1.0, ((0.0, "0"), (1.0, "1")))
    line = Line("m", [0.0, 1.0], [0.0, 1.0], 0, [0.0, 0.5], [0.5, 1.0])
    chart = line_chart([line], axis, axis, "chart")
    drawn, band = points(chart, "line s0"), points(chart, "band f0")
    assert drawn[0, 0] < drawn[1, 0] and drawn[0, 1] > drawn[1, 1]  # upwards is less in SVG
    assert len(band) == 4
    assert band[0].tolist() == drawn[0].tolist()
    assert band[2].tolist() == drawn[1].tolist()


def test_an_outline_is_as_high_as_its_shares() -> None:
    chart = outlines([0, 1, 2, 3], [("a", [0.2, 0.4, 0.0], 0), ("b", [0.0, 0.0, 1.0], 1)], "score", "scores")
    a, b = points(chart, "line s0"), points(chart, "line s1")
    floor = a[-1, 1]
    heights = floor - np.array([a[0, 1], a[2, 1], b[-1, 1]])
    assert heights / heights[2] == pytest.approx([0.2, 0.4, 1.0], abs=0.01)


def test_every_text_is_escaped_and_the_drawing_is_well_formed() -> None:
    axis = Axis(HOSTILE, 0.0, 1.0, ((0.5, HOSTILE),))
    chart = line_chart([Line(HOSTILE, [0.0, 1.0], [0.0, 1.0], 0)], axis, axis, HOSTILE, even=True)
    for drawing in (chart, outlines([0, 1], [(HOSTILE, [1.0], 0)], HOSTILE, HOSTILE), legend([HOSTILE])):
        ElementTree.fromstring(str(drawing).replace("&#34;", "&quot;"))
        assert HOSTILE not in str(drawing)


def test_lines_differ_in_dashes_too_and_styles_repeat_when_they_run_out() -> None:
    dashes = re.findall(r"stroke-dasharray: ([^;]+); }", str(STYLE))[:7]
    assert len(set(dashes)) == 7
    axis = Axis("x", 0.0, 1.0, ())
    assert 'class="line s1"' in str(line_chart([Line("m", [0.0, 1.0], [0.0, 1.0], 8)], axis, axis, "c"))
