"""Where the artefacts that ship with the toolkit lie: generators, recognizers, protocols, plans, card templates.

In a wheel they are package data under ``syper_data/_artifacts/``; in a checkout or an editable
install they are the folders beside the package. This module imports nothing of ours.
"""

from __future__ import annotations

from pathlib import Path

KINDS = ("generator", "recognizer", "protocols", "experiments", "cards")

_PACKAGE = Path(__file__).resolve().parent


def artifact_folder(kind: str) -> Path:
    """The folder of one kind of artefact (one of ``KINDS``).

    Raises:
        ValueError: an unknown kind.
        FileNotFoundError: the installation carries no such folder.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of artefact {kind!r}")
    for root in (_PACKAGE / "_artifacts", _PACKAGE.parent):
        if (root / kind).is_dir():
            return root / kind
    raise FileNotFoundError(f"this installation of syper-data has no {kind} folder: install it again")
