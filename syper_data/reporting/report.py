"""``report``: one self-contained page of a dataset and its audit."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import write_atomically
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, UsageError
from syper_data.filtering.ledger import LEDGER
from syper_data.rendering.numbers import count, percent
from syper_data.rendering.templates import render_template
from syper_data.reporting.audited import Audited
from syper_data.reporting.pictures import pairs, real_images, sheet
from syper_data.reporting.quality import quality_sections
from syper_data.reporting.tables import (
    commands,
    duplicate_rows,
    made_rows,
    membership_rows,
    overlap_rows,
    sensitivity_rows,
    similarity_chart,
    trained_on_audited,
)
from syper_data.reporting.verdict import blind_spots, verdict

PAGE, TEMPLATE = "report.html", "audit.html.j2"


@dataclass(frozen=True)
class ReportResult:
    """Where the page is, which of the verdict's headlines it bears, and whether it shows real people."""

    path: Path
    level: str
    headline: str
    shows_real: bool


def report(
    path: str | Path,
    *,
    out: str | Path | None = None,
    reference: str | Path | None = None,
    show_real: bool = False,
    columns: Mapping[str, str] | None = None,
) -> ReportResult:
    """Write the page of the complete dataset directory ``path``: ``report.html`` in it, or ``out``.

    The page is one file without scripts that opens offline and prints; the same files give the same bytes.
    Real images are shown beside those that resemble them only with ``show_real`` and the ``reference`` they
    are in (an image source, with ``columns`` as in ``filter``); else their names stand there.

    Raises:
        UsageError: ``show_real`` and ``reference`` belong together.
        InputError: no complete dataset; a ledger that is damaged or another dataset's; a reference that can't be
            read or is another. VerificationError: a damaged shard. LockedError: another process works in
            the folder. OutputError: the page can't be written.
    """
    path = Path(path)
    if show_real and reference is None:
        raise UsageError("--show-real needs the real images: --reference SOURCE")
    if reference is not None and not show_real:
        raise UsageError("--reference shows real people on the page; say so with --show-real")
    Audited.open(path)  # before anything is locked or written
    with folder_lock(path) if out is None else nullcontext():
        audited = Audited.open(path)
        target = path / PAGE if out is None else Path(out)
        try:
            real = real_images(audited, str(reference), columns) if show_real and audited.overlap else None
            values = page_values(audited, real)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise InputError(
                f"{path / LEDGER}: its record is not one that this toolkit's filter writes "
                f"({type(error).__name__}: {error}); run syper-data filter again"
            ) from error
        write_atomically(target, render_template(TEMPLATE, **values))
    words = values["verdict"]
    return ReportResult(target, words.level, words.headline, values["shows_real"])


def page_values(audited: Audited, real: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the template is filled with."""
    overlap, ledger = audited.overlap, audited.ledger
    shown = pairs(audited, real)
    n, kept = len(audited.dataset), len(audited.kept)
    return {
        "title": audited.name,
        "verdict": verdict(audited),
        "shows_real": any(p.real for p in shown),
        "digests": audited.digests,
        "audited": ledger is not None,
        "nothing_kept": not kept,
        "totals": {
            "rows": count(n),
            "kept": count(kept),
            "kept_share": percent(kept / n),
            "rejected": count(n - kept),
        },
        "reasons": [
            {"reason": reason, "first": count(first), "share": percent(first / n), "all": count(have)}
            for reason, first, have in audited.counts()
        ],
        "sheet": sheet(audited),
        "overlap": None if overlap is None else list(overlap_rows(overlap)),
        "trained_on_audited": trained_on_audited(audited),
        "chart": similarity_chart(audited),
        "chart_note": "What lies beyond the threshold is flagged."
        if overlap is not None and len(overlap["networks"]) == 1 and overlap["excess"] is not None
        else "The thresholds are in the table.",
        "pairs": shown,
        "sensitivity": [] if overlap is None else sensitivity_rows(overlap),
        "blind_spots": [] if overlap is None else list(blind_spots(overlap)),
        "duplicates": [] if overlap is None else duplicate_rows(overlap),
        "membership": membership_rows(audited.membership) if audited.membership else [],
        "membership_verdict": audited.membership["verdict"] if audited.membership else "",
        "quality": quality_sections(audited),
        "quality_record": _quality(audited),
        "made": list(made_rows(audited)),
        "commands": commands(audited),
    }


def _quality(audited: Audited) -> dict[str, str] | None:
    quality = audited.record.get("quality")
    if audited.ledger is None or not quality:
        return None
    thresholds = quality["thresholds"]
    return {
        "rate": percent(thresholds["rate"]),
        "crops": f"{count(thresholds['crops']['images'])} {thresholds['crops'].get('what', 'real crops')}",
        "digest": str(thresholds["crops"].get("sha256", "not recorded")),
        "origin": {
            "file": "a file that was given",
            "bundled": "the ones that ship with the toolkit",
            "reference": "set from the reference",
        }[quality["origin"]],
        "share": percent(quality["share"]),
        "expected": percent(quality["expected_share"]),
    }
