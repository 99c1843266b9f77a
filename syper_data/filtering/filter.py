"""``filter``: audit a dataset's images and write the ledger."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import remove_leftovers, write_atomically
from syper_data.dataset.directory import DatasetDirectory
from syper_data.dataset.lock import folder_lock
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError, UsageError
from syper_data.filtering.identity import DUPLICATE, OVERLAP, Comparison, IdentityAudit, audit_identities
from syper_data.filtering.ledger import LEDGER, Ledger, write_ledger
from syper_data.filtering.quality.measures import MeasureSet
from syper_data.filtering.quality.thresholds import Thresholds, bundled_thresholds, calibrate
from syper_data.filtering.scoring import CACHE, Report, score_dataset, score_source
from syper_data.filtering.settings import BUNDLED, DEFAULT_FPIR, DEFAULT_RATE, FilterSettings
from syper_data.filtering.typicality import REASON as UNTYPICAL
from syper_data.imaging.source import ImageSource
from syper_data.recognition.bundled import find_recognizer
from syper_data.recognition.embedding_table import is_embeddings

FILTER = "filter.json"
THRESHOLDS = "quality-thresholds.json"


@dataclass(frozen=True)
class FilterResult:
    """The ledger, and the figures that ``filter.json`` holds.

    ``figures``: ``rows``, ``kept``, ``rejected`` (by first reason) and ``reasons`` (images that have
    each one), ``quality`` (thresholds, where they are from, rejects), ``overlap`` (None without a
    comparison), ``settings``, and ``ledger_sha256``, the file that they belong to.
    """

    dataset: DatasetDirectory
    ledger: Ledger
    figures: dict[str, Any]


def filter(
    path: str | Path,
    *,
    reference: str | Path | None = None,
    calibration: str | Path | None = None,
    embedder: Sequence[str | Path] | None = None,
    fpir: float = DEFAULT_FPIR,
    neighbours: int = 5,
    duplicates: str = "report",
    typicality: bool = False,
    membership: bool = False,
    allow_seen_identities: bool = False,
    quality_only: bool = False,
    quality_thresholds: str | Path | None = None,
    false_rejection_rate: float = DEFAULT_RATE,
    iris_diameters: float | None = None,
    utility: bool = False,
    measure: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    workers: int | None = None,
    report: Report | None = None,
) -> FilterResult:
    """Audit the complete dataset directory ``path`` and write ``ledger.parquet`` and ``filter.json``
    into it. No image is changed, and a rejected one stays in the ledger with its reasons.

    Identity: every image is searched among the real people of ``reference`` (any image source, or a file of
    embeddings), in both orientations, and flagged where it is nearer to one than people who are not in
    the reference are, with a chance of ``fpir`` an image. Those are the people of ``calibration``, or
    each of the reference's in turn where a column ``subject`` names them; with neither nothing is flagged,
    and the figures say so. ``embedder`` names recognizers; the default are the two bundled auditors of
    the spectrum, each for people that it was not trained on, or the teacher where nobody knows who the
    people are. ``duplicates`` "reject" also rejects images that repeat an earlier one. ``typicality``
    rejects what lies further from all real images than ``false_rejection_rate`` of the real ones lie from
    other people's. ``membership`` also asks whether the images betray what the generator was trained on:
    then ``reference`` is what it was trained on, and ``calibration`` what it was not.
    ``quality_only`` leaves all this out.

    Quality: each measure of each image against thresholds that real crops set: those of
    ``quality_thresholds`` (a file, or "bundled"); without it the crops of ``reference``, where it
    is an image source with enough of them; else the bundled ones of the spectrum.
    ``false_rejection_rate`` of real crops may lie beyond each side of each measure. ``measure`` names
    measures of your own, ``"module:Class"``. ``utility`` also measures how steady the embedding of the
    spectrum's teacher is, a pass through the network an image. ``iris_diameters`` is the side of a crop, as in
    ``crop``.

    The same call again reuses all scores; other thresholds or rates redo the decision only. Killed, the
    same call goes on. ``report`` is called with a stage, images done and their total.

    Raises:
        UsageError: options that contradict each other, thresholds of another spectrum.
        InputError: no complete dataset, a source that can't be read. VerificationError: a damaged shard.
        LockedError: another process works in the folder. OutputError: it can't be written.
    """
    settings = FilterSettings(
        reference=_text(reference),
        calibration=_text(calibration),
        embedder=tuple(str(name) for name in embedder or ()),
        fpir=fpir,
        neighbours=neighbours,
        duplicates=duplicates,
        typicality=typicality,
        membership=membership,
        allow_seen_identities=allow_seen_identities,
        quality_only=quality_only,
        quality_thresholds=_text(quality_thresholds),
        false_rejection_rate=false_rejection_rate,
        iris_diameters=iris_diameters,
        utility=utility,
        measure=tuple(measure or ()),
        columns=dict(columns or {}),
    )
    DatasetDirectory.open(Path(path)).require_complete()  # before anything is locked or written
    with folder_lock(Path(path)):
        return filter_locked(Path(path), settings, workers, report)


def filter_locked(
    path: Path, settings: FilterSettings, workers: int | None, report: Report | None
) -> FilterResult:
    """:func:`filter` for a caller that holds the folder's lock."""
    dataset = DatasetDirectory.open(path)
    completion = dataset.require_complete()
    spectrum = dataset.manifest.generator.spectrum
    teacher = str(find_recognizer(spectrum=spectrum)) if settings.utility else None
    measures = MeasureSet(spectrum, settings.iris_diameters, settings.measure, teacher)
    comparison = None if settings.quality_only else Comparison.open(settings, spectrum)
    try:
        thresholds, origin = _thresholds(settings, measures, workers, report)
        scores: dict[str, Any] = dict(score_dataset(dataset, completion, measures, workers=workers, report=report))
        found = thresholds.reasons(scores)
        record: dict[str, Any] = {
            "settings": settings.to_dict(),
            "quality": _quality_figures(thresholds, origin, found),
            "overlap": None,
        }
        if comparison is not None:
            audit = audit_identities(dataset, settings, comparison, workers, report)
            scores |= audit.scores
            found = _with_identity(found, audit, settings)
            record["overlap"] = audit.record
        ledger = write_ledger(dataset, scores, found, record)
        return FilterResult(dataset, ledger, _write_figures(dataset, ledger, thresholds))
    finally:
        for folder in (path, path / CACHE):
            remove_leftovers(folder)


