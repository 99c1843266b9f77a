"""Some of View 2's ten parts, as a fold of their own: those whose people a model was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from syper_data.errors import InputError
from syper_data.protocols.protocol import Fold, ListedComparisons


def only_parts(fold: Fold, parts: Sequence[int], name: str | None = None) -> Fold:
    """The fold with the comparisons of ``parts`` (counted from 1) alone, and only the images that they name,
    so that nobody else counts as tested.

    Raises:
        InputError: the fold has no such part, or templates of several images.
    """
    if fold.parts is None or not isinstance(fold.comparisons, ListedComparisons) or fold.starts is not None:
        raise InputError(f"fold {fold.name}: is not made of parts of single images")
    if not parts or len(set(parts)) != len(parts) or not all(1 <= part <= len(fold.parts) for part in parts):
        raise InputError(f"fold {fold.name}: parts {list(parts)}: must be some of 1..{len(fold.parts)}, each once")
    rows = [fold.parts[part - 1] for part in parts]
    chosen = np.concatenate(rows)
    listed = fold.comparisons
    used, place = np.unique(np.concatenate([listed.probe[chosen], listed.reference[chosen]]), return_inverse=True)
    ends = np.cumsum([len(part) for part in rows])
    people, subject = np.unique(fold.subject[used], return_inverse=True)
    return replace(
        fold,
        name=fold.name if name is None else name,
        images=tuple(fold.images[i] for i in used),
        identity=fold.identity[used],
        subject=subject.astype(np.int64),
        subject_names=tuple(fold.subject_names[i] for i in people),
        comparisons=ListedComparisons(place[: len(chosen)], place[len(chosen) :], listed.mated[chosen]),
        identification=None,
        parts=tuple(np.arange(end - len(part), end) for part, end in zip(rows, ends, strict=True)),
    )
