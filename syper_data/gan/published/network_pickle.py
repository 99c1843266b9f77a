"""What published network pickles hold: the names they may use, and how their tensors are stored.

A network pickle is a dict of modules. Each module is written as one call of
``torch_utils.persistence._reconstruct_persistent_obj`` on a dict with the class's name, its Python
source text and its state; here that becomes a :class:`PersistentObject`, and the source text is never
looked at. Tensors become :class:`~syper_data.gan.published.stored_tensor.StoredTensor`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from syper_data.gan.published.refusal import Budget, quoted, refuse
from syper_data.gan.published.restricted_pickle import (
    Constructor,
    Recorded,
    Vocabulary,
    checked_keys,
    read_pickle,
    store_pairs,
)
from syper_data.gan.published.stored_tensor import read_parameter, read_storage, read_tensor

_TORCH_CONSTANTS = (
    "float16",
    "float32",
    "float64",
    "bfloat16",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "bool",
)
_SCALARS = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "u8": "Q", "u4": "I", "b1": "?"}


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class PersistentObject:
    """A module as the file describes it: the name of its class and its attributes."""

    class_name: str
    state: dict[Any, Any]


def read_network_pickle(data: bytes) -> Any:
    """The value of a network pickle: plain data with :class:`PersistentObject` and :class:`StoredTensor`.

    Raises:
        RefusalError: ``data`` is no such pickle, damaged, or holds anything that could run.
    """
    if data[:4] == b"PK\x03\x04":
        refuse("a ZIP archive, as torch.save writes checkpoints; not a network pickle")
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        refuse("a safetensors file, not a network pickle")
    if not data:
        refuse("an empty file, not a network pickle")
    return read_pickle(data, NETWORK_VOCABULARY)


def _record(name: str, *, takes_state: bool = False) -> Constructor:
    return lambda budget, args: Recorded(name, args, takes_state)


def _persistent_object(budget: Budget, args: tuple[Any, ...]) -> PersistentObject:
    meta = args[0] if len(args) == 1 else None
    if type(meta) is not dict or meta.get("type") != "class" or type(meta.get("class_name")) is not str:
        refuse("damaged: a module without the name of its class")
    state = meta.get("state")
    if type(state) is not dict:
        refuse(f"damaged: module {quoted(meta['class_name'])} without a state")
    return PersistentObject(meta["class_name"], state)


def _dict(budget: Budget, args: tuple[Any, ...]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for pair in _elements(budget, args):
        if type(pair) not in (tuple, list) or len(pair) != 2:
            refuse("damaged: a dict's item that is not a pair")
        store_pairs(made, [(pair[0], pair[1])])
    return made


def _set(budget: Budget, args: tuple[Any, ...]) -> set[Any]:
    return set(checked_keys(_elements(budget, args)))


def _elements(budget: Budget, args: tuple[Any, ...]) -> list[Any]:
    """The elements of the only argument, a list or tuple, or none without an argument."""
    if not args:
        return []
    if len(args) != 1 or type(args[0]) not in (list, tuple):
        refuse("damaged: a container made from something else than a list")
    budget.step(len(args[0]))
    return list(args[0])


def _bytes(budget: Budget, args: tuple[Any, ...]) -> bytes:
    if not args:
        return b""
    if type(args[0]) is bytes and len(args) == 1:
        return args[0]
    return _encode(budget, args)


def _encode(budget: Budget, args: tuple[Any, ...]) -> bytes:
    """How protocol 2 writes bytes: text of the same code points, to be encoded as Latin-1."""
    text, encoding = args if len(args) == 2 else (None, None)
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        refuse("damaged: bytes that are not written as Latin-1 text")
    budget.copy(len(text))
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        refuse("damaged: bytes that are not written as Latin-1 text")


def _scalar(budget: Budget, args: tuple[Any, ...]) -> object:
    """A numpy scalar: a Python number where the type is a common one."""
    kind, raw = args if len(args) == 2 else (None, None)
    if type(kind) is not Recorded or kind.name != "dtype" or not kind.args or type(raw) is not bytes:
        refuse("damaged: a number without a type")
    code = _SCALARS.get(kind.args[0]) if type(kind.args[0]) is str else None
    if code is None:
        return Recorded("scalar", args)
    big = type(kind.state) is tuple and len(kind.state) > 1 and kind.state[1] == ">"
    if len(raw) != struct.calcsize("<" + code):
        refuse("damaged: a number of the wrong length")
    return struct.unpack((">" if big else "<") + code, raw)[0]


_BUILTINS: dict[str, Constructor | None] = {
    "set": _set,
    "frozenset": _set,
    "dict": _dict,
    "bytes": _bytes,
    "bytearray": _bytes,
}
_MULTIARRAY: dict[str, Constructor | None] = {
    "scalar": _scalar,
    "_reconstruct": _record("array", takes_state=True),
}
_BY_MODULE: dict[str, dict[str, Constructor | None]] = {
    "torch_utils.persistence": {"_reconstruct_persistent_obj": _persistent_object},
    "dnnlib.util": {"EasyDict": _dict},
    "collections": {"OrderedDict": _dict},
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS,
    "_codecs": {"encode": _encode},
    "torch.storage": {"_load_from_bytes": read_storage},
    "torch._utils": {"_rebuild_tensor_v2": read_tensor, "_rebuild_parameter": read_parameter},
    "torch": {"Size": _elements, "device": _record("device"), **dict.fromkeys(_TORCH_CONSTANTS)},
    "numpy": {"dtype": _record("dtype", takes_state=True), "ndarray": None},
    "numpy.core.multiarray": _MULTIARRAY,
    "numpy._core.multiarray": _MULTIARRAY,
    "numpy.core.numeric": {"_frombuffer": _record("array")},
    "numpy._core.numeric": {"_frombuffer": _record("array")},
}
NETWORK_VOCABULARY: Vocabulary = {
    (module, name): made for module, names in _BY_MODULE.items() for name, made in names.items()
}
"""Names that a network pickle may use; each call only records what the file holds."""

_PLAIN_MODULES = ("builtins", "__builtin__", "_codecs", "numpy", "numpy.core.multiarray", "numpy.core.numeric")
PLAIN_VOCABULARY: Vocabulary = {
    (module, name): made
    for (module, name), made in NETWORK_VOCABULARY.items()
    if module.replace("_core", "core") in _PLAIN_MODULES
}
"""Names for bytes, containers and numpy arrays only, which a pickle without networks may use."""
