"""Tensors inside a pickle: checked views of storages, read without ``torch.load``.

A tensor is written as a view (offset, shape, strides) of a storage, and each storage as a byte string
in the format of ``torch.save`` before version 1.6: small pickles that describe it, read with a
vocabulary of storage classes only, then its elements, little-endian. Nothing is copied until a tensor
is asked for as float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from syper_data.gan.published.refusal import Budget, refuse, shown
from syper_data.gan.published.restricted_pickle import Name, PickleReader, Vocabulary

_SAVE_MAGIC = 0x1950A86A20F9469CFC6C
_SAVE_VERSION = 1001
_MAX_DIMENSIONS = 8
_BFLOAT16 = "bfloat16"
_ELEMENTS = {  # storage class: numpy type of an element
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "<u1",
    "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
}
_STORAGE_CLASSES: Vocabulary = {("torch", kind): None for kind in _ELEMENTS}


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Storage:
    """The elements behind tensors: ``count`` of numpy type ``element`` (or bfloat16) from ``start`` on."""

    element: str
    count: int
    payload: bytes
    start: int  # byte of the payload at which the elements begin


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class StoredTensor:
    """A view of a storage that lies inside it; ``offset`` and ``strides`` count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def floating(self) -> bool:
        """Whether the elements are real floating-point numbers."""
        return self.storage.element == _BFLOAT16 or self.storage.element[1] == "f"

    def to_float32(self) -> Tensor:
        """A contiguous float32 copy; what float32 can't hold becomes infinite."""
        element = "<u2" if self.storage.element == _BFLOAT16 else self.storage.element
        size = _item_size(self.storage.element)
        view: np.ndarray[Any, Any] = np.ndarray(
            self.shape,
            element,
            self.storage.payload,
            self.storage.start + self.offset * size,
            tuple(stride * size for stride in self.strides),
        )
        if self.storage.element == _BFLOAT16:  # the upper half of a float32
            view = (view.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            return torch.from_numpy(np.array(view, dtype=np.float32, order="C"))


def read_parameter(budget: Budget, args: tuple[Any, ...]) -> StoredTensor:
    """The tensor of a parameter: the first argument of ``_rebuild_parameter``."""
    if not args or type(args[0]) is not StoredTensor:
        refuse("damaged: a parameter that is not a tensor")
    return args[0]


def read_tensor(budget: Budget, args: tuple[Any, ...]) -> StoredTensor:
    """The arguments of ``_rebuild_tensor_v2``: storage, offset, shape, strides and what doesn't matter."""
    if len(args) < 4 or type(args[0]) is not Storage:
        refuse("damaged: a tensor without a storage")
    storage = args[0]
    (offset,), shape, strides = _naturals([args[1]]), _naturals(args[2]), _naturals(args[3])
    if len(shape) != len(strides):
        refuse("damaged: a tensor with unlike numbers of dimensions and strides")
    count = math.prod(shape)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True)) if count else 0
    if count > storage.count or last >= max(storage.count, 1) or offset > storage.count:
        refuse(f"damaged: a tensor of shape {list(shape)} reaches beyond its {storage.count} stored elements")
    return StoredTensor(storage, offset, shape, strides)


def _naturals(values: Any) -> tuple[int, ...]:
    if type(values) not in (list, tuple) or len(values) > _MAX_DIMENSIONS:
        refuse(f"damaged: {shown(values)} as the shape or strides of a tensor")
    for value in values:
        if type(value) is not int or not 0 <= value < 1 << 48:
            refuse(f"damaged: {shown(value)} as a length, stride or offset of a tensor")
    return tuple(values)


@dataclass(frozen=True, slots=True)
class _StorageId:
    element: str
    key: str
    count: int


def _storage_id(record: Any) -> _StorageId:
    """Check ``("storage", class, key, device, element count[, view])``; the device doesn't matter."""
    if type(record) is not tuple or len(record) not in (5, 6) or record[0] != "storage":
        refuse("damaged: a storage without a description")
    kind, key, count = record[1], record[2], record[4]
    if type(kind) is not Name or type(key) is not str or type(count) is not int or record[5:] not in ((), (None,)):
        refuse("damaged: a storage without a description")
    return _StorageId(_ELEMENTS[kind.name], key, count)


def read_storage(budget: Budget, args: tuple[Any, ...]) -> Storage:
    """The argument of ``_load_from_bytes``: a storage in the format of ``torch.save`` before version 1.6.

    Five pickles (magic number, format version, machine, description, keys), then for the only key the
    number of elements and the elements.
    """
    payload = args[0] if len(args) == 1 else None
    if type(payload) is not bytes:
        refuse("damaged: a storage that is not bytes")
    if payload[:2] == b"PK":
        refuse("a tensor stored as a ZIP archive, which no published network pickle holds")
    reader = PickleReader(payload, _STORAGE_CLASSES, budget, _storage_id)
    magic, version, _, record, keys = [reader.read() for _ in range(5)]
    if (type(magic), magic, type(version), version) != (int, _SAVE_MAGIC, int, _SAVE_VERSION):
        refuse("damaged: a storage in an unknown format")
    if type(record) is not _StorageId or type(keys) is not list or len(keys) != 1:
        refuse("damaged: a storage without a description")
    count = reader.number(8)
    stored = len(payload) - reader.position
    if keys[0] != record.key or count != record.count or count * _item_size(record.element) != stored:
        refuse(f"damaged: a storage of {shown(count)} elements in {stored} bytes")
    return Storage(record.element, count, payload, reader.position)


def _item_size(element: str) -> int:
    return 2 if element == _BFLOAT16 else np.dtype(element).itemsize
