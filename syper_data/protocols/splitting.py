"""Who is trained on and who is tested, per fold: by digests of the names, never by the order of rows.

Kinds, as UFPR-Periocular has them (Zanlorensi et al. 2022): ``closed_world``, the same people in training and
test on disjoint images; ``open_world``, other people in the test, validation on further images of the
training people (closed validation); ``open_world_valopen``, validation on people of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from syper_data.errors import InputError, SyperError, UsageError
from syper_data.protocols.table import FOLD_NAME, TEST, TESTED, TRAIN, UNUSED, VAL, ImageTable

KINDS = ("closed_world", "open_world", "open_world_valopen")
PARTS_OF_ONE_FOLD = 3  # a single fold tests a third


@dataclass(frozen=True)
class SplitFold:
    """One fold given by name: subjects to test, to train on (None: all others), to validate on, and those of
    the tested who are not enrolled."""

    test: frozenset[str]
    train: frozenset[str] | None = None
    val: frozenset[str] = frozenset()
    unenrolled: frozenset[str] = frozenset()


def shuffled(names: Iterable[str], *seed: object) -> list[str]:
    """The names in an order that depends on them and the seed alone: that of their SHA-256."""
    prefix = "/".join(str(part) for part in seed)
    return sorted(set(names), key=lambda n: (hashlib.sha256(f"{prefix}/{n}".encode()).digest(), n))


def parts_of(subjects: Iterable[str], parts: int, seed: int) -> list[frozenset[str]]:
    """The subjects dealt to ``parts`` parts whose sizes differ by one at most."""
    order = shuffled(subjects, seed, "parts")
    return [frozenset(order[i::parts]) for i in range(parts)]


def share_of(names: Iterable[str], share: float, *seed: object) -> frozenset[str]:
    """``share`` of the names, rounded, but neither none nor all where 0 < share < 1 and there are two."""
    order = shuffled(names, *seed)
    if not share or len(order) < 2:
        return frozenset()
    return frozenset(order[: min(len(order) - 1, max(1, round(share * len(order))))])


def open_roles(
    table: ImageTable, kind: str, fold: str, test: frozenset[str], *, seed: int, validation: float
) -> tuple[str, ...]:
    """A role per image: ``test`` for the tested subjects, train or val for the others."""
    others = frozenset(table.subject) - test
    if kind == "open_world_valopen":
        val = share_of(others, validation, seed, fold, "validation")
        return tuple(TEST if s in test else VAL if s in val else TRAIN for s in table.subject)
    roles = [TEST if s in test else TRAIN for s in table.subject]
    for _, rows in sorted(_by_identity(table).items()):
        if table.subject[rows[0]] not in test:
            for row in _some(table, rows, validation, seed, fold):
                roles[row] = VAL
    return tuple(roles)


def closed_roles(
    table: ImageTable, part: int, parts: int, fold: str, *, seed: int, validation: float
) -> tuple[str, ...]:
    """A role per image: of each eye one part of its images is tested, of the rest a share validates.
    An eye with one image has no role: it can't be trained on and tested."""
    roles = [UNUSED] * len(table)
    for identity, rows in _by_identity(table).items():
        if len(rows) < 2:
            continue
        by_name = {table.name[i]: i for i in rows}
        order = [by_name[name] for name in shuffled(by_name, seed, "images")]
        first = hashlib.sha256(f"{seed}/first/{identity}".encode()).digest()[0]  # else fold 1 gets most images
        for place, row in enumerate(order, first):
            roles[row] = TEST if place % parts == part else TRAIN
        rest = [row for row in rows if roles[row] == TRAIN]
        for row in _some(table, rest, validation, seed, fold):
            roles[row] = VAL
    return tuple(roles)


def split_roles(table: ImageTable, fold: str, split: SplitFold, where: str) -> tuple[str, ...]:
    """A role per image from the lists of a split file; who is in none of them has no role.

    Raises:
        InputError: a subject is not in the source, or in two of the lists.
    """
    known = frozenset(table.subject)
    train = known - split.test - split.val if split.train is None else split.train
    lists = {"test": split.test, "train": train, "val": split.val}
    for name, subjects in (*lists.items(), ("unenrolled", split.unenrolled)):
        if subjects - known:
            raise InputError(f"{where}, fold {fold}, {name}: {min(subjects - known)!r} is not in the source")
    for a, b in (("test", "train"), ("test", "val"), ("train", "val")):
        if lists[a] & lists[b]:
            raise InputError(f"{where}, fold {fold}: {min(lists[a] & lists[b])!r} is in {a} and in {b}")
    if split.unenrolled - split.test:
        raise InputError(f"{where}, fold {fold}: {min(split.unenrolled - split.test)!r} is not tested")
    return tuple(
        TEST if s in split.test else VAL if s in split.val else TRAIN if s in train else UNUSED
        for s in table.subject
    )


