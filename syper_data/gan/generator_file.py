"""The generator file: safetensors with a JSON header. Never a pickle.

The header key ``syper`` holds ``{"format", "architecture", "spectrum", "summary"}``; tensor names
are those of :class:`~syper_data.gan.generator.Generator`'s state. Everything is checked on reading.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from syper_data.dataset.tensor_file import check_tensors, read_tensor_file, write_tensor_file
from syper_data.errors import ConfigError, InputError
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator

FORMAT_VERSION = 1
_KIND = "generator file"


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
    write_tensor_file(path, generator.state_dict(), header)


def load_generator(path: Path, *, name: str | None = None) -> GeneratorFile:
    """Read and check a generator file; the generator is in evaluation mode, without gradients.

    Raises:
        InputError: no such file, not safetensors, no or an unknown header, tensors that do not fit
            the architecture, or values that are not finite.
    """
    path = Path(path)
    file = read_tensor_file(path, _KIND, "convert")
    header = _checked(file.header, path)
    try:
        config = GeneratorConfig.from_dict(header["architecture"])
    except ConfigError as error:
        raise InputError(f"{path}: {error}") from error
    with torch.device("meta"):
        generator = Generator(config)
    check_tensors(file.tensors, generator.state_dict(), path, _KIND)
    generator.load_state_dict(file.tensors, assign=True)
    generator.synthesis.restore_kernel()
    generator.eval().requires_grad_(False)
    return GeneratorFile(
        generator=generator,
        name=name or path.stem,
        sha256=file.sha256,
        spectrum=header["spectrum"],
        summary=header.get("summary", {}),
    )


def _checked(header: dict[str, Any], path: Path) -> dict[str, Any]:
    if not isinstance(header.get("architecture"), dict):
        raise InputError(f"{path}: the header describes no architecture")
    if header.get("format") != FORMAT_VERSION:
        raise InputError(f"{path}: format version {header.get('format')!r}, this toolkit reads {FORMAT_VERSION}")
    if header.get("spectrum") not in ("vis", "nir"):
        raise InputError(f"{path}: spectrum is {header.get('spectrum')!r}: must be vis or nir")
    if not isinstance(header.get("summary", {}), dict):
        raise InputError(f"{path}: the header's summary is no mapping")
    return header
