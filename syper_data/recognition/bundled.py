"""Finding a recognizer: by name among the bundled ones, by file, or by spectrum and role."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from syper_data.artifacts import artifact_folder
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError, UsageError
from syper_data.recognition.recognizer_file import SPECTRA, RecognizerFile, read_recognizer

WEIGHTS = "recognizer.safetensors"


def bundled_recognizers() -> dict[str, Path]:
    """Name to file of every recognizer that ships with the toolkit."""
    try:
        root = artifact_folder("recognizer")
    except FileNotFoundError as error:
        raise InputError(str(error)) from None
    return {p.parent.name: p for p in sorted(root.glob(f"*/{WEIGHTS}"))}


def default_teacher(spectrum: str = "vis") -> str:
    """The name of a spectrum's teacher: the embedder trained on all training identities."""
    return str(_defaults(spectrum)["teacher"])


def default_auditors(spectrum: str = "vis") -> tuple[str, ...]:
    """The names of a spectrum's auditors: embedders trained on disjoint halves of the identities."""
    return tuple(str(name) for name in _defaults(spectrum)["auditors"])


def find_recognizer(reference: str | Path | None = None, *, spectrum: str = "vis") -> Path:
    """A bundled recognizer's name, a file, or None for the spectrum's teacher -> the recognizer file.

    Raises:
        InputError: neither a bundled name nor an existing file; the message lists the names.
    """
    bundled = bundled_recognizers()
    name = str(reference) if reference is not None else default_teacher(spectrum)
    if name in bundled:
        return bundled[name]
    path = Path(name)
    if path.is_file():
        return path
    if not bundled:
        raise InputError(
            f"{name}: no such file, and this version of syper-data bundles no recognizers; give a recognizer file "
            "(syper-data convert-recognizer makes one of a published checkpoint)"
        )
    raise InputError(f"{name}: neither a recognizer file nor a bundled recognizer ({', '.join(sorted(bundled))})")


def open_recognizer(reference: str | Path | None = None, *, spectrum: str = "vis") -> RecognizerFile:
    """Load what :func:`find_recognizer` finds."""
    return read_recognizer(find_recognizer(reference, spectrum=spectrum))


def bundled_by_digest(sha256: str) -> Path | None:
    """The file of the bundled recognizer with this SHA-256; None where none has it."""
    return next((path for path in bundled_recognizers().values() if file_sha256(path) == sha256), None)


def _defaults(spectrum: str) -> dict[str, Any]:
    if spectrum not in SPECTRA:
        raise UsageError(f"spectrum is {spectrum!r}: must be vis or nir")
    try:
        file = artifact_folder("recognizer") / "default.yaml"
    except FileNotFoundError as error:
        raise InputError(str(error)) from None
    try:
        entry = yaml.safe_load(file.read_text("utf-8"))[spectrum]
        teacher, auditors = entry["teacher"], entry["auditors"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{file}: does not name the {spectrum} teacher and auditors") from error
    if not isinstance(teacher, str) or not isinstance(auditors, list) or len(auditors) < 2:
        raise InputError(f"{file}: does not name one {spectrum} teacher and two auditors")
    return {"teacher": teacher, "auditors": auditors}
