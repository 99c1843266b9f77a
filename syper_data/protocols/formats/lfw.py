"""LFW's pair lists (Huang et al., 2007): View 2 (``10 300``: ten parts of 300 mated and 300 non-mated pairs) and
View 1 (``pairsDevTest.txt``, which begins with one number: that many mated, then as many non-mated pairs).

Options: ``pairs`` (names that the list may have), ``folders`` (names that the folder of the photos may have),
``parts`` (fold to the parts of View 2 that it takes, counted from 1; without it the one fold takes all),
``repeated``, ``columns``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from syper_data.errors import ConfigError, InputError
from syper_data.protocols.lists import option, repeated_option
from syper_data.protocols.named_pairs import NamedPairs, equal_parts, named_fold, read_named_pairs
from syper_data.protocols.protocol import Rows
from syper_data.protocols.reading import Reading, Request

_LISTS = ["pairs.txt"]
_FOLDERS = ["lfw", "lfw-deepfunneled", "lfw_funneled"]


def read(request: Request) -> Reading:
    """The wanted folds: all listed pairs, or the parts that ``options.parts`` gives each."""
    options = request.descriptor.options
    listed = option(options, "pairs", _LISTS, list)
    folder = request.root if request.root.is_dir() else request.root.parent
    path = next((folder / name for name in listed if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"{folder}: no list of pairs; it must be named {' or '.join(map(str, listed))}")
    pairs = read_named_pairs(path, repeated_option(options))
    parts = _parts(pairs)
    folders = option(options, "folders", _FOLDERS, list)
    folds, notes = [], []
    for name in request.folds:
        chosen, own = _chosen(pairs, parts, option(options, "parts", {}, Mapping).get(name), name)
        fold, pictures, remarks = named_fold(request, chosen, name, own, folders)
        folds.append(fold)
        notes += [remark for remark in remarks if remark not in notes]
    everybody = named_fold(request, pairs, "all", None, folders)[1] if len(folds) > 1 else pictures
    return Reading(tuple(folds), everybody, (path,), tuple(notes))


def _chosen(
    pairs: NamedPairs, parts: tuple[Rows, ...] | None, numbers: object, fold: str
) -> tuple[NamedPairs, tuple[Rows, ...] | None]:
    """The pairs of a fold, and its parts among them; all for ``numbers`` None, else parts counted from 1."""
    if numbers is None:
        return pairs, parts
    if parts is None or not isinstance(numbers, list) or not numbers:
        raise ConfigError(f"options.parts.{fold} is {numbers!r}: must list parts of a list that has some")
    wrong = [n for n in numbers if type(n) is not int or not 1 <= n <= len(parts)]
    if wrong or len(set(numbers)) != len(numbers):
        raise ConfigError(f"options.parts.{fold} is {numbers}: {pairs.path} has the parts 1 to {len(parts)}")
    taken = [parts[n - 1] for n in numbers]
    ends = np.cumsum([0, *map(len, taken)])
    own = tuple(np.arange(a, b) for a, b in pairwise(ends.tolist()))
    return pairs.only(np.concatenate(taken)), own


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
