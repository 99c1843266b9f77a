"""The recognizer file: safetensors with a JSON header. Never a pickle.

The header holds ``{"format", "kind": "recognizer", "backbone", "name", "spectrum", "orientation",
"identities", "summary"}``; tensor names are those of the published checkpoints
(:mod:`~syper_data.recognition.backbones`). ``identities`` are SHA-256 digests of the training subjects'
ids, null where nobody knows them: they let a test be refused on people that the network was trained
on, and do not list the people. (Digests of guessable ids can be guessed; they are no anonymisation.)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from syper_data.dataset.tensor_file import check_tensors, read_tensor_file, write_tensor_file
from syper_data.errors import ConfigError, InputError
from syper_data.recognition.backbones import Backbone, build_backbone, expected_state
from syper_data.recognition.config import BackboneConfig

FORMAT_VERSION = 1
SPECTRA = ("vis", "nir")
ORIENTATIONS = ("canonical", "opposite")
_KIND = "recognizer file"
_CONVERT = "convert-recognizer"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"0*([0-9]{1,9})(?:\.0)?")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class RecognizerFile:
    """A recognizer with its identity, and whom it was trained on.

    ``orientation`` is what its training images had: ``canonical`` (nose at the right edge) or
    ``opposite``. ``identities`` is empty where ``identities_known`` is false, too.
    """

    path: Path
    name: str
    sha256: str
    config: BackboneConfig
    spectrum: str | None
    orientation: str
    identities: frozenset[str]
    summary: dict[str, Any] = field(compare=False)
    backbone: Backbone = field(compare=False, repr=False)  # in evaluation mode, without gradients
    identities_known: bool = True


SHORT_DIGEST = 12  # hexadecimal digits


def short_digest(digest: str) -> str:
    """The first 6 bytes of a digest, for files where a whole one is too much.

    A person is taken for one of n known ones with a chance of n / 2^48: with 6,000 known and 6,000 tested
    people, each looked for in ten spellings (:func:`knows`), one wrong refusal in 780,000 such tests.
    """
    return digest[:SHORT_DIGEST]


def identity_digest(subject: str) -> str:
    """SHA-256, in hexadecimal, of a subject's id in UTF-8."""
    return hashlib.sha256(subject.encode("utf-8")).hexdigest()


def knows(identities: frozenset[str], subject: str) -> bool:
    """Whether a subject's digest, whole or short, is among ``identities``, in any spelling of the same number: a
    table that keeps ids as numbers makes ``1`` (or ``1.0``) of ``001``."""
    number = _NUMBER.fullmatch(subject)
    spelled = {subject} | ({f"{int(number[1]):0{width}d}" for width in range(1, 10)} if number else set())
    digests = set(map(identity_digest, spelled))
    return not identities.isdisjoint(digests | set(map(short_digest, digests)))


def write_recognizer(
    path: Path,
    backbone: nn.Module,
    config: BackboneConfig,
    *,
    name: str,
    spectrum: str | None,
    orientation: str = "canonical",
    identities: Iterable[str] | None,
    summary: Mapping[str, Any],
) -> str:
    """Write weights (float32) and header atomically; return the file's SHA-256.

    ``identities`` are digests (:func:`identity_digest`), None where they are not known. The same
    content gives the same bytes; the dropout of ``config`` is kept, for training on.

    Raises:
        ConfigError: a name, spectrum, orientation or digest that no file may hold.
        InputError: weights that do not fit ``config``, or are not finite.
        OutputError: ``path`` can't be written.
    """
    digests = None if identities is None else sorted(set(identities))
    header = {
        "format": FORMAT_VERSION,
        "kind": "recognizer",
        "backbone": config.to_dict(),
        "name": name,
        "spectrum": spectrum,
        "orientation": orientation,
        "identities": digests,
        "summary": dict(summary),
    }
    wrong = _fault(header)
    if wrong:
        raise ConfigError(f"{path}: {wrong}")
    state = {n: t.float() if t.is_floating_point() else t for n, t in backbone.state_dict().items()}
    check_tensors(state, expected_state(config), Path(path), _KIND)
    return write_tensor_file(Path(path), state, header)


def read_recognizer(path: str | Path) -> RecognizerFile:
    """Read and check a recognizer file.

    Raises:
        InputError: no such file, not safetensors, no or an unknown header, tensors that do not fit the
            backbone, or values that are not finite.
    """
    path = Path(path)
    file = read_tensor_file(path, _KIND, _CONVERT)
    header = file.header
    if header.get("kind") != "recognizer":
        what = "a generator file, not a recognizer file" if "architecture" in header else "no recognizer file"
        if header.get("kind") == "student":
            what = "a student file; it was made of a recognizer file, which is wanted here"
        raise InputError(f"{path}: {what}")
    if header.get("format") != FORMAT_VERSION:
        raise InputError(f"{path}: format version {header.get('format')!r}, this toolkit reads {FORMAT_VERSION}")
    wrong = _fault(header)
    if wrong:
        raise InputError(f"{path}: {wrong}")
    try:
        config = BackboneConfig.from_dict(header["backbone"])
    except ConfigError as error:
        raise InputError(f"{path}: {error}") from error
    check_tensors(file.tensors, expected_state(config), path, _KIND)
    digests = header["identities"]
    return RecognizerFile(
        path=path,
        name=header["name"],
        sha256=file.sha256,
        config=config,
        spectrum=header["spectrum"],
        orientation=header["orientation"],
        identities=frozenset(digests or ()),
        summary=header["summary"],
        backbone=frozen_backbone(config, file.tensors),
        identities_known=digests is not None,
    )


def frozen_backbone(config: BackboneConfig, tensors: Mapping[str, Any]) -> Backbone:
    """The network with these weights, in evaluation mode and without gradients."""
    import torch

    with torch.device("meta"):
        backbone = build_backbone(config)
    backbone.load_state_dict(dict(tensors), assign=True)
    return backbone.eval().requires_grad_(False)


def _fault(header: Mapping[str, Any]) -> str | None:
    """What is wrong with a header's values, in a few words."""
    name = header.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"name is {name!r}: must be letters, digits, dots, dashes and underscores, at most 100"
    if header.get("spectrum") not in (None, *SPECTRA):
        return f"spectrum is {header.get('spectrum')!r}: must be vis, nir or null"
    if header.get("orientation") not in ORIENTATIONS:
        return f"orientation is {header.get('orientation')!r}: must be canonical or opposite"
    digests = header.get("identities")
    listed = digests if isinstance(digests, list) else []
    bad = [d for d in listed if not isinstance(d, str) or not _DIGEST.fullmatch(d)]
    if not isinstance(digests, list | None) or bad:
        return "identities must be SHA-256 digests in hexadecimal" + (f", one is {bad[0]!r}"[:100] if bad else "")
    if not isinstance(header.get("backbone"), dict):
        return "the header describes no backbone"
    if not isinstance(header.get("summary"), dict):
        return "the header's summary is no mapping"
    return None
