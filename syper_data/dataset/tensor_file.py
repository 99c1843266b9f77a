"""Network weights on disk: safetensors with a JSON header. Never a pickle.

The header lies under the metadata key ``syper``. Generator and recognizer files are made of this; what
their headers mean is theirs to say and to check.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from syper_data.dataset.atomic import write_atomically
from syper_data.errors import InputError

_HEADER_KEY = "syper"


@dataclass(frozen=True)
class TensorFile:
    """What a file holds, and the SHA-256 of its bytes."""

    header: dict[str, Any]
    tensors: dict[str, Tensor]
    sha256: str


def write_tensor_file(
    path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any], *, exact: bool = False
) -> str:
    """Write atomically, floats as float32 (``exact``: as they are); the same content gives the same bytes.
    Returns their SHA-256."""
    plain = {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu()
        plain[name] = (value.float() if value.is_floating_point() and not exact else value).contiguous()
    data = save(plain, {_HEADER_KEY: json.dumps(header, sort_keys=True)})
    write_atomically(path, data)
    return hashlib.sha256(data).hexdigest()


def read_tensor_file(path: Path, kind: str, convert: str | None) -> TensorFile:
    """Read a file of ``kind`` ("generator file"); ``convert`` is the command that reads pickles of it, if any.

    Raises:
        InputError: no such file, not safetensors, or no header.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        if convert is not None and (data[:1] == b"\x80" or data[:2] == b"PK"):  # (safetensors may begin so, too)
            raise InputError(
                f"{path}: a pickle, not a {kind}; run: syper-data {convert} {path} OUT.safetensors"
            ) from error
        raise InputError(f"{path}: not a readable safetensors file ({error}): damaged, or another kind") from error
    return TensorFile(_header(metadata, path, kind), tensors, hashlib.sha256(data).hexdigest())


def _header(metadata: Mapping[str, str], path: Path, kind: str) -> dict[str, Any]:
    if _HEADER_KEY not in metadata:
        raise InputError(f"{path}: safetensors, but no {kind} (no {_HEADER_KEY!r} header)")
    try:
        header = json.loads(metadata[_HEADER_KEY])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: the header is not JSON") from error
    return header if isinstance(header, dict) else {}


def check_tensors(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path, kind: str) -> None:
    """Refuse tensors of other names, shapes or types than ``expected``, and values that are not finite.

    Raises:
        InputError: with the first tensor, by name, that is wrong.
    """
    for name in sorted(set(expected) | set(tensors)):
        if name not in tensors:
            raise InputError(f"{path}: tensor {name} is missing")
        if name not in expected:
            raise InputError(f"{path}: tensor {name} does not belong to the architecture")
        want, have = tuple(expected[name].shape), tuple(tensors[name].shape)
        if want != have:
            raise InputError(f"{path}: tensor {name} has shape {list(have)}, the architecture wants {list(want)}")
        if tensors[name].dtype != expected[name].dtype:
            wanted = str(expected[name].dtype).removeprefix("torch.")
            raise InputError(f"{path}: tensor {name} is {tensors[name].dtype}, a {kind} holds {wanted}")
        if not torch.isfinite(tensors[name]).all():
            raise InputError(f"{path}: tensor {name} holds values that are not finite")
