"""Finding a generator: by name among the bundled ones, by file, or by the digest in a manifest."""

from __future__ import annotations

from pathlib import Path

import yaml

from syper_data.artifacts import artifact_folder
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError
from syper_data.gan.generator_file import GeneratorFile, load_generator

WEIGHTS = "generator.safetensors"


def bundled_generators() -> dict[str, Path]:
    """Name to file of every generator that ships with the toolkit."""
    try:
        root = artifact_folder("generator")
    except FileNotFoundError as error:
        raise InputError(str(error)) from None
    return {p.parent.name: p for p in sorted(root.glob(f"*/{WEIGHTS}"))}


def default_generator() -> str:
    """The name that ``default.yaml`` points to."""
    file = artifact_folder("generator") / "default.yaml"
    try:
        return str(yaml.safe_load(file.read_text("utf-8"))["default"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{file}: does not name the default generator") from error


def find_generator(reference: str | Path | None = None) -> Path:
    """A bundled generator's name, a file, or None for the default -> the generator file.

    Raises:
        InputError: neither a bundled name nor an existing file; the message lists the names.
    """
    bundled = bundled_generators()
    name = str(reference) if reference is not None else default_generator()
    if name in bundled:
        return bundled[name]
    path = Path(name)
    if path.is_file():
        return path
    names = ", ".join(sorted(bundled)) or "none"
    raise InputError(f"{name}: neither a generator file nor a bundled generator ({names})")


def bundled_by_digest(sha256: str) -> Path | None:
    """The file of the bundled generator with this SHA-256; None where none has it."""
    return next((path for path in bundled_generators().values() if file_sha256(path) == sha256), None)


def find_by_digest(sha256: str, reference: str | Path | None = None) -> Path:
    """The generator file with this SHA-256: ``reference``, or one of the bundled ones.

    Raises:
        InputError: no such generator; the message holds the digest.
    """
    if reference is not None:
        path = find_generator(reference)
        found = file_sha256(path)
        if found != sha256:
            raise InputError(f"{path}: SHA-256 {found}, the manifest's generator has {sha256}")
        return path
    bundled = bundled_by_digest(sha256)
    if bundled is not None:
        return bundled
    raise InputError(
        f"no bundled generator has the SHA-256 {sha256} that the manifest names; give its file with --generator"
    )


def open_generator(reference: str | Path | GeneratorFile | None = None) -> GeneratorFile:
    """Load what :func:`find_generator` finds; a bundled generator keeps its release name."""
    if isinstance(reference, GeneratorFile):
        return reference
    path = find_generator(reference)
    return load_generator(path, name=path.parent.name if path.name == WEIGHTS else path.stem)
