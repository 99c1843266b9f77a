"""Reading pickles without running them: plain data comes back, programs are refused and do nothing."""

from __future__ import annotations

import pickle
import struct
import sys
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile_pickles import (
    GADGETS,
    LIVE,
    called,
    dict_of,
    list_of,
    named,
    octets,
    program,
    refusal,
    run_for_real,
    stack_named,
    storage_payload,
    text,
    tuple_of,
)
from syper_data.gan.published.network_pickle import NETWORK_VOCABULARY, PersistentObject, read_network_pickle
from syper_data.gan.published.refusal import RefusalError
from syper_data.gan.published.restricted_pickle import Recorded, read_pickle

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 200), 1 << 200)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda values: (
        st.lists(values)
        | st.tuples(values, values)
        | st.tuples(values, values, values, values)
        | st.dictionaries(st.text() | st.integers(0, 99), values)
        | st.sets(st.text())
        | st.frozensets(st.integers(0, 99))
    ),
    max_leaves=20,
)


# What the standard writer writes comes back.


@settings(deadline=None)
@given(value=PLAIN, protocol=st.integers(2, 5))
def test_plain_data_comes_back_as_it_was_written(value: Any, protocol: int) -> None:
    assert read_network_pickle(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_shared_objects_stay_shared(protocol: int) -> None:
    inner: list[Any] = [1]
    inner.append(inner)
    value = read_network_pickle(pickle.dumps({"a": inner, "b": inner}, protocol))
    assert value["a"] is value["b"]
    assert value["a"][1] is value["a"]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_ordered_dicts_become_dicts_and_numpy_numbers_numbers(protocol: int) -> None:
    value = {
        "ordered": OrderedDict(a=1, b=None),
        "numbers": [np.float64(1.5), np.float32(-0.25), np.int64(-7), np.bool_(True)],
        "long double": np.longdouble(2),
        "array": np.arange(6.0).reshape(2, 3),
        "device": torch.device("cpu"),
        "size": torch.Size([2, 3]),
        "type": torch.float16,
    }
    read = read_network_pickle(pickle.dumps(value, protocol))
    assert read["ordered"] == {"a": 1, "b": None}
    assert type(read["ordered"]) is dict
    assert read["numbers"][:4] == [1.5, -0.25, -7, True]
    assert list(read["size"]) == [2, 3]
    assert type(read["array"]) is Recorded
    assert type(read["long double"]) is Recorded


def test_numbers_of_either_byte_order_are_read() -> None:
    def scalar(order: str, raw: bytes) -> bytes:
        state = tuple_of(b"K\x03", text(order))
        kind = called(named("numpy", "dtype"), text("f8")) + state + b"b"
        return called(named("numpy.core.multiarray", "scalar"), kind, octets(raw))

    value = tuple_of(scalar("<", struct.pack("<d", 2.5)), scalar(">", struct.pack(">d", 2.5)))
    assert read_network_pickle(program(value)) == (2.5, 2.5)


def test_python_2_strings_become_bytes() -> None:
    assert read_network_pickle(b"\x80\x02(U\x01aT\x02\x00\x00\x00bct.") == (b"a", b"bc")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "bfloat16"])
def test_floating_point_tensors_are_read_as_float32(kind: str, protocol: int) -> None:
    tensor = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)).to(getattr(torch, kind))
    stored = read_network_pickle(pickle.dumps(tensor, protocol))
    assert stored.floating
    assert torch.equal(stored.to_float32(), tensor.float())


@pytest.mark.parametrize("kind", ["int64", "int32", "int16", "int8", "uint8", "bool"])
def test_other_tensors_are_read_but_are_not_floating(kind: str) -> None:
    tensor = torch.tensor([0, 1, 1, 0]).to(getattr(torch, kind))
    stored = read_network_pickle(pickle.dumps(tensor))
    assert not stored.floating
    assert stored.to_float32().tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.permute(2, 0, 1),
        lambda t: t[1:, ::2, 3],
        lambda t: t[2, 2, 2],
        lambda t: t[:0],
        lambda t: t[None].to(memory_format=torch.channels_last),
        lambda t: torch.nn.Parameter(t[1], requires_grad=False),
    ],
    ids=["permuted", "sliced", "a single number", "empty", "channels last", "a parameter"],
)
def test_views_of_a_storage_are_read_as_torch_reads_them(view: Any) -> None:
    tensor = view(torch.arange(60.0).reshape(3, 4, 5))
    stored = read_network_pickle(pickle.dumps(tensor))
    assert stored.shape == tuple(tensor.shape)
    assert torch.equal(stored.to_float32(), tensor.detach()) or not tensor.numel()


