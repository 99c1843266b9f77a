"""Which subjects a generator is trained on, and which it is measured against: one rule for both.

Either a share of the subjects is held out by their digests (:mod:`syper_data.imaging.holdout`), or
a list names the subjects to train on (:mod:`syper_data.imaging.subjects`) and all others are held
out. Training and evaluation take the same option.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syper_data.errors import UsageError
from syper_data.imaging.holdout import HOLDOUT_SIDES, T, one_side
from syper_data.imaging.subjects import only_subjects, read_subjects


@dataclass(frozen=True)
class Split:
    """The held-out ``share``, or the ``listed`` subjects of the training side; with neither, nobody
    is split off and either side is everything."""

    share: float | None = None
    listed: frozenset[str] | None = None

    @classmethod
    def of(cls, share: float | None, subjects: str | Path | Iterable[str] | None) -> Split:
        """From the options ``--holdout`` and ``--subjects`` (a file, or the ids themselves).

        Raises:
            UsageError: both are given. InputError: the file names nobody or can't be read.
        """
        if share is not None and subjects is not None:
            raise UsageError("--holdout and --subjects exclude each other: either says who is trained on")
        if subjects is None:
            return cls(share)
        return cls(None, read_subjects(subjects) if isinstance(subjects, str | Path) else frozenset(subjects))

    def __bool__(self) -> bool:
        return self.share is not None or self.listed is not None

    def side(self, images: Iterable[T], side: str) -> Iterator[T]:
        """The images of one side, ``training`` or ``held-out``.

        Raises:
            UsageError: an unknown side or share. InputError: an image without a subject.
        """
        if side not in HOLDOUT_SIDES:
            raise UsageError(f"--holdout-side is {side!r}: must be {' or '.join(HOLDOUT_SIDES)}")
        if self.share is not None:
            yield from one_side(images, self.share, side)
        elif self.listed is None:
            yield from images
        else:
            for image in images:
                if any(only_subjects([image], self.listed)) == (side == "training"):
                    yield image

    def record(self) -> dict[str, Any]:
        """What a run or an evaluation keeps of it: the share, or count and digest of the list."""
        if self.listed is None:
            return {"holdout": self.share, "listed": None}
        digest = hashlib.sha256("\n".join(sorted(self.listed)).encode("utf-8")).hexdigest()
        return {"holdout": None, "listed": {"subjects": len(self.listed), "sha256": digest}}

    def __str__(self) -> str:
        if self.listed is not None:
            return f"--subjects ({len(self.listed)} listed)"
        return f"--holdout {self.share:g}" if self.share is not None else "no split"
