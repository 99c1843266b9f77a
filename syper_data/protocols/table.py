"""The images of a made protocol with their labels and, per fold, what each is there for.

``fold_of`` turns one fold of it into a :class:`Fold`; making a protocol and reading it back use the same
function, so both compare the same images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.protocols.protocol import (
    BLOCK,
    AllComparisons,
    Bools,
    Fold,
    Identification,
    ListedComparisons,
    Rows,
)

TRAIN, VAL, TEST, GALLERY, PROBE, UNUSED = "train", "val", "test", "gallery", "probe", ""
ROLES = (TRAIN, VAL, TEST, GALLERY, PROBE, UNUSED)
TESTED = (TEST, GALLERY, PROBE)  # compared with each other; gallery and probe also say who is enrolled

ACROSS = {"spectrum": ("vis", "nir"), "side": ("image_left", "image_right"), "masked": ("masked", "unmasked")}
FOLD_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"  # it becomes part of file names
MOST_LISTED = 50_000_000  # comparisons held in memory as a list

Blocks = Iterator[tuple[Rows, Rows, Bools]]


@dataclass(frozen=True)
class ImageTable:
    """Parallel columns, one row an image, in the order of subject, side, sample; ``roles`` per fold."""

    name: tuple[str, ...]
    subject: tuple[str, ...]
    identity: tuple[str, ...]
    side: tuple[str | None, ...]
    spectrum: tuple[str | None, ...]
    sample: tuple[str | None, ...]
    source_id: tuple[str | None, ...]
    masked: tuple[str | None, ...]  # masked | unmasked
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.name)

    def rows(self, fold: str, *roles: str) -> list[int]:
        """The rows with one of these roles, in order."""
        return [i for i, role in enumerate(self.roles[fold]) if role in roles]

    def subjects(self, fold: str, *roles: str) -> frozenset[str]:
        """Who is on the images with one of these roles."""
        return frozenset(self.subject[i] for i in self.rows(fold, *roles))


@dataclass(frozen=True)
class Rule:
    """Which tested images are compared: all pairs, or a list.

    ``same_side``: only left with left and right with right. ``across``: a column; probes have the value
    ``probe`` in it, references another (None: any two images). ``listed``: the pairs stand in a file.
    """

    same_side: bool = True
    across: str | None = None
    probe: str | None = None
    listed: bool = False

    def __post_init__(self) -> None:
        if self.across is not None and self.across not in ACROSS:
            raise UsageError(f"--across is {self.across!r}: must be {', '.join(ACROSS)}")
        if self.across is None and self.probe is not None:
            raise UsageError("--probe belongs to --across: without it any two images are compared")
        if self.across is not None and self.probe not in ACROSS[self.across]:
            raise UsageError(f"--probe is {self.probe!r}: must be {' or '.join(ACROSS[self.across])}")
        if self.across == "side" and self.same_side:
            raise UsageError("--across side compares left with right: same_side must be false")

    def record(self) -> dict[str, Any]:
        """As the descriptor holds it."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: object, where: str) -> Rule:
        """Back from the descriptor.

        Raises:
            InputError: not what :meth:`record` gives.
        """
        if not isinstance(record, dict) or set(record) != {"same_side", "across", "probe", "listed"}:
            raise InputError(f"{where}: comparisons must have same_side, across, probe and listed")
        if not isinstance(record["same_side"], bool) or not isinstance(record["listed"], bool):
            raise InputError(f"{where}: comparisons: same_side and listed must be true or false")
        if not all(value is None or isinstance(value, str) for value in (record["across"], record["probe"])):
            raise InputError(f"{where}: comparisons: across and probe must be text or null")
        try:
            return cls(**record)
        except UsageError as error:
            raise InputError(f"{where}: comparisons: {str(error).replace('--', '')}") from None