def _thresholds(
    settings: FilterSettings, measures: MeasureSet, workers: int | None, report: Report | None
) -> tuple[Thresholds, str]:
    """The thresholds, and where they come from: ``file``, ``reference`` or ``bundled``."""
    bundled = bundled_thresholds(measures.spectrum)
    if settings.quality_thresholds not in (None, BUNDLED):
        found, origin = Thresholds.read(str(settings.quality_thresholds)), "file"
        found.require_fit(measures, str(settings.quality_thresholds))
        if settings.false_rejection_rate not in (DEFAULT_RATE, found.rate) and not settings.typicality:
            raise UsageError(
                f"{settings.quality_thresholds}: its limits are for a false-rejection rate of {found.rate:g}, "
                "which --false-rejection-rate can't change; leave it out, or set limits anew from --reference"
            )
        return found, origin
    source = _image_source(settings) if settings.quality_thresholds is None else None
    if source is not None and len(source) * settings.false_rejection_rate >= 1:
        scored = score_source(source, measures, workers=workers, report=report)
        return calibrate(scored.scores, measures, scored.crops, settings.false_rejection_rate), "reference"
    found = Thresholds.read(bundled)
    fits = settings.false_rejection_rate == found.rate and {m.name for m in measures.measures} == set(found.limits)
    if source is not None and not fits:
        raise InputError(
            f"{settings.reference}: {len(source)} crops are too few for quality thresholds at a false-rejection "
            f"rate of {settings.false_rejection_rate:g}, and the bundled ones don't fit these options; give "
            f"{math.ceil(1 / settings.false_rejection_rate)} or more, or --quality-thresholds FILE"
        )
    if settings.false_rejection_rate != found.rate:
        raise InputError(
            f"{bundled.name}: the bundled quality thresholds are for a false-rejection rate of {found.rate:g}; "
            "for another one give real crops: --reference SOURCE"
        )
    found.require_fit(measures, f"the bundled quality thresholds ({measures.spectrum})")
    return found, BUNDLED


def _image_source(settings: FilterSettings) -> ImageSource | None:
    """The reference as images, or None where there is none or it holds embeddings."""
    if settings.reference is None or is_embeddings(settings.reference):
        return None
    return ImageSource.open(settings.reference, settings.columns)


def _with_identity(found: list[list[str]], audit: IdentityAudit, settings: FilterSettings) -> list[list[str]]:
    """The reasons with those of the identity audit before them: a leak weighs more than a blur."""
    for name, cases in (
        (UNTYPICAL, audit.untypical),
        (DUPLICATE, audit.duplicate if settings.duplicates == "reject" else None),
        (OVERLAP, audit.flagged),
    ):
        if cases is not None:
            found = [[name, *r] if case else r for case, r in zip(cases, found, strict=True)]
    return found


def _quality_figures(thresholds: Thresholds, origin: str, found: list[list[str]]) -> dict[str, Any]:
    rejected = sum(bool(r) for r in found)
    return {
        "origin": origin,
        "thresholds": thresholds.to_dict(),
        "rejected": rejected,
        "share": rejected / len(found),
        "expected_share": thresholds.rejected,
    }


def _write_figures(dataset: DatasetDirectory, ledger: Ledger, thresholds: Thresholds) -> dict[str, Any]:
    thresholds.write(dataset.path / THRESHOLDS)
    reasons = Counter(reason for row in ledger.table["reasons"].to_pylist() for reason in row)
    figures = {
        **ledger.record,
        "reasons": dict(reasons.most_common()),
        "ledger_sha256": file_sha256(dataset.path / LEDGER),
    }
    write_atomically(dataset.path / FILTER, json.dumps(figures, indent=2) + "\n")
    return figures


def _text(value: str | Path | None) -> str | None:
    return None if value is None else str(value)
