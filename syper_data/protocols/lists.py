"""Lists as text: lines, names to codes, and the checks that every list of comparisons goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.errors import ConfigError, InputError
from syper_data.protocols.pictures import name_fault
from syper_data.protocols.protocol import Bools, ListedComparisons, Rows

REPEATED = ("refuse", "keep")
LABELS = {"0": False, "1": True, "false": False, "true": True, "False": False, "True": True}

_KINDS = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    Mapping: "a mapping",
}

Place = Callable[[int], str]  # where a comparison stands: number in the list -> "FILE, line 7"


def read_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each line's number and its fields, separated by white space; blank lines are skipped.

    Windows line ends, a byte order mark and a missing newline at the end are accepted.

    Raises:
        InputError: no such file, or no text in UTF-8.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if "\0" in line:
                    raise InputError(f"{path}, line {number}: not a text file")
                values = line.split()
                if values:
                    yield number, values
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, after line {number}: not text in UTF-8") from error


def line_places(path: Path, numbers: Sequence[int]) -> Place:
    """The place of the comparison that came i-th, by its line's number."""
    return lambda i: f"{path}, line {numbers[i]}"


def label_of(text: str, place: str) -> bool:
    """``0`` or ``1`` (or ``false``, ``true``) as a boolean."""
    if text not in LABELS:
        raise InputError(f"{place}: the label is {text[:40]!a}: must be 0 or 1")
    return LABELS[text]


def check_name(name: str, place: str) -> str:
    """``name`` if it is a relative path that stays where it is looked up."""
    fault = name_fault(name)
    if fault:
        raise InputError(f"{place}: {fault}")
    return name


def option(options: Mapping[str, Any], name: str, default: Any, kind: type) -> Any:
    """A setting of a descriptor's ``options``, of the right kind (one of those in ``_KINDS``).

    Raises:
        ConfigError: it is of another.
    """
    value = options.get(name, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise ConfigError(f"options.{name} is {value!r}: must be {_KINDS[kind]}")
    return value


def repeated_option(options: Any) -> str:
    """``options.repeated``: are comparisons that stand twice in a list refused or kept?"""
    value = option(options, "repeated", "refuse", str)
    if value not in REPEATED:
        raise ConfigError(f"options.repeated is {value!r}: must be {' or '.join(REPEATED)}")
    return str(value)


def coded(labels: Sequence[str]) -> tuple[Rows, tuple[str, ...]]:
    """Labels to codes 0..k - 1 in alphabetical order, and the names of the codes."""
    names = tuple(sorted(set(labels)))
    code = {name: i for i, name in enumerate(names)}
    return np.fromiter((code[label] for label in labels), np.int64, len(labels)), names


def components(n: int, a: Rows, b: Rows) -> Rows:
    """Codes of the connected components of ``n`` points joined by the pairs (a, b)."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for i, j in zip(a.tolist(), b.tolist(), strict=True):
        x, y = root(i), root(j)
        parent[max(x, y)] = min(x, y)
    return np.unique([root(i) for i in range(n)], return_inverse=True)[1].astype(np.int64)


def checked_comparisons(
    place: Place, names: Sequence[str], probe: Rows, reference: Rows, mated: Bools, repeated: str = "refuse"
) -> tuple[ListedComparisons, int]:
    """The comparisons, and how many of them repeat an earlier one.

    Raises:
        InputError: an image with itself; the same two images again, in whatever order, unless ``repeated`` is
            ``keep``, and with the other label in any case.
    """
    file = place(0).rpartition(", ")[0] if len(probe) else ""
    same = np.flatnonzero(probe == reference)
    if len(same):
        raise InputError(f"{place(int(same[0]))}: {names[probe[same[0]]]} is compared with itself")
    both = np.minimum(probe, reference) * np.int64(len(names)) + np.maximum(probe, reference)
    ordered = np.sort(both)
    if not (ordered[1:] == ordered[:-1]).any():
        return ListedComparisons(probe, reference, mated, file), 0
    order = np.argsort(both, kind="stable")  # later lines come later
    again = both[order][1:] == both[order][:-1]
    later, earlier = order[1:][again], order[:-1][again]
    other = mated[later] != mated[earlier]
    wrong = later[other] if other.any() else later if repeated == "refuse" else later[:0]
    if len(wrong):
        first = int(wrong.min())
        before = int(earlier[later == first][0])
        said = f"{place(first)}: the same two images as in {place(before).rpartition(', ')[2]}"
        if other.any():
            raise InputError(f"{said}, with another label")
        raise InputError(f"{said}; 'repeated: keep' among a descriptor's options counts them twice")
    return ListedComparisons(probe, reference, mated, file), len(later)
