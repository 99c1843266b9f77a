"""LFW's pair lists (Huang et al., 2007): View 2 (``10 300``: ten parts of 300 mated and 300 non-mated pairs) and
View 1 (``pairsDevTest.txt``, which begins with one number: that many mated, then as many non-mated pairs).

Options: ``pairs`` (names that the list may have), ``folders`` (names that the folder of the photos may have),
``repeated``, ``columns``.
"""

from __future__ import annotations

import numpy as np

from syper_data.errors import InputError
from syper_data.protocols.lists import option, repeated_option
from syper_data.protocols.named_pairs import NamedPairs, equal_parts, named_fold, read_named_pairs
from syper_data.protocols.protocol import Rows
from syper_data.protocols.reading import Reading, Request

_LISTS = ["pairs.txt"]
_FOLDERS = ["lfw", "lfw-deepfunneled", "lfw_funneled"]


def read(request: Request) -> Reading:
    """One fold of all listed pairs; View 2's ten parts are its ``parts``."""
    options = request.descriptor.options
    listed = option(options, "pairs", _LISTS, list)
    folder = request.root if request.root.is_dir() else request.root.parent
    path = next((folder / name for name in listed if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"{folder}: no list of pairs; it must be named {' or '.join(map(str, listed))}")
    pairs = read_named_pairs(path, repeated_option(options))
    folders = option(options, "folders", _FOLDERS, list)
    fold, pictures, notes = named_fold(request, pairs, request.folds[0], _parts(pairs), folders)
    return Reading((fold,), pictures, (path,), notes)


def _parts(pairs: NamedPairs) -> tuple[Rows, ...] | None:
    """View 2's parts, after checking that the list is as long, and its labels lie, as its first line says."""
    if not pairs.header:
        return None
    sets, each = pairs.header if len(pairs.header) == 2 else (1, pairs.header[0])
    said = 2 * sets * each
    if said != len(pairs.listed.mated) or not said:
        raise InputError(f"{pairs.path}: its first line promises {said} pairs, it holds {len(pairs.listed.mated)}")
    expected = np.tile(np.repeat([True, False], each), sets)
    wrong = np.flatnonzero(pairs.listed.mated != expected)
    if len(wrong):
        row = int(wrong[0])
        kind = "one person" if expected[row] else "two people"
        raise InputError(f"{pairs.path}, pair {row + 1}: the wrong label: here a pair of {kind} is due")
    return equal_parts(pairs.listed.mated, sets) if len(pairs.header) == 2 else None
