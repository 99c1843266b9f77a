"""Figures as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_UNIT = "\xa0%"  # on one line with its number


def number(value: float) -> str:
    """A figure with as many digits as it deserves: 12.3, 0.617, 0.0089."""
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3 if abs(value) >= 0.1 else 4
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no minus before a zero


def interval(figure: Mapping[str, Any]) -> str:
    """``[low, high]``, or nothing where none is known."""
    return f"[{number(figure['low'])}, {number(figure['high'])}]" if "low" in figure else ""


def count(value: float) -> str:
    """A count with thousands apart; an expected count keeps a digit where it is small: 1,240, 2.5, 0.03."""
    whole = abs(value) >= 100 or float(value).is_integer()
    return f"{round(value):,}" if whole else f"{value:.1f}" if abs(value) >= 0.1 else f"{value:.1g}"


def counted(value: float, noun: str) -> str:
    """A count with its noun: 1 image, 12 images, 1 person, 3 people."""
    if value == 1:
        return f"1 {noun}"
    return f"{count(value)} {'people' if noun == 'person' else noun + 's'}"


def percent(value: float) -> str:
    """A share in percent: 12 %, 5.6 %, 0.44 %, 0.010 %; 0 % and 100 % only where it is exactly that."""
    shown = 100 * value
    if value in (0, 1):
        return f"{shown:.0f}{_UNIT}"
    if 99 <= shown < 100:
        return f"{min(shown, 99.99):.2f}{_UNIT}"
    digits = 0 if shown >= 10 else 1 if shown >= 1 else 2 if shown >= 0.1 else 3
    return f"{shown:.{digits}f}{_UNIT}"