def read_split(path: str | Path) -> dict[str, SplitFold]:
    """A split file: YAML, fold name -> ``test``, ``train``, ``val``, ``unenrolled``, lists of subject ids.
    ``061-100`` stands for all whole numbers between, with as many digits.

    Raises:
        InputError: unreadable, not of this form, or a fold that tests nobody.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path}: not a YAML file: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: must map fold names to lists of subjects")
    folds: dict[str, SplitFold] = {}
    for name, lists in content.items():
        where = f"{path}, fold {name}"
        if not re.fullmatch(FOLD_NAME, str(name)):
            raise InputError(f"{where}: a fold's name is of letters, digits, dots, dashes and underscores")
        if not isinstance(lists, dict) or not lists.get("test"):
            raise InputError(f"{where}: must name the subjects to test")
        unknown = set(lists) - {"test", "train", "val", "unenrolled"}
        if unknown:
            raise InputError(f"{where}: unknown list {min(map(str, unknown))!r}")
        read = {key: listed_subjects(values, f"{where}, {key}") for key, values in lists.items()}
        folds[str(name)] = SplitFold(**read)
    return folds


def prove(table: ImageTable, kind: str) -> dict[str, bool | int]:
    """Check the roles themselves, whoever gave them, and return what was found.

    Raises:
        SyperError: a person is tested and trained on in an open world; validated and trained on with
            open validation; or tested but not trained on in a closed world.
    """
    times: dict[str, int] = defaultdict(int)
    for fold in table.roles:
        test, train, val = (table.subjects(fold, *r) for r in (TESTED, (TRAIN,), (VAL,)))
        for subject in test:
            times[subject] += 1
        if kind == "closed_world":
            wrong, what = test - train, "is tested but not trained on in a closed world"
        else:
            wrong, what = test & (train | val), "is tested and trained on in an open world"
        if kind == "open_world_valopen" and not wrong:
            wrong, what = train & val, "is validated and trained on with open validation"
        if wrong:
            raise SyperError(f"fold {fold}: subject {min(wrong)!r} {what}")
    return {
        "subject_disjoint": kind != "closed_world",
        "validation_subject_disjoint": kind == "open_world_valopen",
        "subjects_tested": len(times),
        "subjects_tested_more_than_once": sum(n > 1 for n in times.values()),
        "subjects_never_tested": len(set(table.subject) - set(times)),
    }


def check_folds(folds: int, kind: str, subjects: int) -> int:
    """The number of parts for ``folds`` folds.

    Raises:
        UsageError: none, or more than there are subjects.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 1:
        raise UsageError(f"--folds is {folds}: must be at least 1")
    parts = PARTS_OF_ONE_FOLD if folds == 1 else folds
    if kind != "closed_world" and parts > subjects:
        raise UsageError(f"--folds is {folds}: {parts} parts of {subjects} subjects would leave a fold empty")
    return parts


def _some(table: ImageTable, rows: Sequence[int], share: float, seed: int, fold: str) -> list[int]:
    by_name = {table.name[i]: i for i in rows}
    return [by_name[name] for name in share_of(by_name, share, seed, fold, "validation")]


def _by_identity(table: ImageTable) -> Mapping[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, identity in enumerate(table.identity):
        rows[identity].append(row)
    return rows


def listed_subjects(values: object, where: str) -> frozenset[str]:
    """Subject ids; ``061-100`` stands for all whole numbers between, with as many digits.

    Raises:
        InputError: no list of texts, or a range that runs backwards or is too long.
    """
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise InputError(f"{where}: must be a list of subject ids in quotes")
    found: set[str] = set()
    for value in values:
        ends = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", value)
        if ends and len(ends[1]) == len(ends[2]):
            first, last = int(ends[1]), int(ends[2])
            if last < first or last - first >= 1_000_000:
                raise InputError(f"{where}: the range {value} runs backwards or is too long")
            found.update(f"{n:0{len(ends[1])}d}" for n in range(first, last + 1))
        else:
            found.add(value)
    return frozenset(found)
