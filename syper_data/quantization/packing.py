"""Whole numbers of few bits as bytes: no bit between two of them, the least significant first."""

from __future__ import annotations

from typing import Any

import numpy as np

Codes = np.ndarray[Any, np.dtype[np.uint8]]


def packed_size(count: int, bits: int) -> int:
    """Bytes of so many numbers."""
    return -(-count * bits // 8)


def pack(codes: Codes, bits: int) -> Codes:
    """uint8 [n], each below 2^bits, bits 1..8 -> uint8 [ceil(n bits / 8)], the last byte filled up with zeros."""
    if codes.dtype != np.uint8 or codes.ndim != 1 or not 1 <= bits <= 8:
        raise ValueError(f"{codes.dtype} {codes.shape} at {bits} bits: must be uint8 [n], 1..8 bits")
    if codes.size and int(codes.max()) >> bits:
        raise ValueError(f"code {int(codes.max())} does not fit {bits} bits")
    digits = np.unpackbits(codes[:, None], axis=1, count=bits, bitorder="little")
    return np.packbits(digits.ravel(), bitorder="little")


def unpack(data: Codes, count: int, bits: int) -> Codes:
    """What :func:`pack` made of ``count`` numbers -> uint8 [count].

    Raises:
        ValueError: another number of bytes, or bits that are not 0 after the last number.
    """
    if data.shape != (packed_size(count, bits),):
        raise ValueError(f"{data.shape[0]} bytes, {count} codes of {bits} bits take {packed_size(count, bits)}")
    digits = np.unpackbits(data, bitorder="little")
    if digits[count * bits :].any():
        raise ValueError("bits that are not 0 follow the last code")
    codes: Codes = np.packbits(digits[: count * bits].reshape(count, bits), axis=1, bitorder="little")[:, 0]
    return codes