def fold_of(table: ImageTable, name: str, rule: Rule, listed: ListedComparisons | None = None) -> Fold:
    """Fold ``name`` of the table: its tested images, and the comparisons of the rule or of the list
    (rows of the tested images). Where the rule says that there is a list and none is given yet, the fold
    compares any two images.

    Raises:
        InputError: so many comparisons across a column that they can't be held in memory.
    """
    rows = table.rows(name, *TESTED)
    subject_names, subject = _codes([table.subject[i] for i in rows])
    _, identity = _codes([table.identity[i] for i in rows])
    roles = [table.roles[name][i] for i in rows]
    probe = np.array([i for i, role in enumerate(roles) if role == PROBE], np.int64)
    gallery = np.array([i for i, role in enumerate(roles) if role == GALLERY], np.int64)
    searched = Identification(probe, gallery) if len(probe) and len(gallery) else None
    fold = Fold(
        name,
        images=tuple(table.name[i] for i in rows),
        identity=identity,
        subject=subject,
        subject_names=subject_names,
        comparisons=AllComparisons(_group(table, rows) if rule.same_side else None),
        identification=searched,
        training=table.subjects(name, TRAIN, VAL),
    )
    if listed is None and rule.across is not None and not rule.listed:
        listed = _collected(comparisons(fold, table, rule), name)
    return fold if listed is None else replace(fold, comparisons=listed)


def comparisons(fold: Fold, table: ImageTable, rule: Rule, block: int = BLOCK) -> Blocks:
    """All that the rule allows, listed or not: (probe, reference, mated), rows of the fold's images."""
    if rule.across is None:
        rows = table.rows(fold.name, *TESTED)
        yield from AllComparisons(_group(table, rows) if rule.same_side else None).blocks(fold, block)
        return
    rows = table.rows(fold.name, *TESTED)
    column = getattr(table, rule.across)
    is_probe = np.array([column[i] == rule.probe for i in rows], bool)
    probes, references = np.flatnonzero(is_probe), np.flatnonzero(~is_probe)
    group = _group(table, rows)
    step = max(1, block // max(1, len(references)))
    for start in range(0, len(probes), step):
        i = probes[start : start + step]
        same = fold.identity[i][:, None] == fold.identity[references][None]
        compared = same | (fold.subject[i][:, None] != fold.subject[references][None])
        if rule.same_side:
            compared &= group[i][:, None] == group[references][None]
        a, b = np.nonzero(compared)
        if len(a):
            yield i[a], references[b], same[a, b]


def count(fold: Fold) -> tuple[int, int, int]:
    """Mated comparisons, non-mated ones, and identities with images but no mated comparison."""
    mated = total = 0
    met: set[int] = set()
    for probe, _, same in fold.comparisons.blocks(fold):
        mated += int(same.sum())
        total += len(probe)
        met.update(np.unique(fold.identity[probe[same]]).tolist())
    return mated, total - mated, len(np.unique(fold.identity)) - len(met)


def written_out(fold: Fold) -> Fold:
    """The same fold with its comparisons as a list.

    Raises:
        InputError: there are more than can be held.
    """
    if isinstance(fold.comparisons, ListedComparisons):
        return fold
    return replace(fold, comparisons=_collected(fold.comparisons.blocks(fold), fold.name))


def _collected(blocks: Blocks, name: str) -> ListedComparisons:
    probes, references, labels, total = [], [], [], 0
    for probe, reference, mated in blocks:
        total += len(probe)
        if total > MOST_LISTED:
            raise InputError(
                f"fold {name}: more than {MOST_LISTED:,} comparisons; state how many with --mated and --non-mated"
            )
        probes.append(probe)
        references.append(reference)
        labels.append(mated)
    if not probes:
        none = np.zeros(0, np.int64)
        return ListedComparisons(none, none, np.zeros(0, bool))
    return ListedComparisons(np.concatenate(probes), np.concatenate(references), np.concatenate(labels))


def _codes(names: Sequence[str]) -> tuple[tuple[str, ...], Rows]:
    distinct = tuple(sorted(set(names)))
    code = {name: i for i, name in enumerate(distinct)}
    return distinct, np.array([code[name] for name in names], np.int64)


def _group(table: ImageTable, rows: Sequence[int]) -> Rows:
    return _codes([table.side[i] or "" for i in rows])[1]
