"""Which subjects are held out of training: a rule that needs no list and no seed.

A subject is what the images' ``subject`` column names: a face, a person. Both eyes of one stay on
one side, adding subjects moves nobody, and training and evaluation agree without a file between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Protocol, TypeVar

from syper_data.errors import InputError, UsageError

HOLDOUT_SIDES = ("training", "held-out")

_MAX_DENOMINATOR = 1000


class _HasSubject(Protocol):
    @property
    def subject(self) -> str | None: ...
    @property
    def where(self) -> str: ...


T = TypeVar("T", bound=_HasSubject)


def is_held_out(subject: str, share: float) -> bool:
    """Whether a subject belongs to the held-out ``share``, a fraction p/q of the subjects.

    h is the first 32 bits of the SHA-256 of the subject's name in UTF-8; held out where
    h mod q < p. A tenth (0.1 = 1/10) is h mod 10 = 0. ``share`` is taken as the nearest fraction
    with q <= 1000.

    Raises:
        UsageError: the share does not lie between 0 and 1.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise UsageError(f"--holdout is {share!r}: must lie between 0 and 1")
    part = Fraction(share).limit_denominator(_MAX_DENOMINATOR)
    if not 0 < part < 1:
        raise UsageError(f"--holdout is {share!r}: too close to {round(share)}")
    return int(hashlib.sha256(subject.encode("utf-8")).hexdigest()[:8], 16) % part.denominator < part.numerator


def one_side(images: Iterable[T], share: float, side: str) -> Iterator[T]:
    """The images whose subjects lie on one side: ``training`` or ``held-out``.

    Raises:
        UsageError: an unknown side or share.
        InputError: an image without a subject, so that nobody can say which side it is on.
    """
    if side not in HOLDOUT_SIDES:
        raise UsageError(f"--holdout-side is {side!r}: must be {' or '.join(HOLDOUT_SIDES)}")
    for image in images:
        if image.subject is None:
            raise InputError(
                f"{image.where}: no subject, so it can't be held out by subject; name the column with --columns "
                "subject=NAME (subject=source_id for crops of photos of one person each)"
            )
        if is_held_out(image.subject, share) == (side == "held-out"):
            yield image
