"""Training data of a recognizer: labelled crops of one size in memory, and a digest of all that."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from syper_data.errors import InputError
from syper_data.imaging.pixels import resize
from syper_data.imaging.source import SourceImage, canonical

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Labels = np.ndarray[Any, np.dtype[np.int64]]

_Class = tuple[int, str, str | None]  # number of the source, subject, and the side where each eye is a class


@dataclass(frozen=True)
class Eyes:
    """Crops in canonical orientation, each uint8 [s, s, 3], with their classes and people.

    ``labels`` number the classes 0..``classes`` - 1 and ``people`` the persons. A class is a person or an
    eye *of one source*: the same id in two sources is two persons. ``subjects`` are the plain ids.
    """

    pixels: tuple[Pixels, ...]
    labels: Labels  # [n]
    people: Labels  # [n]
    subjects: frozenset[str]
    sha256: str

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.labels.max()) + 1

    def first(self, count: int) -> Eyes:
        """The first ``count`` images, rounded up so that a class comes whole."""
        if count >= len(self):
            return self
        order = np.argsort(self.labels, kind="stable")
        stop = int(np.searchsorted(self.labels[order], self.labels[order[count]], "left"))
        stop = stop or int(np.searchsorted(self.labels[order], 0, "right"))
        rows = order[:stop]
        pixels = tuple(self.pixels[i] for i in rows)
        return Eyes(pixels, self.labels[rows], self.people[rows], self.subjects, self.sha256)


@dataclass
class _Part:
    """One side of the held-out split while it is read."""

    both_eyes: str
    size: int
    pixels: list[Pixels] = field(default_factory=list)
    names: list[_Class] = field(default_factory=list)

    def add(self, image: SourceImage, source: int) -> None:
        if image.subject is None:
            raise InputError(
                f"{image.where}: names no subject, which training needs; name the column with "
                "--columns subject=NAME, or give every subject a folder of its own"
            )
        if self.both_eyes == "two_classes" and image.side is None:
            raise InputError(
                f"{image.where}: names no side, and the recipe's classes are eyes (both_eyes: two_classes); "
                "name the column with --columns side=NAME"
            )
        h, w = image.pixels.shape[:2]
        if h != w:
            raise InputError(f"{image.where}: {w}x{h} pixels, a crop is square (syper-data crop makes them)")
        self.pixels.append(resize(canonical(image), self.size, "lanczos"))
        self.names.append((source, image.subject, image.side if self.both_eyes == "two_classes" else None))

    def finish(self, at_least: int) -> Eyes:
        counts = Counter(self.names)
        kept = [i for i, name in enumerate(self.names) if counts[name] >= at_least]
        pixels, names = tuple(self.pixels[i] for i in kept), [self.names[i] for i in kept]
        digest = hashlib.sha256()
        for image in pixels:
            digest.update(image.tobytes())
        digest.update(json.dumps(names).encode("utf-8"))
        people = [(source, subject) for source, subject, _ in names]
        subjects = frozenset(subject for _, subject in people)
        return Eyes(pixels, _numbers(names), _numbers(people), subjects, digest.hexdigest())


@dataclass(frozen=True)
class TrainingData:
    """What is trained on, whom training is checked against, and what ``data.json`` says of both."""

    training: Eyes
    validation: Eyes | None
    summary: dict[str, Any]


def load_eyes(
    sources: Sequence[Iterable[SourceImage]],
    size: int,
    both_eyes: str,
    *,
    at_least: int = 2,
    held_out: Callable[[str], bool] | None = None,
) -> TrainingData:
    """Decode every source once: canonical orientation, resized to ``size`` (Lanczos, antialiased).

    ``both_eyes`` is ``one_class`` or ``two_classes``; classes with fewer than ``at_least`` images are left
    out. Subjects for whom ``held_out`` is true are for validation.

    Raises:
        InputError: an image names no subject (or no side, where eyes are classes) or is not square, or
            there are fewer than two classes to train on, or two people to compare.
    """
    training, validation = _Part(both_eyes, size), _Part(both_eyes, size)
    seen: list[set[str]] = []
    for number, images in enumerate(sources):
        seen.append(set())
        for image in images:
            part = validation if held_out is not None and held_out(image.subject or "") else training
            part.add(image, number)
            seen[-1].add(image.subject or "")
    learned = _finish(training, at_least)
    compared = None if held_out is None else _finish(validation, 2, compared=True)
    shared = sum(count > 1 for count in Counter(s for subjects in seen for s in subjects).values())
    summary = {
        "images": len(learned),
        "subjects": len(learned.subjects),
        "classes": learned.classes,
        "left_out": len(training.names) - len(learned),
        "sources": len(seen),
        "subjects_in_several_sources": shared,
        "sha256": learned.sha256,
        "validation_images": 0 if compared is None else len(compared),
        "validation_subjects": 0 if compared is None else len(compared.subjects),
        "validation_sha256": None if compared is None else compared.sha256,
    }
    return TrainingData(learned, compared, summary)


def _finish(part: _Part, at_least: int, *, compared: bool = False) -> Eyes:
    counts = Counter(part.names)
    enough = [name for name, count in counts.items() if count >= at_least]
    people = {(source, subject) for source, subject, _ in enough}
    if len(enough) < 2 or (compared and len(people) < 2):
        found = f"{len(people)} people" if compared else f"{len(enough)} of {len(counts)} classes"
        purpose = "compare held-out subjects; hold out a larger share" if compared else "train on"
        raise InputError(
            f"{found} ({len(part.names)} images) with at least {at_least} images: two are needed to {purpose}"
        )
    return part.finish(at_least)


def _numbers(names: Sequence[Any]) -> Labels:
    """Every name's place among the different ones, in the order of their first appearance."""
    places: dict[Any, int] = {}
    return np.array([places.setdefault(name, len(places)) for name in names], np.int64)
