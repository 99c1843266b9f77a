"""UFPR-Periocular's text layout (Zanlorensi et al. 2022), for programs that read that and nothing else.

``experimentalProtocol/{closed_world,open_world,open_world_valopen}/{train,val,test}_foldK.txt`` with lines
``IMAGE LABEL``, and ``test_pairs/foldK/pairs.txt`` with lines ``IMAGE IMAGE 0|1``. An image is
``C{subject}S{session}I{n}{L|R}.jpg``; ``names.csv`` says which image of the source each stands for. The label
is one of an eye: twice the subject's number, plus one for R. ``L`` is the person's own left eye, ``image_right``.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from syper_data.errors import UsageError
from syper_data.protocols.made import MadeProtocol
from syper_data.protocols.protocol import Fold
from syper_data.protocols.table import TESTED, TRAIN, VAL, ImageTable

NAMES = "names.csv"
EYES = {"image_left": "R", "image_right": "L"}
MOST_PAIRS = 20_000_000  # lines a file


def ufpr_names(table: ImageTable) -> tuple[list[str], list[int]]:
    """A name in UFPR's grammar and an eye's label for each image.

    Raises:
        UsageError: an image names no side, or both eyes of a person count as one.
    """
    number = {subject: i + 1 for i, subject in enumerate(dict.fromkeys(table.subject))}
    taken: dict[tuple[str, str], int] = defaultdict(int)
    names, labels = [], []
    for subject, side, name in zip(table.subject, table.side, table.name, strict=True):
        if side is None:
            raise UsageError(f"--ufpr: image {name!r} names no side, which UFPR's names need")
        taken[subject, side] += 1
        names.append(f"C{number[subject]}S1I{taken[subject, side]}{EYES[side]}.jpg")
        labels.append(2 * number[subject] + (side == "image_left"))
    return names, labels


def write_ufpr(protocol: MadeProtocol, folder: Path) -> None:
    """Write ``experimentalProtocol/`` and ``names.csv`` into ``folder``.

    Raises:
        UsageError: the protocol has no form in this layout, or a fold too many pairs.
    """
    if protocol.settings.across == "side":
        raise UsageError("--ufpr: the layout can't say that both eyes of a person are mated (--across side)")
    table = protocol.table
    names, labels = ufpr_names(table)
    with (folder / NAMES).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ufpr_name", "name", "subject", "side", "sample"))
        writer.writerows(zip(names, table.name, table.subject, table.side, table.sample, strict=True))
    root = folder / "experimentalProtocol" / protocol.settings.kind
    for fold in protocol.folds:
        for part, roles in (("train", (TRAIN,)), ("val", (VAL,)), ("test", TESTED)):
            lines = [f"{names[i]} {labels[i]}\n" for i in table.rows(fold.name, *roles)]
            _write(root / f"{part}_fold{fold.name}.txt", lines)
        tested = np.array([names[i] for i in table.rows(fold.name, *TESTED)])
        _write_pairs(root / "test_pairs" / f"fold{fold.name}" / "pairs.txt", fold, tested)


def _write_pairs(path: Path, fold: Fold, names: np.ndarray[tuple[int], np.dtype[np.str_]]) -> None:
    count = sum(fold.counts())
    if count > MOST_PAIRS:
        raise UsageError(
            f"--ufpr: fold {fold.name} has {count:,} comparisons, more than {MOST_PAIRS:,} lines; "
            "draw some with --mated and --non-mated"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for probe, reference, mated in fold.comparisons.blocks(fold):
            rows = zip(names[probe], names[reference], mated.astype(int), strict=True)
            file.writelines(f"{a} {b} {same}\n" for a, b, same in rows)


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), "utf-8", newline="\n")
