"""Damaged pickles, and pickles that would unpack out of proportion, are refused in one line."""

from __future__ import annotations

import struct
import tracemalloc

import pytest

from hostile_pickles import (
    called,
    dict_of,
    list_of,
    named,
    octets,
    program,
    refusal,
    storage_payload,
    text,
    tuple_of,
)
from syper_data.gan.published.network_pickle import read_network_pickle
from syper_data.gan.published.refusal import MAX_STEPS
from syper_data.gan.published.stored_tensor import StoredTensor


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, world", "not a pickle"),
        (b"(dp0\n.", "not a pickle"),
        (b"\x80\x01N.", "protocol 1"),
        (b"\x80\x06N.", "protocol 6"),
        (b"\x80\x04N", "ends early"),
        (b"\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00N.", "ends early"),
        (b"\x80\x04.", "empty stack"),
        (b"\x80\x04t.", "empty stack"),
        (b"\x80\x04Nh\x07.", "never stored"),
        (b"\x80\x04\xfe.", "opcode 0xfe"),
        (b"\x80\x04X\x02\x00\x00\x00\xff\xff.", "UTF-8"),
        (b"\x80\x04cos", "without an end"),
        (b"\x80\x04N.trailing", "8 bytes follow"),
        (b"\x80\x04}(X\x01\x00\x00\x00au.", "key without a value"),
        (b"\x80\x04]K\x01N\x85s.", "treats a list as a dict"),
        (b"\x80\x04}K\x01a.", "treats a dict as a list"),
        (b"PK\x03\x04" + bytes(30), "ZIP"),
        (struct.pack("<Q", 2) + b"{}" + bytes(20), "safetensors"),
        (program(called(named("torch.storage", "_load_from_bytes"), octets(b"PK\x03\x04"))), "ZIP"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    assert reason in refusal(data)


@pytest.mark.parametrize(
    "payload",
    [
        storage_payload()[:-1],
        storage_payload() + b"\0",
        storage_payload()[:-12] + struct.pack("<qf", 2, 0.5),
        storage_payload()[:-12] + struct.pack("<qf", -1, 0.5),
        storage_payload(magic=b"K\x01"),
        storage_payload(magic=b"\x89"),
        storage_payload(description=b"N"),
        storage_payload(description=tuple_of(text("module"), b"N", b"N") + b"Q"),
        storage_payload(keys=list_of(text("0"), text("1"))),
        storage_payload(keys=list_of(text("another"))),
        storage_payload(keys=b"N"),
    ],
    ids=[
        "cut",
        "longer",
        "count",
        "negative",
        "magic",
        "no number",
        "nothing",
        "module",
        "two keys",
        "key",
        "no keys",
    ],
)
def test_a_damaged_storage_is_refused(payload: bytes) -> None:
    said = refusal(program(called(named("torch.storage", "_load_from_bytes"), octets(payload))))
    assert said.startswith("damaged: a storage ")


def tensor_of(offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """A pickle of a tensor with this geometry on a storage of one number."""

    def number(n: int) -> bytes:
        return b"\x8a\x09" + n.to_bytes(9, "little", signed=True)

    storage = called(named("torch.storage", "_load_from_bytes"), octets(storage_payload()))
    numbers = number(offset), tuple_of(*map(number, shape)), tuple_of(*map(number, strides))
    return program(called(named("torch._utils", "_rebuild_tensor_v2"), storage, *numbers, b"\x89", b"}"))


def test_a_tensor_inside_its_storage_is_read() -> None:
    stored = read_network_pickle(tensor_of(0, (1, 1), (1 << 40, 1)))
    assert type(stored) is StoredTensor
    assert stored.to_float32().tolist() == [[0.5]]


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (1, (), ()),
        (-1, (1,), (1,)),
        (0, (2,), (1,)),
        (0, (2,), (1 << 62,)),
        (0, (1 << 40,), (0,)),
        (0, (1 << 40, 1 << 40, 1 << 40), (0, 0, 0)),
        (0, (1,), (-1,)),
        (0, (-1,), (1,)),
        (0, (1, 1), (1,)),
        (0, (1,) * 9, (1,) * 9),
        (2, (0,), (1,)),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    said = refusal(tensor_of(offset, shape, strides))
    assert said.startswith("damaged: ")
    assert "tensor" in said


# Files that would take memory or time out of proportion.

_BIG = 1 << 20
_STORED = called(named("torch.storage", "_load_from_bytes"), b"h\x00")
BOMBS = {
    "a huge claimed string": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",
    "a huge claimed text": b"\x80\x04\x8d" + struct.pack("<Q", (1 << 64) - 1) + b"x.",
    "a huge claimed byte array": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
    "a huge whole number": b"\x80\x04\x8b" + struct.pack("<i", _BIG) + b"\x7f" * _BIG + b".",
    "too many sets": program(b"\x8f" * 1_000_000),
    "tuples hashed again and again": program(b")" + b"\x86".join([b"2"] * 64) + b"\x86q\x00}h\x00Ns"),
    "a tuple in a set": program(b"\x8f()\x90"),
    "numbers of one hash": program(b"}\x8a\x08" + ((1 << 61) - 1).to_bytes(8, "little") + b"Ns"),
    "one text encoded again and again": program(
        text("x" * _BIG) + b"q\x00" + called(named("_codecs", "encode"), b"h\x00", text("latin1")) * 2_000
    ),
    "one list copied again and again": program(
        list_of(b"N" * 100_000) + b"q\x00" + called(named("torch", "Size"), b"h\x00") * 2_000
    ),
    "one list made a set again and again": program(
        list_of(b"K\x00" * 100_000) + b"q\x00" + called(named("builtins", "set"), b"h\x00") * 2_000
    ),
    "one storage read again and again": program(
        octets(storage_payload(info=octets(bytes(_BIG)))) + b"q\x00" + _STORED * 2_000
    ),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_before_it_unpacks(data: bytes) -> None:
    tracemalloc.start()
    try:
        refusal(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(data) + 250 * MAX_STEPS  # the largest object of one byte, once a step


def test_deep_nesting_is_read_without_recursion() -> None:
    value = read_network_pickle(program(b")" + b"\x85" * 100_000))
    depth = 0
    while value:
        (value,) = value
        depth += 1
    assert depth == 100_000


def test_deep_nesting_where_a_module_belongs_is_refused() -> None:
    deep = b")" + b"\x85" * 50_000
    module = program(called(named("torch_utils.persistence", "_reconstruct_persistent_obj"), deep))
    tensor = program(called(named("torch._utils", "_rebuild_tensor_v2"), deep, deep, deep, deep))
    assert refusal(module) == "damaged: a module without the name of its class"
    assert refusal(tensor) == "damaged: a tensor without a storage"
    assert refusal(program(dict_of(a=b"N") + deep + b"Ns")).startswith("refused: a tuple as the key")
