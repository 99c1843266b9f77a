"""Bits packed and unpacked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syper_data.quantization.packing import expand, pack, packed_size, shrink, unpack


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


@given(st.integers(1, 4), st.binary(max_size=200))
def test_what_is_shrunk_comes_back(width: int, content: bytes) -> None:
    data = np.frombuffer(content[: len(content) // width * width], np.uint8)
    assert np.array_equal(expand(shrink(data, width), width), data)


def test_numbers_of_like_size_take_fewer_bytes_and_noise_hardly_more() -> None:
    rng = np.random.default_rng(0)
    alike = rng.normal(1, 0.1, 5000).astype(np.float16).view(np.uint8)
    assert len(shrink(alike, 2)) < 0.8 * len(alike)
    noise = rng.integers(0, 256, 100_000, dtype=np.uint8)
    assert len(shrink(noise)) <= len(noise) + 100


def test_bytes_that_were_not_shrunk_are_refused() -> None:
    good = shrink(np.arange(100, dtype=np.uint8))
    for spoilt in (good[:-1], np.append(good, good[:1]), np.full(20, 255, np.uint8)):
        with pytest.raises(ValueError, match="expand"):
            expand(spoilt)
    with pytest.raises(ValueError, match="numbers of 3 bytes"):
        expand(good, 3)


def test_a_few_bytes_do_not_expand_to_more_than_their_bits() -> None:
    import zlib

    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = np.frombuffer(coder.compress(bytes(10_000_000)) + coder.flush(), np.uint8)
    with pytest.raises(ValueError, match="do not expand"):
        expand(bomb)
