"""The student file, ``student.syq``: a quantized recognizer in safetensors with a JSON header. Never a pickle.

The header holds ``{"format", "kind": "student", "backbone", "bits", "places", "layers", "name", "spectrum",
"orientation", "identities", "teacher_sha256", "data_sha256", "summary", "sha256"}``: ``places`` are the bits that
decided where values are rounded (``bits``, but for a run that was on its way to fewer), ``layers`` those of every
layer's weights and of every rounding of activations in the order of computation, a digit each, ``identities`` how
many digests there are (null: nobody knows), ``sha256`` the digest of the rest of the header and of all tensors.
The content, one tensor of a kind for all layers in that order:

- ``codes`` uint8: weights, each a whole number 0 .. 2^b - 2 in b bits (2^(b-1) - 1 is zero), a layer from a new
  byte on;
- ``weight_steps`` bfloat16, a row of a layer each; ``biases`` float16, the same;
- ``slopes`` float16, of the PReLUs; ``scales`` float16, of what is left of batch norms, their shifts behind them;
- ``activation_steps`` bfloat16 and ``activation_zeros`` uint8, one a rounding;
- ``identities`` uint8 [n, 6]: the first bytes of the SHA-256 of the training subjects' ids
  (:func:`~syper_data.recognition.recognizer_file.short_digest`).

In the file each of them but ``identities`` is a uint8 tensor of its bytes, shrunk
(:func:`~syper_data.quantization.packing.shrink`). Files of format 1, which are read as well, hold them as they
are, and whole digests [n, 32].
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from syper_data.dataset.tensor_file import TensorFile, read_tensor_file, write_tensor_file
from syper_data.errors import ConfigError, InputError
from syper_data.quantization.bits import BitsConfig
from syper_data.quantization.layers import Affine, Slopes
from syper_data.quantization.packing import expand, pack, packed_size, shrink, unpack
from syper_data.quantization.rounding import weight_codes, weight_levels
from syper_data.quantization.student import Student
from syper_data.recognition.backbones import build_backbone
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.embedder import NetworkEmbedder
from syper_data.recognition.recognizer_file import NAME, ORIENTATIONS, SPECTRA, short_digest

FORMAT_VERSION = 2
_DIGEST_BYTES = {1: 32, FORMAT_VERSION: 6}
_KIND = "student file"
_TYPES = {
    "codes": torch.uint8,
    "weight_steps": torch.bfloat16,
    "biases": torch.float16,
    "slopes": torch.float16,
    "scales": torch.float16,
    "activation_steps": torch.bfloat16,
    "activation_zeros": torch.uint8,
    "identities": torch.uint8,
}
_FIELDS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "backbone": (dict,),
    "bits": (dict,),
    "places": (dict,),
    "layers": (dict,),
    "teacher_sha256": (str,),
    "data_sha256": (str,),
    "summary": (dict,),
    "spectrum": (str, type(None)),
    "identities": (int, type(None)),
}


@dataclass(frozen=True)
class StudentFile:
    """A quantized recognizer with its identity; fields are those of a
    :class:`~syper_data.recognition.recognizer_file.RecognizerFile`, ``network`` in place of the backbone."""

    path: Path
    name: str
    sha256: str
    config: BackboneConfig
    bits: BitsConfig
    spectrum: str | None
    orientation: str
    identities: frozenset[str]
    teacher_sha256: str
    data_sha256: str
    summary: dict[str, Any] = field(compare=False)
    network: Student = field(compare=False, repr=False)  # settled, in evaluation mode, without gradients
    identities_known: bool = True


def write_student(
    path: Path,
    student: Student,
    *,
    name: str,
    spectrum: str | None,
    orientation: str,
    identities: Iterable[str] | None,
    teacher_sha256: str,
    data_sha256: str,
    summary: Mapping[str, Any],
) -> str:
    """Pack and write atomically; return the file's SHA-256. The same content gives the same bytes.

    Raises:
        InputError: values that are not finite.
        OutputError: ``path`` can't be written.
    """
    tensors = _packed(student)
    digests = None if identities is None else sorted(set(map(short_digest, identities)))
    raw = b"".join(bytes.fromhex(digest) for digest in digests or ())
    width = _DIGEST_BYTES[FORMAT_VERSION]
    tensors["identities"] = torch.from_numpy(np.frombuffer(raw, np.uint8).reshape(-1, width).copy())
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor.float()).all():
            raise InputError(f"{path}: {key} holds values that are not finite")
    header: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "kind": "student",
        "backbone": student.config.to_dict(),
        "bits": student.bits.to_dict(),
        "places": student.places.to_dict(),
        "layers": _widths(student),
        "name": name,
        "spectrum": spectrum,
        "orientation": orientation,
        "identities": None if digests is None else len(digests),
        "teacher_sha256": teacher_sha256,
        "data_sha256": data_sha256,
        "summary": dict(summary),
    }
    header["sha256"] = _digest(header, tensors)
    return write_tensor_file(Path(path), _stored(tensors), header, exact=True)


def read_student(path: str | Path) -> StudentFile:
    """Read, check and unpack a student file.

    Raises:
        InputError: no such file, truncated, not what its digest says, of another architecture than its header, or
            with codes out of range.
    """
    path = Path(path)
    file = read_tensor_file(path, _KIND, None)
    header, tensors = _checked(file, path)
    try:
        config = BackboneConfig.from_dict(header["backbone"])
        bits, places = (BitsConfig.from_dict(header[name]) for name in ("bits", "places"))
        with torch.device("meta"):
            student = Student(build_backbone(config).eval(), places)
            student.set_bits(bits)
    except ConfigError as error:
        raise InputError(f"{path}: {error}") from error
    if _widths(student) != header["layers"]:
        raise InputError(f"{path}: the bits of the layers are not those that the header's settings give")
    try:
        _unpack(student, tensors)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    known = header["identities"] is not None
    digests, width = tensors["identities"], _DIGEST_BYTES[header["format"]]
    if digests.ndim != 2 or digests.shape[1] != width or len(digests) != (header["identities"] or 0):
        raise InputError(f"{path}: identities is {list(digests.shape)}, the header says {header['identities']}")
    return StudentFile(
        path=path,
        name=header["name"],
        sha256=file.sha256,
        config=config,
        bits=bits,
        spectrum=header["spectrum"],
        orientation=header["orientation"],
        identities=frozenset(row.tobytes().hex() for row in digests.numpy()),
        teacher_sha256=header["teacher_sha256"],
        data_sha256=header["data_sha256"],
        summary=header["summary"],
        network=student.settle(),
        identities_known=known,
    )


def _widths(student: Student) -> dict[str, str]:
    layers = [layer for _, layer in student.layers()]
    ranges = [part for _, part in student.ranges()]
    return {
        "weights": "".join(str(layer.bits) for layer in layers),
        "activations": "".join(str(part.bits) for part in ranges),
    }


def _parts(student: Student, kind: type[Slopes] | type[Affine]) -> list[Any]:
    return [part for part in student.parts.values() if isinstance(part, kind)]


def _packed(student: Student) -> dict[str, Tensor]:
    layers = [layer for _, layer in student.layers()]
    codes = []
    for layer in layers:
        whole = weight_codes(layer.weight, layer.log_range, layer.bits).flatten() + weight_levels(layer.bits)
        codes.append(pack(whole.contiguous().to(torch.uint8).numpy(), layer.bits))
    ranges = [part.step_and_zero() for _, part in student.ranges()]
    affine = [p for part in _parts(student, Affine) for p in (part.weight, part.bias)]
    return {
        "codes": torch.from_numpy(np.concatenate(codes)),
        "weight_steps": _joined([layer.steps() for layer in layers], torch.bfloat16),
        "biases": _joined([layer.bias for layer in layers], torch.float16),
        "slopes": _joined([part.weight for part in _parts(student, Slopes)], torch.float16),
        "scales": _joined(affine, torch.float16),
        "activation_steps": torch.tensor([step for step, _ in ranges]).bfloat16(),
        "activation_zeros": torch.tensor([zero for _, zero in ranges], dtype=torch.uint8),
    }


def _joined(tensors: list[Tensor], kind: torch.dtype) -> Tensor:
    return torch.cat([t.detach() for t in tensors]).to(kind) if tensors else torch.empty(0, dtype=kind)


@torch.no_grad()
def _unpack(student: Student, tensors: Mapping[str, Tensor]) -> None:
    """Fill a student without values. Raises ValueError."""
    layers = [layer for _, layer in student.layers()]
    ranges = [part for _, part in student.ranges()]
    rows = [len(layer.bias) for layer in layers]
    slopes, affine = _parts(student, Slopes), _parts(student, Affine)
    want = {
        "codes": [packed_size(layer.weight.numel(), layer.bits) for layer in layers],
        "weight_steps": rows,
        "biases": rows,
        "slopes": [len(part.weight) for part in slopes],
        "scales": [len(part.weight) for part in affine for _ in "ab"],
        "activation_steps": [1] * len(ranges),
        "activation_zeros": [1] * len(ranges),
    }
    parts: dict[str, list[Tensor]] = {}
    for name, sizes in want.items():
        if tensors[name].shape != (sum(sizes),):
            raise ValueError(f"tensor {name} has shape {list(tensors[name].shape)}, it wants [{sum(sizes)}]")
        parts[name] = list(torch.split(tensors[name], sizes))
    student.to_empty(device="cpu")
    for layer, codes, steps, biases in zip(
        layers, parts["codes"], parts["weight_steps"], parts["biases"], strict=True
    ):
        levels = weight_levels(layer.bits)
        whole = unpack(codes.numpy(), layer.weight.numel(), layer.bits)
        if int(whole.max()) > 2 * levels:
            raise ValueError(f"codes: {int(whole.max())} is out of range, {layer.bits} bits go to {2 * levels}")
        values = torch.from_numpy(whole).float().sub_(levels).view(layer.weight.shape)
        step = steps.float()
        layer.weight.copy_(values * step.view(-1, *(1 for _ in values.shape[1:])))
        layer.log_range.copy_((step * levels).log2())
        layer.bias.copy_(biases.float())
    for part, (step, zero) in zip(
        ranges, zip(parts["activation_steps"], parts["activation_zeros"], strict=True), strict=True
    ):
        if int(zero) > part.levels:
            raise ValueError(f"activation_zeros: {int(zero)} is out of range, its bits go to {part.levels}")
        part.log_range.copy_((step.float() * part.levels).log2()[0])
        part.zero.fill_(int(zero) / part.levels)
    for slope, values in zip(slopes, parts["slopes"], strict=True):
        slope.weight.copy_(values.float())
    for i, part in enumerate(affine):
        part.weight.copy_(parts["scales"][2 * i].float())
        part.bias.copy_(parts["scales"][2 * i + 1].float())


def _stored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The content as the file holds it."""
    return {
        name: torch.from_numpy(shrink(_bytes(tensor), tensor.element_size())) if name != "identities" else tensor
        for name, tensor in tensors.items()
    }


