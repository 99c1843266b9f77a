"""Bits packed and unpacked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syper_data.quantization.packing import pack, packed_size, unpack


@given(st.integers(1, 8), st.lists(st.integers(0, 255), max_size=40))
def test_what_is_packed_comes_back_and_takes_no_bit_too_many(bits: int, numbers: list[int]) -> None:
    codes = np.array([n % 2**bits for n in numbers], np.uint8)
    data = pack(codes, bits)
    assert data.size == packed_size(len(codes), bits) == -(-len(codes) * bits // 8)
    assert np.array_equal(unpack(data, len(codes), bits), codes)


def test_the_layout_is_the_documented_one() -> None:
    assert pack(np.array([1, 2, 3, 4, 5], np.uint8), 3).tolist() == [0b11010001, 0b01011000]


def test_what_does_not_fit_or_is_not_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="16 does not fit 4 bits"):
        pack(np.array([16], np.uint8), 4)
    with pytest.raises(ValueError, match="1 bytes, 3 codes of 4 bits take 2"):
        unpack(np.zeros(1, np.uint8), 3, 4)
    with pytest.raises(ValueError, match="bits that are not 0"):
        unpack(np.array([0, 0x10], np.uint8), 3, 4)
