"""The labels of an image source without its pixels: who is on each image, which eye, which light.

Tables are read column by column, folders by their names (``001/image_right/a.png`` is of subject 001), so
that a protocol over 100,000 images is made in seconds. Whether an image decodes is not asked: a broken one
stays in the protocol and is a failure to acquire.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syper_data.cropping.table import FAILURES
from syper_data.errors import InputError
from syper_data.imaging.source import IMAGE_SUFFIXES, SIDES, ImageSource
from syper_data.imaging.tables import TablePart
from syper_data.protocols.pictures import failures_of

KEY_FIELDS = ("subject", "side", "sample", "source_id", "spectrum", "seed", "label")
MASKED = "masked"

_TEXT_FIELDS = ("subject", "side", "spectrum", "sample", "seed", "label")
_YES, _NO = ("1", "true", "yes", "masked"), ("0", "false", "no", "unmasked")


@dataclass(frozen=True)
class Labelled:
    """What a source says of one image; ``where`` names its place, for messages."""

    where: str
    source_id: str
    subject: str | None = None
    side: str | None = None
    spectrum: str | None = None
    sample: str | None = None
    seed: str | None = None
    label: str | None = None
    masked: bool | None = None


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


def read_labels(source: ImageSource, spectrum: str | None = None) -> tuple[list[Labelled], Unused]:
    """Every image of the source with its labels, and what can't be used. Eyes that ``crop`` could not cut are
    among them: they are failures to acquire.

    ``spectrum`` stands in where the source does not say it.

    Raises:
        InputError: a column holds values that mean nothing (``masked`` neither yes nor no).
    """
    unused = Unused()
    found: list[Labelled] = []
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


def _refusal(image: Labelled) -> str | None:
    if not image.subject:
        return "no subject is named"
    if image.side not in (None, *SIDES):
        return f"side is {image.side!r}: must be {' or '.join(SIDES)}"
    return None


def _pictures(source: ImageSource) -> Iterator[Labelled]:
    for path in source.pictures:
        assert path.suffix.lower() in IMAGE_SUFFIXES
        name = path.relative_to(source.root).as_posix()
        folders = name.split("/")[:-1]
        side = next((folder for folder in folders[1:] if folder in SIDES), None)
        yield Labelled(name, name, folders[0] if folders else None, side, sample=path.stem)


def _rows(source: ImageSource, spectrum: str | None, unused: Unused) -> Iterator[Labelled]:
    for part in source.tables:
        if part.damage is not None:
            unused.add("its table can't be read", part.name)
            continue
        wanted = {ours: source.columns.get(ours, ours) for ours in (*_TEXT_FIELDS, "source_id", MASKED)}
        present = {ours: theirs for ours, theirs in wanted.items() if theirs in part.names}
        if "subject" not in present:
            raise InputError(
                f"{part.name}: no column {wanted['subject']!r} says who is on an image; "
                "name it with --columns subject=..."
            )
        yield from _part(part, present, spectrum)


def _part(part: TablePart, present: Mapping[str, str], spectrum: str | None) -> Iterator[Labelled]:
    for row, values in enumerate(part.read(sorted(set(present.values())), 0, part.rows)):
        where = f"{part.name}, row {row}"
        said = {ours: values[theirs] for ours, theirs in present.items()}
        texts = {ours: None if said.get(ours) is None else str(said[ours]) for ours in _TEXT_FIELDS}
        texts["spectrum"] = texts["spectrum"] or spectrum
        source_id = str(said.get("source_id") or f"{part.name}#{row}")
        yield Labelled(where, source_id, masked=_yes_or_no(said.get(MASKED), where), **texts)


def _lost(source: ImageSource, images: Sequence[Labelled]) -> Iterator[Labelled]:
    """What ``crop`` could not cut, with the labels that its crops would have had."""
    sided = any(image.side for image in images)
    spectra = {image.spectrum for image in images}
    spectrum = spectra.pop() if len(spectra) == 1 else None
    there = {(image.source_id, image.side) for image in images}
    for lost in failures_of(source):
        if (lost.side is not None) == sided and (lost.source_id, lost.side) not in there:
            where = f"{FAILURES}, {lost.source_id}"
            yield Labelled(where, lost.source_id, lost.subject, lost.side, spectrum, lost.sample)


def _yes_or_no(value: object, where: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in (*_YES, *_NO):
        raise InputError(f"{where}: masked is {value!r}: must be true or false, 1 or 0, masked or unmasked")
    return text in _YES
