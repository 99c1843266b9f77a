"""CASIA-Iris (Lamp, Distance): no published pairs; all images of the same side are compared.

File names such as ``S2001L01.jpg`` say person, eye (the person's own: ``L`` is ``image_right``) and number; a
table says them in the columns ``subject, side, sample``. An image is known as ``001/image_right/1`` either way.

Options: ``pattern`` (a regular expression with the groups ``subject``, ``eye`` and ``sample``, for file names
without ending), ``folds`` (name to ``test`` and ``training``, lists of people or ranges such as ``001-060``;
without it everybody is in the one fold), ``columns``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from syper_data.cropping.table import Failure
from syper_data.errors import ConfigError, InputError
from syper_data.imaging.source import SIDES, ImageSource, Labels
from syper_data.protocols.image_places import open_source, photo_of
from syper_data.protocols.lists import coded, option
from syper_data.protocols.pictures import FolderPictures, SourcePictures
from syper_data.protocols.protocol import AllComparisons, Fold
from syper_data.protocols.reading import Reading, Request
from syper_data.protocols.splitting import listed_subjects

EYES = {"L": "image_right", "R": "image_left"}

Eye = tuple[str, str, str]  # subject, side, sample


def read(request: Request) -> Reading:
    """The wanted folds: who is tested by the descriptor, which images there are by the copy."""
    options = request.descriptor.options
    pattern = _pattern(option(options, "pattern", "", str))
    source = open_source(request)
    pictures, unnamed = _pictures(source, pattern, request.descriptor.spectrum)
    eyes = [tuple(name.split("/")) for name in sorted(_names(pictures), key=_natural)]
    everybody = sorted({subject for subject, _, _ in eyes})
    chosen = option(options, "folds", {}, Mapping)
    folds = []
    for name in request.folds:
        people = _people(chosen.get(name, {}), "test", name)
        wanted = frozenset(everybody) if people is None else people
        kept = [eye for eye in eyes if eye[0] in wanted]
        lost = sorted(wanted - set(everybody))
        if lost:
            raise InputError(
                f"{source.path}: {len(lost)} people of fold {name} have no image, the first is {lost[0]}"
            )
        folds.append(_fold(name, kept, _people(chosen.get(name, {}), "training", name)))
    notes = [f"{unnamed} files are left out, whose names say no eye"] if unnamed else []
    return Reading(tuple(folds), pictures, (), tuple(notes))


def _fold(name: str, eyes: list[tuple[str, ...]], training: frozenset[str] | None) -> Fold:
    identity, _ = coded([f"{subject}/{side}" for subject, side, _ in eyes])
    subject, subject_names = coded([subject for subject, _, _ in eyes])
    group = np.array([SIDES.index(side) for _, side, _ in eyes], np.int64)
    images = tuple("/".join(eye) for eye in eyes)
    return Fold(name, images, identity, subject, subject_names, AllComparisons(group), training=training)


def _pictures(
    source: ImageSource, pattern: re.Pattern[str] | None, spectrum: str | None
) -> tuple[FolderPictures | SourcePictures, int]:
    """The pictures by their canonical names, and how many files say no eye."""
    if source.tables:
        return SourcePictures.named(source, lambda labels: _name(labels, pattern)), 0
    files: dict[str, str] = {}
    labels = source.labels()
    for entry in labels:
        name = _name(entry, pattern)
        if name is None:
            continue
        if name in files:
            raise InputError(f"{source.path}: {files[name]} and {entry.source_id} are the same image by name")
        files[name] = entry.source_id
    if not files:
        whole = pattern is not None and any(pattern.fullmatch(photo_of(entry) or "") for entry in labels)
        said = "the photos show both eyes: cut the eyes out with syper-data crop, and give the crops"
        named = "no file's name says person, eye and number, as S2001L01.jpg does"
        raise InputError(f"{source.path}: {said if whole else named}")
    sides = {name: name.split("/")[1] for name in files}
    subjects = {name: name.split("/")[0] for name in files}
    return FolderPictures(source.root, "", files, sides, subjects, spectrum), len(labels) - len(files)


def _name(labels: Labels | Failure, pattern: re.Pattern[str] | None) -> str | None:
    """``subject/side/sample``: from the columns, or what the columns lack from the file's name."""
    subject, side, sample = labels.subject, labels.side, labels.sample
    match = pattern.fullmatch(photo_of(labels) or "") if pattern is not None else None
    if match is not None:
        subject, sample = match["subject"], match["sample"]
        side = EYES.get(match["eye"], side)
    if subject is None or side is None or sample is None or "/" in subject + sample:
        return None
    return f"{subject}/{side}/{int(sample) if sample.isdecimal() else sample}"


def _names(pictures: FolderPictures | SourcePictures) -> list[str]:
    if isinstance(pictures, FolderPictures):
        return list(pictures.files)
    names = [*pictures.rows, *pictures.failures]
    if not names:
        raise InputError(
            f"{pictures.source.path}: no row says subject, side and sample; name the columns in options.columns"
        )
    return names


def _natural(name: str) -> tuple[str, str, int, str]:
    subject, side, sample = name.split("/")
    return subject, side, int(sample) if sample.isdecimal() else -1, sample


def _pattern(text: str) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(f"options.pattern is {text!r}: no regular expression ({error})") from error
    if set(pattern.groupindex) != {"subject", "eye", "sample"}:
        raise ConfigError(f"options.pattern is {text!r}: must have the groups subject, eye and sample")
    return pattern


def _people(fold: Any, part: str, name: str) -> frozenset[str] | None:
    """The people in one part of a fold."""
    where = f"options.folds.{name}"
    if not isinstance(fold, Mapping):
        raise ConfigError(f"{where} is {fold!r}: must have test, and may have training")
    if fold.get(part) is None:
        return None
    people = listed_subjects(fold[part], f"{where}.{part}")
    if not people:
        raise ConfigError(f"{where}.{part} names nobody")
    return people
