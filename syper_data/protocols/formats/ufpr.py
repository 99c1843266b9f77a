"""UFPR-Periocular's lists (Zanlorensi et al., Scientific Reports 2022), as the published loader reads them.

``experimentalProtocol/PROTOCOL/{train,val,test}_foldK.txt`` hold ``IMAGE CLASS`` lines,
``.../test_pairs/foldK/pairs.txt`` ``IMAGE IMAGE 0|1``; the images lie in ``periocularCropped/``. A name such as
``C7S3I1L.jpg`` says whose eye it is: the person is what stands before the first ``S``, ``L`` or ``R`` before
the ending the person's own left or right eye (``L`` is ``image_right``).

Options: ``protocol`` (the folder of the protocol), ``open`` (true: nobody of the test is in train or val, or
the notes say so), ``repeated``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from syper_data.errors import InputError
from syper_data.protocols.image_places import image_pictures
from syper_data.protocols.lists import (
    LABELS,
    check_name,
    checked_comparisons,
    coded,
    line_places,
    option,
    read_lines,
    repeated_option,
)
from syper_data.protocols.protocol import Bools, Fold, Rows
from syper_data.protocols.reading import Reading, Request

LISTS, IMAGES = "experimentalProtocol", "periocularCropped"
EYES = {"L": "image_right", "R": "image_left"}


def read(request: Request) -> Reading:
    """The wanted folds of one protocol."""
    options = request.descriptor.options
    folder = request.root / LISTS / option(options, "protocol", "", str)
    repeated = repeated_option(options)
    folds, notes, lists = [], [], []
    sides: dict[str, str] = {}
    subjects: dict[str, str] = {}
    for name in request.folds:
        pairs = folder / "test_pairs" / f"fold{name}" / "pairs.txt"
        train, val, test = (folder / f"{part}_fold{name}.txt" for part in ("train", "val", "test"))
        classes = _read_classes(test)
        known = frozenset(subject_of(n, str(p)) for p in (train, val) for n in _read_classes(p))
        fold, remarks = _fold(name, classes, pairs, known, request.merged, repeated)
        both = known & set(fold.subject_names)
        if option(options, "open", False, bool) and both:
            remarks.append(f"{len(both)} people of the test are in train or val too, {min(both)} among them")
        folds.append(fold)
        notes += [f"fold {name}: {remark}" for remark in remarks]
        lists += [train, val, test, pairs]
        sides |= {image: eye_of(image, str(test)) for image in fold.images}
        subjects |= dict(zip(fold.images, (fold.subject_names[s] for s in fold.subject), strict=True))
    pictures = image_pictures(request, (IMAGES,), sides=sides, subjects=subjects)
    return Reading(tuple(folds), pictures, tuple(lists), tuple(notes))


def subject_of(image: str, place: str) -> str:
    """The person's id: what stands in the file's name before the first ``S``."""
    subject, separator, _ = image.rpartition("/")[2].partition("S")
    if not subject or not separator:
        raise InputError(f"{place}: {image[:80]!a} names no person; it must look like C1S1I1L.jpg")
    return subject


def eye_of(image: str, place: str) -> str:
    """The side that the letter before the ending says."""
    letter = image.rpartition(".")[0][-1:]
    if letter not in EYES:
        raise InputError(f"{place}: {image[:80]!a} says no eye; it must look like C1S1I1L.jpg")
    return EYES[letter]


def _read_classes(path: Path) -> dict[str, str]:
    """Image to class; each image once, and one class for each eye."""
    classes: dict[str, str] = {}
    eyes: dict[tuple[str, str], str] = {}
    for number, values in read_lines(path):
        place = f"{path}, line {number}"
        if len(values) != 2:
            raise InputError(f"{place}: {len(values)} values; must be an image and its class")
        image, label = check_name(values[0], place), values[1]
        if image in classes:
            raise InputError(f"{place}: {image} is listed already")
        eye = subject_of(image, place), eye_of(image, place)
        if eyes.setdefault(eye, label) != label:
            raise InputError(f"{place}: class {label[:40]!a}, but another image of this eye has {eyes[eye]!a}")
        classes[image] = label
    if len(set(eyes.values())) != len(eyes):
        raise InputError(f"{path}: two eyes have one class")
    if not classes:
        raise InputError(f"{path}: lists no image")
    return classes


def _fold(
    name: str, classes: dict[str, str], pairs: Path, training: frozenset[str], merged: bool, repeated: str
) -> tuple[Fold, list[str]]:
    images = sorted(classes)
    row = {image: i for i, image in enumerate(images)}
    identity, _ = coded([classes[image] for image in images])
    subject, subject_names = coded([subject_of(image, str(pairs)) for image in images])
    numbers, a, b, mated = _read_pairs(pairs, row, f"the test list of fold {name}")
    place = line_places(pairs, numbers)
    listed, again = checked_comparisons(place, images, a, b, mated, repeated)
    wrong = np.flatnonzero(mated != (identity[a] == identity[b]))
    if len(wrong):
        first = int(wrong[0])
        said = "1, but these are two eyes" if mated[first] else "0, but this is one eye"
        raise InputError(f"{place(first)}: the label is {said}")
    own = ~mated & (subject[a] == subject[b])
    remarks = [f"{again} comparisons are listed again"] if again else []
    if merged:
        keep = ~own
        listed = replace(listed, probe=a[keep], reference=b[keep], mated=mated[keep])
        identity = subject
    if own.any():
        what = "dropped" if merged else "kept, as published"
        remarks.append(f"{int(own.sum())} non-mated comparisons are of one person's two eyes: {what}")
    fold = Fold(name, tuple(images), identity, subject, subject_names, listed, training=training)
    return fold, remarks


def _read_pairs(path: Path, row: dict[str, int], known: str) -> tuple[list[int], Rows, Rows, Bools]:
    """Line numbers, rows of the probes and of the references, and labels."""
    numbers, probe, reference, labels = [], [], [], []
    for number, values in read_lines(path):
        try:
            left, right, label = values
            probe.append(row[left])
            reference.append(row[right])
            labels.append(LABELS[label])
        except (KeyError, ValueError):
            raise _pair_fault(values, row, known, f"{path}, line {number}") from None
        numbers.append(number)
    if not numbers:
        raise InputError(f"{path}: lists no comparison")
    return numbers, np.array(probe), np.array(reference), np.array(labels)


def _pair_fault(values: list[str], row: dict[str, int], known: str, place: str) -> InputError:
    if len(values) != 3:
        return InputError(f"{place}: {len(values)} values; must be two images and 0 or 1")
    for image in values[:2]:
        if image not in row:
            check_name(image, place)
            return InputError(f"{place}: {image[:80]!a} is not in {known}")
    return InputError(f"{place}: the label is {values[2][:40]!a}: must be 0 or 1")
