"""The labels of an image source as a protocol needs them: who is on each image, which eye, which light.

Tables are read column by column, folders by their names (``001/image_right/a.png`` is of subject 001), so
that a protocol over 100,000 images is made in seconds. Whether an image decodes is not asked: a broken one
stays in the protocol and is a failure to acquire.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from syper_data.cropping.table import FAILURES
from syper_data.errors import InputError
from syper_data.imaging.source import SIDES, ImageSource, Labels
from syper_data.imaging.subjects import by_folder
from syper_data.protocols.pictures import failures_of

KEY_FIELDS = ("subject", "side", "sample", "source_id", "spectrum", "seed", "label")

_YES, _NO = ("1", "true", "yes", "masked"), ("0", "false", "no", "unmasked")


@dataclass
class Unused:
    """Images that no protocol can use, counted by reason, with the first place of each reason."""

    images: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, set[str]] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, where: str, subject: str | None = None) -> None:
        """Count one image."""
        self.images[reason] = self.images.get(reason, 0) + 1
        self.first.setdefault(reason, where)
        if subject is not None:
            self.subjects.setdefault(reason, set()).add(subject)

    def record(self) -> list[dict[str, Any]]:
        """One dictionary a reason, most images first."""
        return [
            {"reason": r, "images": n, "subjects": len(self.subjects.get(r, ())), "first": self.first[r]}
            for r, n in sorted(self.images.items(), key=lambda item: (-item[1], item[0]))
        ]


def read_labels(source: ImageSource, spectrum: str | None = None) -> tuple[list[Labels], Unused]:
    """Every image of the source with its labels (``masked`` true, false or None), and what can't be used. Eyes
    that ``crop`` could not cut are among them: they are failures to acquire.

    ``spectrum`` stands in where the source does not say it.

    Raises:
        InputError: a column holds values that mean nothing (``masked`` neither yes nor no).
    """
    unused = Unused()
    found: list[Labels] = []
    images = list(_pictures(source) if source.pictures else _rows(source, spectrum, unused))
    for image in (*images, *_lost(source, images)):
        reason = _refusal(image)
        if reason is not None:
            unused.add(reason, image.where, image.subject)
        else:
            found.append(image)
    return found, unused


def natural(text: str | None) -> tuple[tuple[int, int, str], ...]:
    """A sort key in which sample 2 comes before sample 10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text or "")
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts)


def _refusal(image: Labels) -> str | None:
    if not image.subject:
        return "no subject is named"
    if image.side not in (None, *SIDES):
        return f"side is {image.side!r}: must be {' or '.join(SIDES)}"
    return None


def _pictures(source: ImageSource) -> Iterator[Labels]:
    for image in by_folder(source.labels()):
        yield replace(image, sample=PurePosixPath(image.source_id).stem)


def _rows(source: ImageSource, spectrum: str | None, unused: Unused) -> Iterator[Labels]:
    subject = source.columns.get("subject", "subject")
    for part in source.tables:
        if part.damage is not None:
            unused.add("its table can't be read", part.name)
            continue
        if subject not in part.names:
            raise InputError(
                f"{part.name}: no column {subject!r} says who is on an image; name it with --columns subject=..."
            )
        for image in source.labels_in(part):
            masked = _yes_or_no(image.masked, image.where)
            yield replace(image, spectrum=image.spectrum or spectrum, masked=masked)


def _lost(source: ImageSource, images: Sequence[Labels]) -> Iterator[Labels]:
    """What ``crop`` could not cut, with the labels that its crops would have had."""
    sided = any(image.side for image in images)
    spectra = {image.spectrum for image in images}
    spectrum = spectra.pop() if len(spectra) == 1 else None
    there = {(image.source_id, image.side) for image in images}
    for lost in failures_of(source):
        if (lost.side is not None) == sided and (lost.source_id, lost.side) not in there:
            yield Labels(
                lost.source_id,
                lost.subject,
                lost.side,
                spectrum,
                lost.sample,
                where=f"{FAILURES}, {lost.source_id}",
            )


def _yes_or_no(value: object, where: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in (*_YES, *_NO):
        raise InputError(f"{where}: masked is {value!r}: must be true or false, 1 or 0, masked or unmasked")
    return text in _YES
