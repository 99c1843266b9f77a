"""CFP, Celebrities in Frontal-Profile (Sengupta et al., WACV 2016), as its readme lays it out.

``Protocol/Pair_list_F.txt`` and ``Pair_list_P.txt`` number the frontal and the profile images:
``1 ../Data/Images/001/frontal/01.jpg``. ``Protocol/Split/FF|FP/01..10/{same,diff}.txt`` hold ``i,j`` lines: both
numbers of frontal images (FF), or the first of a frontal and the second of a profile one (FP). The ten splits
are the parts of one fold.

Options: ``split`` (``FF`` or ``FP``), ``repeated``.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

import numpy as np

from syper_data.errors import ConfigError, InputError
from syper_data.protocols.image_places import image_pictures
from syper_data.protocols.lists import check_name, checked_comparisons, coded, option, read_lines, repeated_option
from syper_data.protocols.protocol import Fold
from syper_data.protocols.reading import Reading, Request

SPLITS = tuple(f"{number:02d}" for number in range(1, 11))


def read(request: Request) -> Reading:
    """One fold; its ten parts are the published splits."""
    options = request.descriptor.options
    kind = option(options, "split", "FF", str)
    if kind not in ("FF", "FP"):
        raise ConfigError(f"options.split is {kind!r}: must be FF or FP")
    protocol = request.root / "Protocol"
    lists = [protocol / "Pair_list_F.txt"] + ([protocol / "Pair_list_P.txt"] if kind == "FP" else [])
    numbered = [_numbered(path) for path in lists]
    names = sorted({name for part in numbered for name in part.values()})
    row = {name: i for i, name in enumerate(names)}
    rows: list[tuple[int, int]] = []
    places, mated, parts = [], [], []
    for split in SPLITS:
        start = len(rows)
        for file, same in (("same.txt", True), ("diff.txt", False)):
            path = protocol / "Split" / kind / split / file
            lists.append(path)
            for line, left, right in _pairs(path):
                place = f"{path}, line {line}"
                rows.append((row[_image(numbered[0], left, place)], row[_image(numbered[-1], right, place)]))
                places.append(place)
                mated.append(same)
        parts.append(np.arange(start, len(rows)))
    a, b = np.array(rows, np.int64).T
    people = [name.split("/")[-3] for name in names]
    identity, subject_names = coded(people)
    labels = np.array(mated)
    wrong = np.flatnonzero(labels != (identity[a] == identity[b]))
    if len(wrong):
        raise InputError(f"{places[wrong[0]]}: the wrong label: {names[a[wrong[0]]]} and {names[b[wrong[0]]]}")
    listed, again = checked_comparisons(places.__getitem__, names, a, b, labels, repeated_option(options))
    fold = Fold(request.folds[0], tuple(names), identity, identity, subject_names, listed, parts=tuple(parts))
    subjects = dict(zip(names, people, strict=True))
    notes = (f"{again} comparisons are listed again",) if again else ()
    return Reading((fold,), image_pictures(request, (), subjects=subjects), tuple(lists), notes)


def _numbered(path: Path) -> dict[int, str]:
    """Number to the image's path below the root."""
    found: dict[int, str] = {}
    for number, values in read_lines(path):
        place = f"{path}, line {number}"
        if len(values) != 2 or not values[0].isdecimal():
            raise InputError(f"{place}: must be a number and a path")
        name = posixpath.normpath(posixpath.join("Protocol", values[1].replace("\\", "/")))
        check_name(name, place)
        if len(name.split("/")) < 3:
            raise InputError(f"{place}: {name[:80]!a} names no person; it must end with 001/frontal/01.jpg")
        if int(values[0]) in found:
            raise InputError(f"{place}: number {values[0]} is listed already")
        found[int(values[0])] = name
    return found


def _pairs(path: Path) -> list[tuple[int, str, str]]:
    found = []
    for number, values in read_lines(path):
        parts = ",".join(values).replace(",,", ",").split(",")
        if len(parts) != 2:
            raise InputError(f"{path}, line {number}: must be two numbers with a comma between them")
        found.append((number, parts[0], parts[1]))
    if not found:
        raise InputError(f"{path}: lists no pair")
    return found


def _image(numbered: dict[int, str], text: str, place: str) -> str:
    if not text.isdecimal() or int(text) not in numbered:
        raise InputError(f"{place}: {text[:40]!a} is no number of an image")
    return numbered[int(text)]
