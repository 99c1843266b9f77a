"""The comparisons that went wrong most clearly: mated ones of low scores, non-mated ones of high scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.benchmarking.scoring import FAILED, FoldScores
from syper_data.protocols.protocol import Fold

MOST = 12  # of each kind


@dataclass(frozen=True)
class HardPair:
    """A comparison: the images' names, and the score; ``single``: both templates are one image."""

    probe: str
    reference: str
    score: float
    mated: bool
    single: bool = True


def hardest(fold: Fold, scores: FoldScores, most: int = MOST) -> list[HardPair]:
    """The mated comparisons of the lowest scores, then the non-mated ones of the highest.

    Comparisons with a template that could not be acquired are not among them.
    """
    found = []
    for mated in (True, False):
        rows = np.flatnonzero((scores.mated == mated) & (scores.score > FAILED))
        badness = scores.score[rows] if mated else -scores.score[rows]
        if len(rows) > most:
            rows, badness = _least(rows, badness, most)
        for row in rows[np.argsort(badness, kind="stable")]:
            both = [template_images(fold, int(k)) for k in (scores.probe[row], scores.reference[row])]
            probe, reference = (template_name(images) for images in both)
            single = len(both[0]) == len(both[1]) == 1
            found.append(HardPair(probe, reference, float(scores.score[row]), mated, single))
    return found


def template_name(images: Sequence[str]) -> str:
    """The name of a template's image; of the first where there are several."""
    first = images[0].encode("utf-8", "backslashreplace").decode("utf-8")  # a file name may be no UTF-8
    return first if len(images) == 1 else f"{first} and {len(images) - 1} more"


def template_images(fold: Fold, template: int) -> Sequence[str]:
    """The names of a template's images."""
    if fold.starts is None or fold.members is None:
        return [fold.images[template]]
    return [fold.images[k] for k in fold.members[fold.starts[template] : fold.starts[template + 1]]]


def _least(rows: Any, badness: Any, most: int) -> tuple[Any, Any]:
    """The rows of the least values, the first of equal ones."""
    bound = np.partition(badness, most - 1)[most - 1]
    chosen = np.concatenate([np.flatnonzero(badness < bound), np.flatnonzero(badness == bound)])[:most]
    chosen.sort()
    return rows[chosen], badness[chosen]
