"""Error bars as SVG: where bars lie, and that zero is always there."""

from __future__ import annotations

import re

import pytest

from syper_data.rendering.error_bars import Bar, error_bars


def test_bars_lie_between_their_ends_and_zero_is_on_the_drawing() -> None:
    drawn = str(error_bars([Bar("first", 2.0, 1.0, 4.0), Bar("second", 3.0, 3.0, 3.0, 1)], "points", "chart"))
    lines = re.findall(r'class="whisker" x1="([\d.]+)" y1="(\d+)" x2="([\d.]+)" y2="(\d+)"', drawn)
    spans = [(float(a), float(b)) for a, y, b, z in lines if y == z]
    dots = [float(x) for x in re.findall(r'<circle class="f\d" cx="([\d.]+)"', drawn)]
    zero = float(re.findall(r'class="zero" x1="([\d.]+)"', drawn)[0])
    assert zero < spans[0][0] < dots[0] < spans[0][1]
    assert dots[0] - spans[0][0] == pytest.approx((spans[0][1] - spans[0][0]) / 3, abs=0.2)
    assert spans[1] == (dots[1], dots[1])
    assert "first: +2.00 [+1.00, +4.00]" in drawn


def test_names_are_escaped_and_bars_at_zero_are_drawn() -> None:
    drawn = str(error_bars([Bar("<b>", 0.0, 0.0, 0.0)], "a & b", "chart"))
    assert "&lt;b&gt;" in drawn
    assert "a &amp; b" in drawn
    assert "nan" not in drawn