def _content(file: TensorFile) -> dict[str, Tensor]:
    """The content of a file of either format. Raises ValueError."""
    if file.header["format"] == 1:
        return dict(file.tensors)
    found = {}
    for name, tensor in file.tensors.items():
        if name == "identities" or name not in _TYPES:
            found[name] = tensor
            continue
        if tensor.dtype != torch.uint8 or tensor.ndim != 1:
            raise ValueError(f"tensor {name} is {tensor.dtype} {list(tensor.shape)}, no bytes")
        try:
            raw = expand(tensor.numpy(), _TYPES[name].itemsize)
        except ValueError as error:
            raise ValueError(f"tensor {name}: {error}: the file is damaged; get it again") from error
        found[name] = torch.from_numpy(raw).view(_TYPES[name]) if len(raw) else torch.empty(0, dtype=_TYPES[name])
    return found


def _bytes(tensor: Tensor) -> Any:
    return tensor.contiguous().view(torch.uint8).numpy() if tensor.numel() else np.empty(0, np.uint8)


def _checked(file: TensorFile, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and content, if the file is a whole student file."""
    header = file.header
    if header.get("kind") != "student":
        what = "a recognizer file" if header.get("kind") == "recognizer" else "another kind of file"
        raise InputError(f"{path}: {what}, not a {_KIND} (syper-data quantize makes one)")
    if header.get("format") not in list(_DIGEST_BYTES):
        raise InputError(
            f"{path}: format version {header.get('format')!r}, this toolkit reads 1 and {FORMAT_VERSION}"
        )
    try:
        tensors = _content(file)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    if header.get("sha256") != _digest(header, tensors):
        raise InputError(f"{path}: the content is not what its digest says: the file is damaged; get it again")
    for name, kinds in _FIELDS.items():
        if name not in header or not isinstance(header[name], kinds):
            raise InputError(f"{path}: the header's {name} is {header.get(name)!r}")
    if not NAME.fullmatch(header["name"]):
        raise InputError(f"{path}: the header's name is {header['name'][:100]!r}, no recognizer's")
    if header["spectrum"] not in (None, *SPECTRA) or header.get("orientation") not in ORIENTATIONS:
        raise InputError(f"{path}: the header names no known spectrum and orientation")
    for name, kind in _TYPES.items():
        if name not in tensors or tensors[name].dtype != kind:
            raise InputError(f"{path}: tensor {name} is missing or not {str(kind).removeprefix('torch.')}")
        values = tensors[name].float()
        if not torch.isfinite(values).all() or (name.endswith("_steps") and bool((values <= 0).any())):
            raise InputError(f"{path}: tensor {name} holds values that no student has")
    return header, tensors


def _digest(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    digest.update(json.dumps({k: v for k, v in header.items() if k != "sha256"}, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(_bytes(tensor).tobytes())
    return digest.hexdigest()


def load_student(path: str | Path) -> NetworkEmbedder:
    """A student that embeds as a recognizer does: the same preparation of crops, vectors of length 1.

    Raises:
        InputError: no readable student file.
    """
    file = read_student(path)
    return NetworkEmbedder(file, file.network)
