"""Figures are rounded so that they say neither more nor less than they know."""

from __future__ import annotations

import pytest

from syper_data.rendering.numbers import count, counted, number, percent


@pytest.mark.parametrize(
    ("value", "text"), [(12.345, "12.3"), (0.6172, "0.617"), (0.00891, "0.0089"), (-0.00001, "0.0000")]
)
def test_a_figure_has_as_many_digits_as_it_deserves(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 %"), (1, "100 %"), (0.999, "99.90 %"), (0.99999, "99.99 %"), (0.12, "12 %"), (0.0563, "5.6 %"),
        (0.0044, "0.44 %"), (0.0001, "0.010 %"),
    ],
)  # fmt: skip
def test_a_share_is_nothing_or_all_only_where_it_is(value: float, text: str) -> None:
    assert percent(value) == text.replace(" ", "\xa0")


@pytest.mark.parametrize(
    ("value", "text"), [(1240, "1,240"), (2.5, "2.5"), (2.0, "2"), (0.03, "0.03"), (123.4, "123")]
)
def test_an_expected_count_keeps_a_digit_where_it_is_small(value: float, text: str) -> None:
    assert count(value) == text


def test_a_noun_follows_its_count() -> None:
    assert [counted(1, "image"), counted(2, "image"), counted(1, "person"), counted(3, "person")] == [
        "1 image", "2 images", "1 person", "3 people",
    ]  # fmt: skip
