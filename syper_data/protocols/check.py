"""``protocol check``: what of a protocol's data is there, and what is missing or other than it should be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from syper_data.errors import InputError, SyperError, UsageError
from syper_data.imaging.source import IMAGE_SUFFIXES
from syper_data.protocols.descriptor import Descriptor
from syper_data.protocols.image_places import holds_table
from syper_data.protocols.pictures import FolderPictures, SourcePictures
from syper_data.protocols.protocol import AllComparisons, Fold, Protocol
from syper_data.protocols.reading import (
    Reading,
    Request,
    list_sha256,
    protocol_of,
    read_request,
    request_for,
)

STATES = ("ok", "note", "missing", "wrong")
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: ``state`` is one of :data:`STATES`. Where it is ``hopeless``, nothing can be
    measured on this copy, whatever is allowed; the text of any other names no path of the machine."""

    state: str
    text: str
    hopeless: bool = False


@dataclass(frozen=True)
class ProtocolCheck:
    """The findings about one copy; it is complete where nothing is missing or wrong."""

    descriptor: Descriptor
    findings: tuple[Finding, ...]

    @property
    def complete(self) -> bool:
        """Whether the protocol can be run on this copy, as far as its lists and file names tell."""
        return not self.faults

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What is missing or wrong."""
        return tuple(finding for finding in self.findings if finding.state in ("missing", "wrong"))

    def lines(self) -> list[str]:
        """What a person reads."""
        d = self.descriptor
        said = [f"{d.name}: {d.title}"]
        said += [f"{finding.state:<8}{finding.text}" for finding in self.findings]
        if self.complete:
            return [*said, "complete"]
        said.append("incomplete")
        for what, text in (("data", d.ask), ("licence", d.licence), ("cite", d.citation)):
            if text:
                said.append(f"{what}: {' '.join(text.split())}")
        return said


def check_protocol(
    name: str | Path,
    root: str | Path | None = None,
    *,
    images: str | Path | None = None,
    folds: Sequence[str] | None = None,
) -> ProtocolCheck:
    """Look at the copy of a protocol's data at ``root``: lists and their digests, folds, images.

    No image is decoded. What is missing or wrong is a finding, not an error.

    Raises:
        UsageError: no such protocol or fold, no ``root``, or nothing there.
    """
    request = request_for(name, root, images=images, folds=folds)
    try:
        reading = read_request(request)
    except UsageError as error:
        found = (*_lists(request), Finding("wrong", str(error), hopeless=True))
        return ProtocolCheck(request.descriptor, found)
    return ProtocolCheck(request.descriptor, tuple(_findings(request, reading)))


def open_checked(
    name: str | Path,
    root: str | Path | None = None,
    *,
    images: str | Path | None = None,
    folds: Sequence[str] | None = None,
    merged: bool = False,
) -> tuple[Protocol, ProtocolCheck]:
    """:func:`~syper_data.protocols.reading.open_protocol` and :func:`check_protocol` in one reading.

    Raises:
        UsageError, InputError: as ``open_protocol``; any other fault is a finding.
    """
    request = request_for(name, root, images=images, folds=folds, merged=merged)
    try:
        reading = read_request(request)
    except InputError as error:
        lost = [finding for finding in _lists(request) if finding.state == "missing"]
        if not lost:
            raise
        more = f" (nor {len(lost) - 1} more)" if len(lost) > 1 else ""
        asked = f"; the data: {' '.join(request.descriptor.ask.split())}" if request.descriptor.ask else ""
        raise InputError(f"{request.root}: does not hold the {lost[0].text}{more}{asked}") from error
    check = ProtocolCheck(request.descriptor, tuple(_findings(request, reading)))
    return protocol_of(request, reading), check


def _findings(request: Request, reading: Reading) -> Iterator[Finding]:
    yield from _lists(request)
    for fold in reading.folds:
        yield from _fold(request, fold, reading)
    notes = dict.fromkeys((*request.descriptor.notes, *reading.notes))
    yield from (Finding("note", note) for note in notes)
    yield from _totals(request, reading)


def _lists(request: Request) -> Iterator[Finding]:
    folder = request.root if request.root.is_dir() else request.root.parent
    present = 0
    for name, digest in request.descriptor.expects.lists.items():
        path = next((folder / n for n in name.split(" or ") if (folder / n).is_file()), None)
        if path is None:
            yield Finding("missing", f"list {name}")
        elif digest is None:
            present += 1
        elif digest in (list_sha256(path), _unix_sha256(path)):
            yield Finding("ok", f"list {path.name}: SHA-256 as it should be")
        else:
            yield Finding("wrong", f"list {path.name}: another SHA-256 than that of a right copy, {digest}")
    if present:
        yield Finding("ok", f"{present} lists are there")


def _unix_sha256(path: Path) -> str:
    """SHA-256 of a list with Windows line ends replaced and a newline at its end."""
    text = path.read_bytes().replace(b"\r\n", b"\n")
    return hashlib.sha256(text if text.endswith(b"\n") else text + b"\n").hexdigest()


def _fold(request: Request, fold: Fold, reading: Reading) -> Iterator[Finding]:
    descriptor = request.descriptor
    mated, other = fold.counts()
    people = len(fold.subject_names)
    what = "images" if fold.members is None else "templates"
    text = f"fold {fold.name}: {fold.templates:,} {what} of {people:,} people, "
    text += f"{mated:,} mated and {other:,} non-mated comparisons"
    due = None if request.merged else descriptor.expects.folds.get(fold.name)  # merging drops some
    if due is not None and tuple(due) != (mated, other):
        yield Finding("wrong", f"{text}; {descriptor.expects.basis}: {due[0]:,} and {due[1]:,}")
    else:
        yield Finding("ok", text)
    one_kind = fold.one_kind()
    if one_kind is not None:
        yield Finding("wrong", one_kind, hopeless=True)
    missing = getattr(reading.pictures, "missing", None)
    try:
        lost = missing(fold.images) if missing is not None else []
    except SyperError as error:
        yield Finding("wrong", str(error), hopeless=True)
        return
    if lost:
        shown = ", ".join(lost[:_SHOWN]) + (", ..." if len(lost) > _SHOWN else "")
        text = f"fold {fold.name}: {len(lost):,} of {len(fold.images):,} images: {shown}"
        yield Finding("missing", text, hopeless=True)
    else:
        yield Finding("ok", f"fold {fold.name}: its {len(fold.images):,} images are there")


def _totals(request: Request, reading: Reading) -> Iterator[Finding]:
    """The copy's images and people against the expected numbers. Where lists say what is compared, other
    numbers are no fault; where everything is compared with everything they make another protocol."""
    expects, pictures = request.descriptor.expects, reading.pictures
    everything = all(isinstance(fold.comparisons, AllComparisons) for fold in reading.folds)
    decides = everything and request.descriptor.reader != "parquet"  # there a table lists what is compared
    found: list[tuple[str, int, int | None]] = []
    if everything and isinstance(pictures, FolderPictures | SourcePictures):
        names = pictures.files if isinstance(pictures, FolderPictures) else {*pictures.rows, *pictures.failures}
        people = {name for fold in reading.folds for name in fold.subject_names}
        found = [("images", len(names), expects.images)]
        if request.folds == request.descriptor.folds:  # some folds need not show everybody
            found.append(("people", len(people), expects.subjects))
    elif isinstance(pictures, FolderPictures) and not holds_table(request.place):
        files = (path for path in pictures.base.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        found = [("image files", sum(1 for _ in files), expects.images)]
    for what, there, due in found:
        if due is not None:
            state = "ok" if there == due else "wrong" if decides else "note"
            yield Finding(state, f"{there:,} {what}; {expects.basis}: {due:,}")
