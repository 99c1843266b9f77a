"""From images to the identity audit: which network, which embeddings, and what the ledger records of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from syper_data.dataset.directory import DatasetDirectory
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError, UsageError
from syper_data.filtering.auditor import Auditor, refuse_shared, refuse_unnamed
from syper_data.filtering.embedding_set import EmbeddingSet
from syper_data.filtering.membership import Membership, membership
from syper_data.filtering.overlap import audit_overlap, refuse_seen, split_reference
from syper_data.filtering.overlap_result import OverlapResult
from syper_data.filtering.scoring import CACHE, Report
from syper_data.filtering.settings import FilterSettings
from syper_data.filtering.threshold import DISJOINT, LEFT_OUT, require_people, require_split
from syper_data.filtering.typicality import Typicality, typicality
from syper_data.imaging.source import ImageSource, Labels, SourceImage, canonical
from syper_data.imaging.subjects import by_folder, named_entries, names_by_folder
from syper_data.recognition.bundled import (
    bundled_recognizers,
    default_auditors,
    default_teacher,
    find_recognizer,
)
from syper_data.recognition.embedder import Embedder, load_embedder
from syper_data.recognition.embedding_table import is_embeddings, read_header
from syper_data.recognition.embeddings import Embeddings, embed
from syper_data.recognition.recognizer_file import RecognizerFile, read_recognizer

OVERLAP, DUPLICATE = "resembles a real person", "near-duplicate"

SCORES = {  # what the published columns are
    "nearest_similarity": "cosine similarity to the nearest real image of the identity audit",
    "typicality": "mean cosine similarity to the nearest real images",
    "centre_similarity": "cosine similarity to the nearest real eye's mean",
    "duplicate_of_seed": "seed of the earlier image that this one repeats, else null",
    "duplicate_similarity": "cosine similarity to the nearest other image of the dataset",
}

Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class IdentityAudit:
    """Columns of the ledger [n], who is flagged, who repeats an earlier image, who is like no real image
    (None: not decided), and the figures."""

    scores: dict[str, Any]
    flagged: Bools | None
    duplicate: Bools | None
    untypical: Bools | None
    record: dict[str, Any]


@dataclass(frozen=True)
class People:
    """Real people as images, or as a file of embeddings."""

    role: str
    given: str
    source: ImageSource | None

    @classmethod
    def open(cls, role: str, given: str, settings: FilterSettings) -> People:
        if is_embeddings(given):
            if not sum(len(part) for part in Embeddings.blocks(given)):  # every vector is checked
                raise InputError(f"{given}: the {role} is empty: it holds no embedding")
            return cls(role, given, None)
        source = ImageSource.open(given, settings.columns)
        if not len(source):
            raise InputError(f"{given}: the {role} is empty: it holds no image")
        for part in source.tables:
            if part.damage is not None:
                raise InputError(part.damage)
        return cls(role, given, source)

    @property
    def labelled(self) -> bool:
        """Whether a column names the people, or the folders do."""
        return self.source is not None and (
            self.named_by_folder or any(self._column in part.names for part in self.source.tables)
        )

    @property
    def named_by_folder(self) -> bool:
        """Whether it is pictures in folders, one folder a person."""
        return self.source is not None and names_by_folder(self.source)

    def subjects(self) -> list[str | None]:
        """Who is in each image; None where it names nobody."""
        if self.source is None:
            return [name for part in Embeddings.blocks(self.given) for name in part.table["subject"].to_pylist()]
        return [image.subject for image in self._labels()]

    def name(self, row: int) -> str:
        """What the source calls an image."""
        return f"row {row}" if self.source is None else f"row {row} ({self._labels()[row].source_id})"

    def _labels(self) -> list[Labels]:
        assert self.source is not None
        return list(by_folder(self.source.labels())) if self.named_by_folder else self.source.labels()

    @property
    def _column(self) -> str:
        assert self.source is not None
        return self.source.columns.get("subject", "subject")


@dataclass(frozen=True)
class Comparison:
    """Whom to compare with, opened and checked, and the recognizer files to do it with."""

    people: tuple[People, ...]  # the reference, then the calibration, if there is one
    networks: tuple[Path, ...]

    @classmethod
    def open(cls, settings: FilterSettings, spectrum: str) -> Comparison:
        """Check all that can be checked before long work.

        Raises:
            InputError: nothing usable there, embeddings that are not finite or of another network, people
                whom the recognizer was trained on.
            UsageError: too few people for the FPIR.
        """
        assert settings.reference is not None
        people = [People.open("reference", settings.reference, settings)]
        if settings.calibration is not None:
            people.append(People.open("calibration", settings.calibration, settings))
        networks = tuple(_networks(settings, people[0], spectrum))
        _check_people(people, networks, settings)
        return cls(tuple(people), networks)


def audit_identities(
    dataset: DatasetDirectory,
    settings: FilterSettings,
    comparison: Comparison,
    workers: int | None,
    report: Report | None,
) -> IdentityAudit:
    """Embed the dataset and the real people, and search the one among the other.

    Raises:
        InputError: real images that can't be read, people that a network was trained on.
        UsageError: too few people for the FPIR.
    """
    people, reference = comparison.people, comparison.people[0]

    def vectors(place: People | None, network: Path, mirrored: bool = False) -> Embeddings:
        what = f"embedding {'the images' if place is None else place.role}{', mirrored' if mirrored else ''}"
        return _embedded(dataset, place, network, mirrored, what, workers, report)

    auditors = []
    for network in comparison.networks:
        embedder = load_embedder(network)
        sets: dict[str, Any] = {}
        sets["synthetic"] = vectors(None, network)
        for place in people:
            sets[place.role] = Path(place.given) if place.source is None else vectors(place, network)
        if reference.source is not None:
            sets["reference_mirrored"] = vectors(reference, network, mirrored=True)
        known = embedder.identities if embedder.identities_known else None
        auditors.append(Auditor(**sets, identities=known, embed=_embed_with(embedder)))
    if report is not None:
        report("searching", 0, len(dataset))
    result = audit_overlap(
        auditors,
        fpir=settings.fpir,
        neighbours=settings.neighbours,
        reference_images=None if reference.source is None else _images_of(reference.source),
        allow_seen_identities=settings.allow_seen_identities,
        threads=workers or os.cpu_count() or 1,
    )
    if report is not None:
        report("searching", len(dataset), len(dataset))
    tables = {place.role: _table(auditors[0], place.role) for place in people}  # the same images for every auditor
    typical = None
    if settings.typicality:
        typical = typicality(
            EmbeddingSet.of(auditors[0].synthetic, "synthetic"),
            EmbeddingSet.of(auditors[0].reference, "reference"),
            neighbours=settings.neighbours,
            rate=settings.false_rejection_rate,
            threads=workers or os.cpu_count() or 1,
        )
    found = membership(auditors, threads=workers or os.cpu_count() or 1) if settings.membership else None
    described = {place.role: _described(tables[place.role], place.named_by_folder) for place in people}
    return _recorded(dataset, result, tables["reference"], described, typical, found)


def _networks(settings: FilterSettings, reference: People, spectrum: str) -> list[Path]:
    """The recognizer files: those asked for; that of an embeddings file; two auditors where the people of
    the reference are known, so that nobody is judged by a network that was trained on them; the teacher."""
    if reference.source is None:
        header = read_header(Path(reference.given))
        asked = [find_recognizer(name, spectrum=spectrum) for name in settings.embedder]
        for path in asked or bundled_recognizers().values():
            if file_sha256(path) == header.embedder_sha256:
                return [path]
        raise InputError(
            f"{reference.given}: was made by {header.embedder_name} (SHA-256 {header.embedder_sha256[:12]}), "
            "which is needed to embed the dataset, too; give its file: --embedder FILE"
        )
    names = settings.embedder or (default_auditors(spectrum) if reference.labelled else ())
    found = [find_recognizer(name, spectrum=spectrum) for name in names or (default_teacher(spectrum),)]
    if len({file_sha256(path) for path in found}) < len(found):
        raise UsageError("--embedder: the same recognizer is named twice")
    return found


def _check_people(people: Sequence[People], networks: Sequence[Path], settings: FilterSettings) -> None:
    """What :func:`audit_overlap` would refuse after all images were embedded."""
    subjects = {place.role: place.subjects() for place in people}
    files = [read_recognizer(network) for network in networks]
    several = len(files) > 1  # of whom one may know a reference's person
    for file in () if settings.allow_seen_identities else files:
        for role, names in subjects.items():
            if role == "calibration" or not several:
                refuse_seen(role, names, file.name, file.identities if file.identities_known else None)
    reference, calibration = subjects["reference"], subjects.get("calibration")
    parts = _parts(reference, files, settings.allow_seen_identities) if several else []
    if calibration is not None:
        refuse_unnamed(calibration, people[-1].name)
        require_people(len(set(calibration)), DISJOINT, settings.fpir)
        refuse_shared(calibration, reference)
    elif len(parts) > 1:
        require_split(parts, settings.fpir)
    elif None not in reference:
        require_people(len(set(reference)), LEFT_OUT, settings.fpir)


def _parts(
    reference: Sequence[str | None], files: Sequence[RecognizerFile], allow_seen: bool
) -> list[tuple[str, int, int]]:
    """How many people and images of the reference each network judges; those that judge somebody."""
    known = [(file.identities if file.identities_known else None) or frozenset() for file in files]
    owner = split_reference(reference, known, allow_seen)
    rows = [np.flatnonzero(owner == i).tolist() for i in range(len(files))]
    judged = [(file.name, own) for file, own in zip(files, rows, strict=True) if own]
    return [(name, len({reference[row] for row in own}), len(own)) for name, own in judged]


def _embedded(
    dataset: DatasetDirectory,
    place: People | None,
    network: Path,
    mirrored: bool,
    what: str,
    workers: int | None,
    report: Report | None,
) -> Embeddings:
    made = embed(
        dataset.path if place is None or place.source is None else place.source,
        embedder=network,
        cache=dataset.path / CACHE / "embeddings",
        mirrored=mirrored,
        workers=workers,
        report=None if report is None else lambda at, of: report(what, at, of),
    )
    if made.unreadable:
        lost, role = made.unreadable, "dataset" if place is None else place.role
        raise InputError(
            f"{len(lost)} of {len(made) + len(lost)} images of the {role} can't be used, and an audit must see "
            f"them all; repair or remove them (the first: {lost[0].reason})"
        )
    if place is None:
        keys = list(zip(made.table["seed"].to_pylist(), made.table["label"].to_pylist(), strict=True))
        if keys != dataset.keys():
            raise InputError(f"{dataset.path}: its images are not those of its plans; syper-data verify says more")
    return made


def _table(auditor: Auditor, role: str) -> pa.Table:
    given = getattr(auditor, role)
    return given.table if isinstance(given, Embeddings) else Embeddings.read(given).table


def _embed_with(embedder: Embedder) -> Callable[[list[Any]], Any]:
    return lambda images: embedder.embed(images)


def _images_of(source: ImageSource) -> Callable[[Sequence[int]], list[Any]]:
    def images(rows: Sequence[int]) -> list[Any]:
        found = [next(named_entries(source, int(row), int(row) + 1)) for row in rows]
        return [canonical(entry) for entry in found if isinstance(entry, SourceImage)]

    return images


def _recorded(
    dataset: DatasetDirectory,
    result: OverlapResult,
    reference: pa.Table,
    described: Mapping[str, Mapping[str, Any]],
    typical: Typicality | None,
    inferred: Membership | None,
) -> IdentityAudit:
    names = reference["source_id"].to_pylist()
    nearest = result.similarity.astype(np.float64)
    scores: dict[str, Any] = {
        "nearest_reference": pa.array([names[row] for row in result.nearest[:, 0]], pa.string()),
        "nearest_similarity": nearest[:, 0],
    }
    if result.centre is not None:
        scores["centre_similarity"] = result.centre.astype(np.float64)
    duplicate = None
    if result.duplicates is not None:
        duplicate = result.duplicates.duplicate_of >= 0
        keys = dataset.keys()
        repeated = [keys[row][0] if row >= 0 else None for row in result.duplicates.duplicate_of]
        scores["duplicate_of_seed"] = pa.array(repeated, pa.int64())
        scores["duplicate_similarity"] = result.duplicates.similarity.astype(np.float64)
    record = result.to_dict() | dict(described)
    untypical = None
    if typical is not None:
        scores["typicality"] = typical.score
        untypical = typical.score < typical.threshold
        record["typicality"] = typical.to_dict()
    if inferred is not None:
        record["membership"] = inferred.to_dict()
    return IdentityAudit(scores, result.flagged, duplicate, untypical, record | {"summary": summary(record)})


def _described(table: pa.Table, named_by_folder: bool) -> dict[str, Any]:
    """Counts and digest of real people, and whether folders told them apart; no name of a file or a person."""
    subjects, digests = set(table["subject"].to_pylist()), table["pixel_sha256"].to_pylist()
    return {
        "images": len(table),
        "people": None if None in subjects else len(subjects),
        "named_by_folder": named_by_folder,
        "sha256": hashlib.sha256("\n".join(map(str, digests)).encode("ascii")).hexdigest(),
    }


def told_by_folders(described: Mapping[str, Any]) -> str:
    """What is added to a number of people whom folders of pictures told apart: folders may be something else."""
    return " (taken for one a folder)" if described.get("named_by_folder") else ""


def summary(overlap: dict[str, Any]) -> list[str]:
    """What the figures say, one sentence or two each, fit for a card: no name of a person or a file."""
    real, names = overlap["reference"], " and ".join(n["name"] for n in overlap["networks"])
    of = "" if real["people"] is None else f" of {real['people']:,} people{told_by_folders(real)}"
    which = "recognizer" if len(overlap["networks"]) == 1 else "recognizers"
    lines = [f"Every image was searched among {real['images']:,} real images{of}, with the {which} {names}."]
    found = overlap["excess"]
    if found is not None:
        flagged, expected, excess = found["flagged"], found["expected"], found["excess"]
        lines.append(
            f"At a false-positive identification rate of {overlap['fpir']:.3g} an image, {flagged['value']:.0f} "
            f"are flagged and {expected['value']:.1f} expected by chance: {excess['value']:+.1f} in excess "
            f"(95 % interval {excess['low']:+.1f} to {excess['high']:+.1f})."
        )
    if overlap["second_samples"] is not None:
        rate = overlap["second_samples"]["found"]
        lines.append(
            f"Another image of an eye of the reference, withheld, is found with a rate of {rate['value']:.1%} "
            f"({rate['low']:.1%} to {rate['high']:.1%})."
        )
    if overlap["copies"]:
        rates = ", ".join(f"{copy['kind']} {copy['flagged']['value']:.0%}" for copy in overlap["copies"])
        lines.append(f"Planted copies of real images that are found: {rates}.")
    if overlap.get("membership") is not None:
        auc = overlap["membership"]["auc"]
        lines.append(
            f"Membership inference by the nearest image: area under the curve {auc['value']:.3f} (95 % interval "
            f"{auc['low']:.3f} to {auc['high']:.3f}). {overlap['membership']['verdict']}"
        )
    return [*lines, *overlap["notes"]]
