"""Training that begins with a recognizer (``train-recognizer --init-from``, ``distill --start``).

The start gives the backbone's weights, the orientation in which the network sees images, and the people whom it
knows. A margin head always begins fresh.
"""

from __future__ import annotations

from collections.abc import Iterable

from syper_data.errors import InputError
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.recognizer_file import RecognizerFile, knows


def check_start(start: RecognizerFile, ours: BackboneConfig) -> None:
    """Raise :class:`InputError`, with both values, where the start's weights don't fit a recipe's backbone.

    A pooling head takes images of any size, a flatten head has weights for one. Dropout has none.
    """
    for name in ("kind", "embedding_dim", "head", "input_size"):
        theirs, wanted = getattr(start.config, name), getattr(ours, name)
        if theirs != wanted and (name != "input_size" or ours.head != "pooling"):
            raise InputError(
                f"{start.path}: its {name} is {theirs}, the recipe's {wanted}; choose another start, or change "
                f"backbone.{name}"
            )


def start_record(start: RecognizerFile | None) -> dict[str, str | None]:
    """Name and SHA-256 of the start, as log, ``data.json`` and the written file name it."""
    return {
        "start": None if start is None else start.name,
        "start_sha256": None if start is None else start.sha256,
    }


def joined_identities(origins: Iterable[RecognizerFile], digests: Iterable[str]) -> frozenset[str] | None:
    """Whom a network knows: those of the recognizers that it comes from, and its own people (``digests``).

    None (nobody can say) where one of those recognizers does not know whom it was trained on.
    """
    files = list(origins)
    if not all(file.identities_known for file in files):
        return None
    return frozenset(digests).union(*(file.identities for file in files))


def known_to(start: RecognizerFile, subjects: Iterable[str]) -> int | None:
    """How many of the subjects the start was trained on; None where its people are unknown."""
    return sum(knows(start.identities, subject) for subject in subjects) if start.identities_known else None
