"""Whether a model was trained on the people whom it is tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from syper_data.benchmarking.model import Model
from syper_data.errors import InputError
from syper_data.protocols.protocol import Fold
from syper_data.recognition.recognizer_file import knows


class Trained(Protocol):
    """Whatever says whom it was trained on, as a model does."""

    @property
    def identities(self) -> frozenset[str]: ...

    @property
    def identities_known(self) -> bool: ...


@dataclass(frozen=True)
class Contamination:
    """Of the ``people`` of one fold, how many a model was trained on, and one of them.

    ``known`` is false where the model does not say whom it was trained on, ``named`` where the fold's lists do
    not say who is tested; ``trained_on`` is 0 then.
    """

    fold: str
    people: int
    trained_on: int
    example: str | None
    known: bool
    named: bool = True


def contamination(model: Trained, fold: Fold) -> Contamination:
    """Compare the digests of a model's training people with those of the people of a fold."""
    if not fold.named:
        return Contamination(fold.name, len(set(fold.subject.tolist())), 0, None, model.identities_known, False)
    people = {fold.subject_names[code] for code in set(fold.subject.tolist())}
    seen = sorted(name for name in people if knows(model.identities, name))
    return Contamination(fold.name, len(people), len(seen), seen[0] if seen else None, model.identities_known)


def require_new_people(
    models: Mapping[str, Model], folds: Sequence[Fold], *, allow_contaminated: bool
) -> dict[str, list[Contamination]]:
    """What :func:`contamination` finds of every model and fold, by the model's label.

    Raises:
        InputError: a model was trained on people of a fold, unless ``allow_contaminated``.
    """
    found = {label: [contamination(model, fold) for fold in folds] for label, model in models.items()}
    for label, entries in found.items():
        for entry in entries:
            if entry.trained_on and not allow_contaminated:
                raise InputError(
                    f"{label} was trained on {entry.trained_on} of the {entry.people} people of fold {entry.fold} "
                    f"(one is {entry.example}), so it can't be tested on them; choose folds with --folds, or "
                    "--allow-contaminated, which says so wherever the figures stand (ids are compared: if these "
                    "are other people of the same names, give them other ids)"
                )
    return found
