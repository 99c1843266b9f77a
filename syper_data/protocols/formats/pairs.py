"""Pair lists of one's own: CSV or Parquet with the columns ``probe, reference, mated``.

A name is a path below the images' folder, or, where ``--images`` is a table, what ``key`` makes of a row. With
``probe_subject`` and ``reference_subject`` the people are known; without them they are what mated pairs join,
and a non-mated pair of joined images is refused as a contradiction.

A folder ``image_left`` or ``image_right`` in a path says the side.

Options: ``file`` (the list's name below ``--root``), ``columns`` (our names to the list's), ``key`` (fields that
make up an image's name in a table; default its file name), ``image_columns`` (our names to the table's),
``repeated``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from syper_data.errors import InputError
from syper_data.imaging.source import SIDES, ImageSource
from syper_data.protocols.image_places import holds_table
from syper_data.protocols.list_table import ListTable, read_list_table
from syper_data.protocols.lists import checked_comparisons, components, option, repeated_option
from syper_data.protocols.pictures import FolderPictures, SourcePictures
from syper_data.protocols.protocol import Bools, Fold, Rows
from syper_data.protocols.reading import Reading, Request

NAMES = ("pairs.csv", "pairs.parquet")
SUBJECTS = ("probe_subject", "reference_subject")


def read(request: Request) -> Reading:
    """One fold of all listed pairs."""
    options = request.descriptor.options
    path = _list_of(request.root, option(options, "file", "", str))
    table = read_list_table(
        path, ("probe", "reference", "mated"), SUBJECTS, columns=option(options, "columns", {}, Mapping)
    )
    in_files = request.images is None or not holds_table(request.images)
    (probe, reference), names = table.numbered("probe", "reference", paths=in_files)
    pictures = _pictures(request, path.parent, names)
    mated = table.truth("mated")
    listed, again = checked_comparisons(table.place, names, probe, reference, mated, repeated_option(options))
    notes = [f"{again} comparisons are listed again"] if again else []
    named = all(name in table for name in SUBJECTS)
    if named:
        subject, subject_names = _subjects(table, probe, reference, mated, names)
        identity = _eyes(subject, probe, reference, mated, table)
        own = int((~mated & (subject[probe] == subject[reference])).sum())
        notes += [f"{own} non-mated comparisons are of one person: kept, as listed"] if own else []
    else:
        identity = components(len(names), probe[mated], reference[mated])
        _refuse_contradiction(table, identity, probe, reference, mated)
        subject, subject_names = identity, tuple(f"person-{k}" for k in range(int(identity.max()) + 1))
        notes.append("the list names nobody: people are what mated pairs join")
    fold = Fold(request.folds[0], tuple(names), identity, subject, subject_names, listed, named=named)
    return Reading((fold,), pictures, (path,), tuple(notes))


def _list_of(root: Path, name: str) -> Path:
    if root.is_file():
        return root
    tried = (name,) if name else NAMES
    found = next((root / n for n in tried if (root / n).is_file()), None)
    if found is None:
        raise InputError(f"{root}: no list of pairs; it must be named {' or '.join(tried)}")
    return found


def _pictures(request: Request, folder: Path, names: list[str]) -> FolderPictures | SourcePictures:
    options = request.descriptor.options
    place = request.images if request.images is not None else folder
    if request.images is None or not holds_table(place):
        sides = {name: part for name in names for part in name.split("/")[:-1] if part in SIDES}
        return FolderPictures(place, sides=sides, spectrum=request.descriptor.spectrum)
    source = ImageSource.open(place, option(options, "image_columns", {}, Mapping))
    return SourcePictures.of(source, option(options, "key", ["name"], list))


def _subjects(
    table: ListTable, probe: Rows, reference: Rows, mated: Bools, names: list[str]
) -> tuple[Rows, tuple[str, ...]]:
    """Each image's person, after checking that it is the same in every row and fits the labels."""
    (left, right), people = table.numbered(*SUBJECTS)
    subject = np.full(len(names), -1, np.int64)
    for rows, codes in ((probe, left), (reference, right)):
        subject[rows] = codes
    for rows, codes in ((probe, left), (reference, right)):
        wrong = np.flatnonzero(subject[rows] != codes)
        if len(wrong):
            row = int(wrong[0])
            raise InputError(f"{table.place(row)}: {names[rows[row]]} is another person's in another row")
    wrong = np.flatnonzero(mated & (left != right))
    if len(wrong):
        raise InputError(f"{table.place(int(wrong[0]))}: the wrong label: mated, but of two people")
    return subject, tuple(people)


def _eyes(subject: Rows, probe: Rows, reference: Rows, mated: Bools, table: ListTable) -> Rows:
    """Identities: the person, or, where the list has non-mated pairs of one person, what mated pairs join."""
    own = ~mated & (subject[probe] == subject[reference])
    if not own.any():
        return subject
    identity = components(len(subject), probe[mated], reference[mated])
    _refuse_contradiction(table, identity, probe, reference, mated)
    return identity


def _refuse_contradiction(table: ListTable, identity: Rows, probe: Rows, reference: Rows, mated: Bools) -> None:
    wrong = np.flatnonzero(~mated & (identity[probe] == identity[reference]))
    if len(wrong):
        raise InputError(
            f"{table.place(int(wrong[0]))}: the wrong label: non-mated, but mated pairs of the list join them"
        )
