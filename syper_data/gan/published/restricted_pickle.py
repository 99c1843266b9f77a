"""Reads a pickle without running it: an interpreter that builds plain data and nothing else.

A pickle is a program, and the standard reader runs it. Here the program can only

- build None, numbers, strings, bytes, tuples, lists, dicts and sets, and
- name functions and classes. A name is compared with a fixed vocabulary, never looked up, imported
  or called; "calling" it runs the vocabulary's own constructor, which records what the file holds.

Opcodes that no writer of protocol 2 to 5 needs for such data are refused. Time and memory are bounded
by the size of the file (:class:`~syper_data.gan.published.refusal.Budget`), nothing recurses, and a reason is one
line of plain ASCII.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from syper_data.gan.published.refusal import Budget, RefusedNameError, quoted, refuse, shown

_NAME_BYTES = 256
_OPCODE_NAMES = {opcode.code.encode("latin-1"): opcode.name for opcode in pickletools.opcodes}


@dataclass(frozen=True, slots=True)
class Name:
    """A function or class the file names: two strings, never the thing itself."""

    module: str
    name: str


@dataclass(eq=False, repr=False, slots=True)
class Recorded:
    """A call the file asks for, written down instead of made; ``state`` is what it would set afterwards."""

    name: str
    args: tuple[Any, ...]
    takes_state: bool = False
    state: Any = None


Constructor: TypeAlias = Callable[[Budget, tuple[Any, ...]], Any]
Vocabulary: TypeAlias = Mapping[tuple[str, str], Constructor | None]  # None: may be named, not called


def read_pickle(data: bytes, vocabulary: Vocabulary, budget: Budget | None = None) -> Any:
    """The value that ``data``, one whole pickle of protocol 2 to 5, describes.

    Raises:
        RefusalError: ``data`` is damaged, needs more than ``vocabulary``, or unpacks out of proportion.
    """
    reader = PickleReader(data, vocabulary, budget or Budget.of(len(data)))
    value = reader.read()
    if reader.position != len(data):
        refuse(f"{len(data) - reader.position} bytes follow the end of the pickle")
    return value


class PickleReader:
    """Reads one pickle after the other from ``data``; ``position`` is the next byte to read.

    ``persistent`` turns a persistent id into a value; without it such ids are refused.
    """

    def __init__(
        self,
        data: bytes,
        vocabulary: Vocabulary,
        budget: Budget,
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self.data = data
        self.position = 0
        self.budget = budget
        self.vocabulary = vocabulary
        self.persistent = persistent
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # stacks below each open mark
        self.memo: dict[int, Any] = {}

    def read(self) -> Any:
        """The value of the pickle at ``position``; a :class:`RefusalError` if it can't be had."""
        self.stack, self.outer, self.memo = [], [], {}
        if self.data[self.position : self.position + 1] != pickle.PROTO:
            refuse("not a pickle of protocol 2 to 5")
        try:
            while True:
                self.budget.step()
                code = self.take(1)
                if code == pickle.STOP:
                    return self.stack.pop()
                if code in _LITERALS:
                    value = _LITERALS[code](self)  # may close a mark, which changes the stack
                    self.stack.append(value)
                elif code in _ACTIONS:
                    _ACTIONS[code](self)
                else:
                    refuse(f"refused: opcode {_OPCODE_NAMES.get(code, '0x' + code.hex())}")
        except IndexError:
            refuse("damaged: it takes from an empty stack")

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        end = self.position + count
        if end > len(self.data):
            refuse("truncated or damaged: it ends early")
        self.budget.copy(count)
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def number(self, count: int, *, signed: bool = False) -> int:
        """A little-endian whole number of ``count`` bytes."""
        return int.from_bytes(self.take(count), "little", signed=signed)

    def text(self, count: int) -> str:
        """``count`` bytes of UTF-8."""
        try:
            return self.take(count).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            refuse("damaged: text that is not UTF-8")

    def line(self) -> str:
        """UTF-8 up to a line feed."""
        end = self.data.find(b"\n", self.position, self.position + _NAME_BYTES)
        if end < 0:
            refuse("damaged: a name without an end")
        text = self.text(end - self.position)
        self.position += 1
        return text

    def items(self) -> list[Any]:
        """What was pushed since the last mark, which is closed."""
        items, self.stack = self.stack, self.outer.pop()
        return items

    def last(self, kind: type) -> Any:
        """The container on top of the stack, which must be a ``kind``."""
        value = self.stack[-1]
        if type(value) is not kind:
            refuse(f"refused: it treats {shown(value)} as a {kind.__name__}")
        return value

    def recall(self, index: int) -> None:
        """Push the memo's entry ``index``."""
        if index not in self.memo:
            refuse("damaged: it recalls what it never stored")
        self.stack.append(self.memo[index])

    def push_name(self, module: object, name: object) -> None:
        """Push a name of the vocabulary; any other is a :class:`RefusedNameError`."""
        if type(module) is not str or type(name) is not str:
            refuse("damaged: a name that is not text")
        if (module, name) not in self.vocabulary:
            raise RefusedNameError(module, name)
        self.stack.append(Name(module, name))

    def call(self) -> None:
        """Replace a name and its arguments by what the vocabulary makes of them."""
        args, name = self.stack.pop(), self.stack.pop()
        if type(name) is not Name or type(args) is not tuple:
            refuse(f"refused: it calls {shown(name)}")
        constructor = self.vocabulary.get((name.module, name.name))
        if constructor is None:
            refuse(f"refused: it calls {quoted(f'{name.module}.{name.name}')}")
        self.stack.append(constructor(self.budget, args))

    def set_state(self) -> None:
        """Give a recorded call its state: once, and only where the vocabulary expects one."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is not Recorded or not target.takes_state or target.state is not None:
            refuse(f"refused: it sets attributes of {shown(target)}")
        target.state = state

    def set_items(self, items: list[Any]) -> None:
        """Put keys and values into the dict on top of the stack."""
        if len(items) % 2:
            refuse("damaged: a key without a value")
        store_pairs(self.last(dict), list(zip(items[::2], items[1::2], strict=True)))

    def persistent_id(self) -> None:
        """Replace a persistent id by its value."""
        if self.persistent is None:
            refuse("refused: a persistent id, which no network pickle holds")
        self.stack.append(self.persistent(self.stack.pop()))

    def begin(self) -> None:
        """Check the protocol number."""
        version = self.number(1)
        if not 2 <= version <= 5:
            refuse(f"a pickle of protocol {version}, not 2 to 5")

    def frame(self) -> None:
        """Check that a frame lies inside the data."""
        if self.number(8) > len(self.data) - self.position:
            refuse("truncated or damaged: it ends early")

    def mark(self) -> None:
        """Open a mark."""
        self.outer.append(self.stack)
        self.stack = []


def checked_keys(keys: list[Any]) -> list[Any]:
    """``keys`` if each may be a dict key or set member: text or a small whole number.

    Others could make hashing or comparing take for ever.
    """
    for key in keys:
        if type(key) is not str and not (type(key) is int and -(1 << 31) <= key < 1 << 31):
            refuse(f"refused: {shown(key)} as the key of a dict or member of a set")
    return keys


def store_pairs(target: dict[Any, Any], pairs: list[tuple[Any, Any]]) -> None:
    """Put ``pairs`` into ``target`` after :func:`checked_keys`."""
    checked_keys([key for key, _ in pairs])
    target.update(pairs)


def _tuple(size: int) -> Callable[[PickleReader], None]:
    def action(r: PickleReader) -> None:
        r.stack.append(tuple([r.stack.pop() for _ in range(size)][::-1]))

    return action


def _stack_global(r: PickleReader) -> None:
    name, module = r.stack.pop(), r.stack.pop()
    r.push_name(module, name)


def _extend(r: PickleReader, values: list[Any]) -> None:
    r.last(list).extend(values)


def _add(r: PickleReader, members: list[Any]) -> None:
    r.last(set).update(checked_keys(members))


_LITERALS: dict[bytes, Callable[[PickleReader], Any]] = {
    pickle.NONE: lambda r: None,
    pickle.NEWTRUE: lambda r: True,
    pickle.NEWFALSE: lambda r: False,
    pickle.BININT: lambda r: r.number(4, signed=True),
    pickle.BININT1: lambda r: r.number(1),
    pickle.BININT2: lambda r: r.number(2),
    pickle.LONG1: lambda r: r.number(r.number(1), signed=True),
    pickle.BINFLOAT: lambda r: struct.unpack(">d", r.take(8))[0],
    pickle.SHORT_BINUNICODE: lambda r: r.text(r.number(1)),
    pickle.BINUNICODE: lambda r: r.text(r.number(4)),
    pickle.BINUNICODE8: lambda r: r.text(r.number(8)),
    pickle.SHORT_BINBYTES: lambda r: r.take(r.number(1)),
    pickle.BINBYTES: lambda r: r.take(r.number(4)),
    pickle.BINBYTES8: lambda r: r.take(r.number(8)),
    pickle.BYTEARRAY8: lambda r: r.take(r.number(8)),
    pickle.SHORT_BINSTRING: lambda r: r.take(r.number(1)),  # Python 2's str
    pickle.BINSTRING: lambda r: r.take(r.number(4)),
    pickle.EMPTY_TUPLE: lambda r: (),
    pickle.EMPTY_LIST: lambda r: [],
    pickle.EMPTY_DICT: lambda r: {},
    pickle.EMPTY_SET: lambda r: set(),
    pickle.TUPLE: lambda r: tuple(r.items()),
    pickle.FROZENSET: lambda r: frozenset(checked_keys(r.items())),
}
_ACTIONS: dict[bytes, Callable[[PickleReader], None]] = {
    pickle.PROTO: PickleReader.begin,
    pickle.FRAME: PickleReader.frame,
    pickle.MARK: PickleReader.mark,
    pickle.POP: lambda r: r.stack.pop(),
    pickle.POP_MARK: lambda r: r.items().clear(),
    pickle.DUP: lambda r: r.stack.append(r.stack[-1]),
    pickle.MEMOIZE: lambda r: r.memo.__setitem__(len(r.memo), r.stack[-1]),
    pickle.BINPUT: lambda r: r.memo.__setitem__(r.number(1), r.stack[-1]),
    pickle.LONG_BINPUT: lambda r: r.memo.__setitem__(r.number(4), r.stack[-1]),
    pickle.BINGET: lambda r: r.recall(r.number(1)),
    pickle.LONG_BINGET: lambda r: r.recall(r.number(4)),
    pickle.TUPLE1: _tuple(1),
    pickle.TUPLE2: _tuple(2),
    pickle.TUPLE3: _tuple(3),
    pickle.APPEND: lambda r: _extend(r, [r.stack.pop()]),
    pickle.APPENDS: lambda r: _extend(r, r.items()),
    pickle.ADDITEMS: lambda r: _add(r, r.items()),
    pickle.SETITEM: lambda r: r.set_items([r.stack.pop(), r.stack.pop()][::-1]),
    pickle.SETITEMS: lambda r: r.set_items(r.items()),
    pickle.GLOBAL: lambda r: r.push_name(r.line(), r.line()),
    pickle.STACK_GLOBAL: _stack_global,
    pickle.REDUCE: PickleReader.call,
    pickle.NEWOBJ: PickleReader.call,
    pickle.BUILD: PickleReader.set_state,
    pickle.BINPERSID: PickleReader.persistent_id,
}