def test_values_beyond_float32_become_infinite_without_a_warning() -> None:
    stored = read_network_pickle(pickle.dumps(torch.tensor([1e300, float("nan")], dtype=torch.float64)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = stored.to_float32()
    assert read[0] == float("inf")
    assert read[1].isnan()


def test_two_tensors_may_share_one_storage() -> None:
    storage = called(named("torch.storage", "_load_from_bytes"), octets(storage_payload())) + b"q\x00"
    view = called(named("torch._utils", "_rebuild_tensor_v2"), b"h\x00", b"K\x00", b")", b")", b"\x89", b"}")
    read = read_network_pickle(program(tuple_of(storage, view, view)))
    assert [t.to_float32().item() for t in read[1:]] == [0.5, 0.5]


def test_modules_are_recorded_with_their_class_and_state_only() -> None:
    meta = dict_of(type=text("class"), class_name=text("D"), state=dict_of(a=b"K\x01"), module_src=text("1/0"))
    read = read_network_pickle(
        program(called(named("torch_utils.persistence", "_reconstruct_persistent_obj"), meta))
    )
    assert type(read) is PersistentObject
    assert (read.class_name, read.state) == ("D", {"a": 1})


# What could run something is refused, and nothing has run.


@pytest.mark.parametrize("gadget", GADGETS.values(), ids=GADGETS.keys())
@pytest.mark.parametrize("place", ["alone", "in a module's state", "in a list of a dict"])
def test_a_hostile_pickle_is_refused_and_nothing_runs(gadget: Any, place: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    value = gadget(marker)
    if place == "in a module's state":
        state = dict_of(_parameters=b"}", training=value)
        meta = dict_of(type=text("class"), module_src=text(""), class_name=text("D"), state=state)
        value = called(named("torch_utils.persistence", "_reconstruct_persistent_obj"), meta)
    if place == "in a list of a dict":
        value = dict_of(G_ema=list_of(value), D=b"N")
    before = dict(sys.modules)
    refusal(program(value))
    assert not marker.exists()
    assert sys.modules == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", LIVE)
def test_the_standard_reader_runs_the_hostile_pickle(name: str, tmp_path: Path) -> None:
    run_for_real(GADGETS[name], tmp_path / "marker")
    assert (tmp_path / "marker").exists()


def test_a_refused_name_is_quoted_in_the_message() -> None:
    assert "'os.system'" in refusal(program(named("os", "system")))


def test_a_name_can_not_forge_lines_or_colours_in_the_message() -> None:
    message = refusal(program(stack_named("os\n\x1b[31mall is well\r", "\u202esystem\udc80" + "x" * 10_000)))
    assert r"os\n\x1b[31mall is well\r.\u202esystem\udc80xx" in message
    assert len(message) < 200


@pytest.mark.parametrize("module", ["os", "builtins", "torch", "numpy", "sys", "torch.nn.modules.linear"])
def test_no_name_is_allowed_for_its_module_alone(module: str) -> None:
    assert f"'{module}.Linear'" in refusal(program(named(module, "Linear")))


def test_the_vocabulary_holds_no_function_of_the_standard_library_or_torch() -> None:
    for constructor in NETWORK_VOCABULARY.values():
        assert constructor is None or constructor.__module__.startswith("syper_data.gan.")


def test_a_vocabulary_of_nothing_still_reads_data() -> None:
    assert read_pickle(pickle.dumps(([b"jpeg"], [True])), {}) == ([b"jpeg"], [True])
    with pytest.raises(RefusalError, match=r"collections\.OrderedDict"):
        read_pickle(pickle.dumps(OrderedDict()), {})
