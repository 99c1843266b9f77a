"""Whole numbers of few bits as bytes: no bit between two of them, the least significant first; and bytes as fewer
bytes, by how often each occurs."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

Codes = np.ndarray[Any, np.dtype[np.uint8]]


_MOST = 8  # a byte takes at least one bit


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


def shrink(data: Codes, width: int = 1) -> Codes:
    """Bytes of numbers of ``width`` bytes each -> fewer bytes, as a rule: Huffman codes (DEFLATE, RFC 1951,
    without matches), the first bytes of all numbers together, then the second ones."""
    coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    parts = []
    for plane in data.reshape(-1, width).T:
        parts += [coder.compress(np.ascontiguousarray(plane).tobytes()), coder.flush(zlib.Z_FULL_FLUSH)]
    return np.frombuffer(b"".join([*parts, coder.flush()]), np.uint8).copy()


def expand(data: Codes, width: int = 1) -> Codes:
    """What :func:`shrink` was given -> uint8 [n].

    Raises:
        ValueError: it made no such bytes.
    """
    coder = zlib.decompressobj(-15)
    most = _MOST * len(data) + 64
    try:
        raw = coder.decompress(data.tobytes(), most)
    except zlib.error as error:
        raise ValueError(f"cannot be expanded ({error})") from error
    if not coder.eof or coder.unused_data or len(raw) % width:
        raise ValueError(f"{len(data)} bytes do not expand to numbers of {width} bytes")
    planes = np.frombuffer(raw, np.uint8).reshape(width, -1)
    return planes.T.copy().ravel()
