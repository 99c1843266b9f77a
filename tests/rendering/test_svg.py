"""Charts in the page: every value is drawn, what lies beyond a bound is marked, text can't end the drawing."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from syper_data.rendering.svg import Bound, histogram


def drawn(chart: str) -> list[tuple[str, float]]:
    """Class and x of every bar."""
    return [(e.attrib["class"], float(e.attrib["x"])) for e in ET.fromstring(chart) if e.tag == "rect"]


def test_bars_beyond_a_bound_are_marked() -> None:
    bars = drawn(histogram(np.linspace(0, 10, 200), "levels", low=Bound(2, "2"), high=Bound(9, "9")))
    kinds = [kind for kind, _ in sorted(bars, key=lambda bar: bar[1])]
    inside = [i for i, kind in enumerate(kinds) if kind == "bar"]
    assert kinds[0] == kinds[-1] == "beyond"
    assert inside == list(range(inside[0], inside[-1] + 1))
    assert 0.6 < len(inside) / len(kinds) < 0.8


def test_what_lies_far_away_is_in_the_outermost_bar() -> None:
    values = np.concatenate([np.linspace(0, 1, 5000), [1e9]])
    bars = drawn(histogram(values, "levels"))
    assert len(bars) > 30
    assert max(x for _, x in bars) < 360


def test_one_value_can_be_drawn() -> None:
    assert len(drawn(histogram([3.0, 3.0], "levels"))) == 1
    assert drawn(histogram([0.0], "levels", high=Bound(0.5, "0.5")))


@pytest.mark.parametrize(
    ("low", "high", "first", "last"),
    [(-9.453, -1.944, -9, 500), (-9.4, -9.3, -300, -9), (3.0, 3.1, 0, 6), (0.0, 0.1, 0, 90), (-5, 5, -6, 6)],
)
def test_texts_of_two_bounds_never_overlap_nor_leave_the_drawing(
    low: float, high: float, first: float, last: float
) -> None:
    bounds = {"low": Bound(low, f"{low:.3f}"), "high": Bound(high, f"{high:.3f}")}
    spans = []
    for text in ET.fromstring(histogram(np.linspace(first, last, 200), "levels", **bounds)):
        if text.get("class") == "bound" and text.tag == "text":
            width = 6.1 * len(text.text or "")  # a digit of the page's type is 6.1 units wide
            x = float(text.attrib["x"]) - (width if text.get("text-anchor") == "end" else 0)
            spans.append((x, x + width))
    (left, left_end), (right, right_end) = spans
    assert left >= 0
    assert left_end + 4 < right
    assert right_end <= 360


def test_text_is_escaped() -> None:
    chart = histogram([1.0, 2.0], '</svg><script>"&', low=Bound(1, "<b>"))
    root = ET.fromstring(chart)
    assert "<script" not in chart
    texts = [e.text for e in root if e.tag == "text"]
    assert '</svg><script>"&' in texts
    assert "<b>" in texts


def test_the_same_values_give_the_same_text() -> None:
    values = np.random.default_rng(0).normal(size=100)
    assert histogram(values, "x") == histogram(values.copy(), "x")
