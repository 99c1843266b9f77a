"""Hand-written pickle programs that try to create a marker file, one technique each.

``GADGETS`` maps a description to a function of the marker's path that gives the opcodes pushing one
value. ``LIVE`` names those of which a test shows that the standard reader really runs them.
"""

from __future__ import annotations

import contextlib
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from syper_data.gan.published.network_pickle import read_network_pickle
from syper_data.gan.published.refusal import RefusalError

Gadget = Callable[[Path], bytes]


def refusal(data: bytes) -> str:
    """Why ``data`` is refused as a network pickle: one line of printable ASCII."""
    with pytest.raises(RefusalError) as caught:
        read_network_pickle(data)
    message = str(caught.value)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 800
    return message


def text(value: str) -> bytes:
    """Push a string."""
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def octets(value: bytes) -> bytes:
    """Push bytes."""
    return b"B" + struct.pack("<I", len(value)) + value


def named(module: str, name: str) -> bytes:
    """Push what ``module.name`` is, by the GLOBAL opcode."""
    return f"c{module}\n{name}\n".encode()


def stack_named(module: str, name: str) -> bytes:
    """Push what ``module.name`` is, by STACK_GLOBAL, which follows dots in ``name``."""
    return text(module) + text(name) + b"\x93"


def tuple_of(*values: bytes) -> bytes:
    """Push a tuple."""
    return b"(" + b"".join(values) + b"t"


def list_of(*values: bytes) -> bytes:
    """Push a list."""
    return b"](" + b"".join(values) + b"e"


def dict_of(**values: bytes) -> bytes:
    """Push a dict."""
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def called(function: bytes, *args: bytes) -> bytes:
    """Push the result of a call."""
    return function + tuple_of(*args) + b"R"


def program(value: bytes) -> bytes:
    """A whole pickle, of protocol 4."""
    return b"\x80\x04" + value + b"."


def storage_payload(
    *, magic: bytes = b"", info: bytes = b"", description: bytes = b"", keys: bytes = b""
) -> bytes:
    """One float32 number as ``torch.save`` stored it before version 1.6, with parts exchanged."""
    described = tuple_of(text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), b"K\x01", b"N")
    number = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")
    parts = (
        magic or b"\x8a\x0a" + number,
        b"M\xe9\x03",
        info or b"}",
        description or described + b"Q",
        keys or list_of(text("0")),
    )
    return b"".join(b"\x80\x02" + part + b"." for part in parts) + struct.pack("<qf", 1, 0.5)


def _touch(marker: Path) -> bytes:
    return text(f"touch {marker}")


def _code(marker: Path) -> bytes:
    return text(f"open({str(marker)!r}, 'w').close()")


def _arguments(marker: Path) -> bytes:
    return list_of(text("touch"), text(str(marker)))


def _system(marker: Path) -> bytes:
    return called(named("os", "system"), _touch(marker))


def _imported(module: str = "builtins", function: str = "__import__") -> bytes:
    return called(named(module, function), text("os"))


def _stored(payload: bytes) -> bytes:
    return called(named("torch.storage", "_load_from_bytes"), octets(payload))


def _compiled(marker: Path) -> bytes:
    return called(named("builtins", "compile"), _code(marker), text("x"), text("exec"))


def _module_object() -> bytes:
    meta = dict_of(type=text("class"), class_name=text("Generator"), state=b"}")
    return called(named("torch_utils.persistence", "_reconstruct_persistent_obj"), meta)


