"""The generator file: safetensors with a JSON header. Never a pickle.

The header key ``syper`` holds ``{"format", "architecture", "spectrum", "summary"}``; tensor names
are those of :class:`~syper_data.gan.generator.Generator`'s state. Everything is checked on reading.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from syper_data.dataset.atomic import write_atomically
from syper_data.errors import ConfigError, InputError
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator

FORMAT_VERSION = 1
_HEADER_KEY = "syper"


@dataclass(frozen=True)
class GeneratorFile:
    """A generator with its identity: what a manifest records of it, and what made it."""

    generator: Generator
    name: str
    sha256: str
    spectrum: str
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> GeneratorConfig:
        """The architecture."""
        return self.generator.config


def save_generator(generator: Generator, path: Path, *, spectrum: str, summary: dict[str, Any]) -> None:
    """Write weights (float32) and header atomically; the same content gives the same bytes."""
    header = {
        "format": FORMAT_VERSION,
        "architecture": generator.config.to_dict(),
        "spectrum": spectrum,
        "summary": summary,
    }
    tensors = {name: t.detach().float().cpu().contiguous() for name, t in generator.state_dict().items()}
    write_atomically(path, save(tensors, {_HEADER_KEY: json.dumps(header, sort_keys=True)}))


def load_generator(path: Path, *, name: str | None = None) -> GeneratorFile:
    """Read and check a generator file; the generator is in evaluation mode, without gradients.

    Raises:
        InputError: no such file, not safetensors, no or an unknown header, tensors that do not fit
            the architecture, or values that are not finite.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        if data[:1] == b"\x80" or data[:2] == b"PK":  # (a safetensors file may begin so, too)
            raise InputError(
                f"{path}: a pickle, not a generator file; run: syper-data convert {path} OUT.safetensors"
            ) from error
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
    header = _read_header(metadata, path)
    try:
        config = GeneratorConfig.from_dict(header["architecture"])
    except ConfigError as error:
        raise InputError(f"{path}: {error}") from error
    with torch.device("meta"):
        generator = Generator(config)
    _check_tensors(generator, tensors, path)
    generator.load_state_dict(tensors, assign=True)
    generator.synthesis.restore_kernel()
    generator.eval().requires_grad_(False)
    return GeneratorFile(
        generator=generator,
        name=name or path.stem,
        sha256=hashlib.sha256(data).hexdigest(),
        spectrum=header["spectrum"],
        summary=header.get("summary", {}),
    )


def _read_header(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    if _HEADER_KEY not in metadata:
        raise InputError(f"{path}: safetensors, but no generator file (no {_HEADER_KEY!r} header)")
    try:
        header = json.loads(metadata[_HEADER_KEY])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: the header is not JSON") from error
    if not isinstance(header, dict) or not isinstance(header.get("architecture"), dict):
        raise InputError(f"{path}: the header describes no architecture")
    if header.get("format") != FORMAT_VERSION:
        raise InputError(f"{path}: format version {header.get('format')!r}, this toolkit reads {FORMAT_VERSION}")
    if header.get("spectrum") not in ("vis", "nir"):
        raise InputError(f"{path}: spectrum is {header.get('spectrum')!r}: must be vis or nir")
    if not isinstance(header.get("summary", {}), dict):
        raise InputError(f"{path}: the header's summary is no mapping")
    return header


def _check_tensors(generator: Generator, tensors: dict[str, torch.Tensor], path: Path) -> None:
    expected = generator.state_dict()
    for name in sorted(set(expected) | set(tensors)):
        if name not in tensors:
            raise InputError(f"{path}: tensor {name} is missing")
        if name not in expected:
            raise InputError(f"{path}: tensor {name} does not belong to the architecture")
        want, have = tuple(expected[name].shape), tuple(tensors[name].shape)
        if want != have:
            raise InputError(f"{path}: tensor {name} has shape {list(have)}, the architecture wants {list(want)}")
        if tensors[name].dtype != torch.float32:
            raise InputError(f"{path}: tensor {name} is {tensors[name].dtype}, a generator file holds float32")
        if not torch.isfinite(tensors[name]).all():
            raise InputError(f"{path}: tensor {name} holds values that are not finite")
