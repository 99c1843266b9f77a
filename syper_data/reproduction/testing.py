"""A student beside its teacher on a protocol, measured as ``benchmark`` does: the same vectors, scores, figures.

Figures are given twice where images could not be acquired: with them as errors, and of the acquired comparisons
alone. Both models lose the same images, so the paired difference is of the same comparisons either way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.benchmarking.contamination import contamination, require_new_people
from syper_data.benchmarking.measured import MeasuredFold, Settings, measure, measured
from syper_data.benchmarking.model import Vectors
from syper_data.benchmarking.models import load_model
from syper_data.benchmarking.opening import Opened, open_for_benchmark
from syper_data.benchmarking.results import model_labels, protocol_record
from syper_data.benchmarking.scoring import acquired_scores
from syper_data.benchmarking.vectors import embed_images
from syper_data.errors import SyperError, UsageError
from syper_data.protocols.protocol import Fold, Protocol
from syper_data.recognition.recognizer_file import RecognizerFile

TEACHER, STUDENT = "teacher", "student"
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Trial:
    """One fold of a protocol, on which teachers and students are tested."""

    opened: Opened
    fold: Fold
    settings: Settings

    @property
    def protocol(self) -> Protocol:
        """The protocol with this one fold."""
        return self.opened.protocol

    @property
    def record(self) -> dict[str, Any]:
        """The protocol as results hold it."""
        return protocol_record(self.protocol, self.opened.differences)

    def known_people(self, teacher: RecognizerFile, images: frozenset[str]) -> str | None:
        """Why nobody trained on these may be tested here, None where he may."""
        for what, trained in (("the teacher was trained on", teacher), ("the images show", _People(images))):
            found = contamination(trained, self.fold)
            if found.trained_on:
                return (
                    f"{what} {found.trained_on} of the {found.people} people of fold {found.fold} "
                    f"(one is {found.example})"
                )
        return None

    def measure(self, teacher: Path, student: Path, cache: Path, report: Report | None = None) -> dict[str, Any]:
        """Figures of both and their paired difference, student minus teacher.

        ``all`` counts failures to acquire as errors, ``acquired`` leaves them out (None where nothing failed).

        Raises:
            InputError: an unusable model or image, or people whom a model was trained on.
            UsageError: more comparisons than paired differences are computed of.
        """
        models = {STUDENT: load_model(student), TEACHER: load_model(teacher)}
        people = require_new_people(models, [self.fold], allow_contaminated=False)
        names = list(self.fold.images)
        acquired = embed_images(self.protocol.pictures, names, models, cache=cache, report=report)
        vectors = {label: acquired.of(label, names) for label in models}
        counted = measure(self.fold, vectors, self.settings)
        if counted.scores is None:
            raise UsageError(f"fold {self.fold.name}: too many comparisons for paired differences; choose another")
        alone = None
        if len(acquired.failures):
            plain = replace(self.fold, identification=None, parts=None)
            kept = {label: acquired_scores(scores) for label, scores in counted.scores.items()}
            alone = _figures(measured(plain, kept, self.settings))
        labels = (model_labels(models[m], people[m], self.protocol.spectrum) for m in models)
        return {
            "protocol": self.protocol.name,
            "fold": self.fold.name,
            "images_sha256": acquired.sha256,
            "not_acquired": len(acquired.failures),
            "all": _figures(counted),
            "acquired": alone,
            "agreement": _agreement(vectors),
            "labels": list(dict.fromkeys(text for found in labels for text in found)),
        }


@dataclass(frozen=True)
class _People:
    identities: frozenset[str]
    identities_known: bool = True


class Trials:
    """The protocols of a table, each opened once. ``protocol`` is that of cells without one of their own."""

    def __init__(
        self,
        protocol: str | Path | Protocol,
        *,
        root: str | Path | None,
        images: str | Path | None,
        folds: Sequence[str] | None,
        repeats: int,
    ) -> None:
        self._protocol, self._root, self._images, self._folds = protocol, root, images, folds
        self._settings = Settings(repeats=repeats)
        self._opened: dict[str | None, Trial] = {}

    def of(self, name: str | None) -> Trial:
        """The trial of a cell; a cell's own protocol needs no data.

        Raises:
            UsageError: where are the data, or a protocol of several folds.
            InputError: data that are not the protocol's.
        """
        if name not in self._opened:
            self._opened[name] = self._open(name)
        return self._opened[name]

    def _open(self, name: str | None) -> Trial:
        if name is None:
            opened = open_for_benchmark(
                self._protocol, root=self._root, images=self._images, folds=self._folds or None
            )
        else:
            opened = open_for_benchmark(name)
        protocol = opened.protocol
        if len(protocol.folds) != 1:
            names = ", ".join(fold.name for fold in protocol.folds)
            raise UsageError(f"{protocol.name}: the table is of one fold, choose with --folds ({names})")
        return Trial(opened, protocol.folds[0], self._settings)


def _figures(found: MeasuredFold) -> dict[str, Any]:
    """Of a fold's record: both EERs, their difference, how many comparisons and people."""
    figures = found.record["figures"]
    entry = next((e for e in found.record["differences"] if e["figure"] == "eer"), None)
    if entry is None:  # measured compares by EER, always
        raise SyperError(f"fold {found.fold.name}: has no paired difference of EER")
    fta = figures[TEACHER]["fta"]
    return {
        TEACHER: figures[TEACHER]["verification"]["eer"],
        STUDENT: figures[STUDENT]["verification"]["eer"],
        "difference": entry["difference"],
        "p": entry["p"],
        "mated": fta["mated"],
        "nonmated": fta["nonmated"],
        "people": figures[TEACHER]["verification"]["subjects"],
    }


def _agreement(vectors: Mapping[str, Vectors]) -> float:
    """Mean cosine of student and teacher over the acquired images."""
    cosines = np.einsum("nd,nd->n", vectors[STUDENT], vectors[TEACHER], dtype=np.float64)
    return float(np.nanmean(cosines))