GADGETS: dict[str, Gadget] = {
    "os.system": _system,
    "posix.system": lambda m: called(named("posix", "system"), _touch(m)),
    "subprocess.Popen": lambda m: called(named("subprocess", "Popen"), _arguments(m)),
    "subprocess.check_output": lambda m: called(named("subprocess", "check_output"), _arguments(m)),
    "builtins.eval": lambda m: called(named("builtins", "eval"), _code(m)),
    "builtins.exec": lambda m: called(named("builtins", "exec"), _code(m)),
    "Python 2's __builtin__.eval": lambda m: called(named("__builtin__", "eval"), _code(m)),
    "builtins.compile then exec": lambda m: called(named("builtins", "exec"), _compiled(m)),
    "builtins.open": lambda m: called(named("builtins", "open"), text(str(m)), text("w")),
    "__import__ and getattr": lambda m: called(
        called(named("builtins", "getattr"), _imported(), text("system")), _touch(m)
    ),
    "importlib.import_module": lambda m: called(
        called(named("builtins", "getattr"), _imported("importlib", "import_module"), text("system")), _touch(m)
    ),
    "runpy._run_code": lambda m: called(named("runpy", "_run_code"), _compiled(m), b"}"),
    "pty.spawn": lambda m: called(named("pty", "spawn"), _arguments(m)),
    "webbrowser.open": lambda m: called(named("webbrowser", "open"), text(f"file://{m}")),
    "timeit.timeit": lambda m: called(
        named("timeit", "timeit"), _code(m), text("pass"), named("time", "time"), b"K\x01"
    ),
    "operator.attrgetter": lambda m: called(
        called(called(named("operator", "attrgetter"), text("system")), _imported()), _touch(m)
    ),
    "operator.methodcaller": lambda m: called(
        called(named("operator", "methodcaller"), text("system"), _touch(m)), _imported()
    ),
    "functools.partial": lambda m: called(called(named("functools", "partial"), named("os", "system"), _touch(m))),
    "functools.reduce over an allowed list": lambda m: (
        called(
            named("functools", "reduce"),
            named("builtins", "getattr"),
            list_of(named("os", "system"), text("__call__")),
        )
        + tuple_of(_touch(m))
        + b"R"
    ),
    "types.FunctionType": lambda m: called(called(named("types", "FunctionType"), _compiled(m), b"}")),
    "types.CodeType": lambda m: called(named("types", "CodeType"), b"K\x00"),
    "pickle.loads of a nested pickle": lambda m: called(named("pickle", "loads"), octets(program(_system(m)))),
    "_pickle.loads of a nested pickle": lambda m: called(named("_pickle", "loads"), octets(program(_system(m)))),
    "torch.load": lambda m: called(named("torch", "load"), text(str(m))),
    "torch.hub.load": lambda m: called(named("torch.hub", "load"), text(str(m)), text("model")),
    "numpy.load": lambda m: called(named("numpy", "load"), text(str(m)), b"N", b"\x88"),
    "numpy's runstring": lambda m: called(named("numpy.testing._private.utils", "runstring"), _code(m), b"}"),
    "numpy.f2py's evaluation of parameters": lambda m: called(
        named("numpy.f2py.crackfortran", "param_eval"), _code(m), b"}", b"}"
    ),
    "dnnlib.util.call_func_by_name": lambda m: called(
        named("dnnlib.util", "call_func_by_name"), _touch(m), text("os.system")
    ),
    "torch_utils.persistence.import_hook": lambda m: called(
        named("torch_utils.persistence", "import_hook"), named("os", "system")
    ),
    "a storage whose magic number is a program": lambda m: _stored(storage_payload(magic=_system(m))),
    "a storage whose machine description is a program": lambda m: _stored(storage_payload(info=_system(m))),
    "a storage whose description is a program": lambda m: _stored(storage_payload(description=_system(m))),
    "a storage whose class is a function": lambda m: _stored(
        storage_payload(
            description=tuple_of(text("storage"), named("os", "system"), text("0"), text("cpu"), b"K\x01", b"N")
            + b"Q"
        )
    ),
    "a storage inside a storage": lambda m: _stored(storage_payload(info=_stored(program(_system(m))))),
    "a storage that is a plain pickle": lambda m: _stored(program(_system(m))),
    "a tensor made from a call": lambda m: called(
        named("torch._utils", "_rebuild_tensor_v2"), _system(m), b"K\x00", b")", b")", b"\x89", b"}"
    ),
    "a parameter made from a function": lambda m: called(
        called(named("torch._utils", "_rebuild_parameter"), named("posix", "system"), b"\x88", b"}"), _touch(m)
    ),
    "an allowed constructor named, not called, then called on a call": lambda m: called(
        named("collections", "OrderedDict"), list_of(tuple_of(text("a"), _system(m)))
    ),
    "torch.device called on code": lambda m: called(called(named("torch", "device"), _code(m)), _code(m)),
    "another codec": lambda m: called(named("_codecs", "encode"), _code(m), text("unicode_internal")),
    "BUILD with __dict__ on an OrderedDict": lambda m: (
        called(named("collections", "OrderedDict")) + dict_of(__dict__=_code(m), items=_code(m)) + b"b"
    ),
    "BUILD with __setstate__ on an OrderedDict": lambda m: (
        called(named("collections", "OrderedDict"))
        + dict_of(__setstate__=named("builtins", "eval"))
        + b"b"
        + _code(m)
        + b"b"
    ),
    "BUILD with __class__ on a module": lambda m: (
        _module_object() + tuple_of(b"N", dict_of(__class__=named("builtins", "eval"))) + b"b"
    ),
    "BUILD with __class__ on a module, text only": lambda m: (
        _module_object() + tuple_of(b"N", dict_of(__class__=text("X"), state=_code(m))) + b"b"
    ),
    "BUILD with __setstate__ on a name": lambda m: (
        named("collections", "OrderedDict") + tuple_of(b"N", dict_of(__setstate__=_code(m))) + b"b"
    ),
    "BUILD twice on a numpy type": lambda m: (
        called(named("numpy", "dtype"), text("f8")) + b"}b}b" + _code(m) + b"b"
    ),
    "NEWOBJ of a class outside the vocabulary": lambda m: (
        named("subprocess", "Popen") + tuple_of(_arguments(m)) + b"\x81"
    ),
    "NEWOBJ_EX": lambda m: named("collections", "OrderedDict") + b")" + dict_of(a=_code(m)) + b"\x92",
    "INST": lambda m: b"(" + _touch(m) + b"ios\nsystem\n",
    "OBJ": lambda m: b"(" + named("os", "system") + _touch(m) + b"o",
    "OBJ of an allowed class": lambda m: b"(" + named("collections", "OrderedDict") + _touch(m) + b"o",
    "EXT1": lambda m: b"\x82\x01" + tuple_of(_touch(m)) + b"R",
    "EXT4": lambda m: b"\x84\x01\x00\x00\x00" + tuple_of(_touch(m)) + b"R",
    "PERSID": lambda m: f"Ptouch {m}\n".encode(),
    "BINPERSID": lambda m: tuple_of(text("storage"), _touch(m)) + b"Q",
    "a dotted name": lambda m: called(stack_named("collections", "OrderedDict.__init__.__globals__"), _touch(m)),
    "a module reached through an allowed one": lambda m: called(
        stack_named("collections", "_sys.modules"), _touch(m)
    ),
    "a function reached through torch": lambda m: called(stack_named("torch", "os.system"), _touch(m)),
    "STACK_GLOBAL of os.system": lambda m: called(stack_named("os", "system"), _touch(m)),
    "a name that is no text": lambda m: b"K\x01" + text("system") + b"\x93" + tuple_of(_touch(m)) + b"R",
    "a call on text": lambda m: text("os.system") + tuple_of(_touch(m)) + b"R",
    "a call without a tuple": lambda m: named("collections", "OrderedDict") + _touch(m) + b"R",
    "a call of a constant": lambda m: called(named("torch", "float32"), _touch(m)),
    "copyreg._reconstructor": lambda m: called(
        named("copyreg", "_reconstructor"), named("subprocess", "Popen"), named("builtins", "object"), b"N"
    ),
    "copyreg.add_extension": lambda m: called(
        named("copyreg", "add_extension"), text("os"), text("system"), b"K\x01"
    ),
    "an array of another class": lambda m: called(
        named("numpy._core.multiarray", "_reconstruct"), named("os", "system"), tuple_of(b"K\x00"), octets(b"b")
    ),
    "a protocol 5 buffer": lambda m: b"\x97" + _code(m) + b"0",
}

LIVE = (
    "os.system",
    "posix.system",
    "subprocess.check_output",
    "builtins.eval",
    "builtins.exec",
    "builtins.compile then exec",
    "builtins.open",
    "__import__ and getattr",
    "importlib.import_module",
    "runpy._run_code",
    "timeit.timeit",
    "operator.attrgetter",
    "operator.methodcaller",
    "functools.partial",
    "functools.reduce over an allowed list",
    "types.FunctionType",
    "pickle.loads of a nested pickle",
    "_pickle.loads of a nested pickle",
    "a storage whose magic number is a program",
    "a storage whose machine description is a program",
    "a storage whose description is a program",
    "a storage that is a plain pickle",
    "a storage inside a storage",
    "a tensor made from a call",
    "BUILD with __setstate__ on an OrderedDict",
    "an allowed constructor named, not called, then called on a call",
    "INST",
    "OBJ",
    "a function reached through torch",
    "STACK_GLOBAL of os.system",
)


def run_for_real(gadget: Gadget, marker: Path) -> None:
    """Let the standard reader run a gadget, which is ours and only makes ``marker``."""
    with contextlib.suppress(Exception):  # many fail after they have run
        pickle.loads(program(gadget(marker)))  # noqa: S301 (shows that the gadget works)
