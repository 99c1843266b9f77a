"""Drawing comparisons: distinct, evenly, the same for one seed everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syper_data.protocols.drawing import draw_numbers


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 5))
def test_as_many_distinct_numbers_as_wanted_in_order(count: int, wanted: int, seed: int) -> None:
    wanted = min(wanted, count)
    drawn = draw_numbers(count, wanted, (seed,))
    assert len(drawn) == wanted
    assert (np.diff(drawn) > 0).all()
    assert not wanted or (drawn[0] >= 0 and drawn[-1] < count)


@pytest.mark.parametrize("wanted", [10, 70])
def test_every_number_is_drawn_equally_often(wanted: int) -> None:
    """Chi-square over 100 numbers in 2,000 draws: below 180 in all but one of a million."""
    seen = np.bincount(np.concatenate([draw_numbers(100, wanted, (seed,)) for seed in range(2000)]), minlength=100)
    expected = 2000 * wanted / 100
    assert ((seen - expected) ** 2 / expected).sum() < 180


def test_the_draw_is_the_same_on_every_machine() -> None:
    assert draw_numbers(10**12, 3, (1, 2)).tolist() == [387826207682, 451078592673, 750201702571]
    assert draw_numbers(10, 8, (1, 2)).tolist() == [0, 3, 4, 5, 6, 7, 8, 9]
