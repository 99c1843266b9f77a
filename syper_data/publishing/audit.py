"""What the card of a filtered dataset says of its audit, from the ledger's record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from syper_data.errors import InputError
from syper_data.filtering.identity import SCORES
from syper_data.filtering.ledger import LEDGER, Ledger
from syper_data.publishing.filtered import published_scores


@dataclass(frozen=True)
class AuditText:
    """``made`` images in all; ``rejected`` holds reason and count, the weightiest reason of each image;
    ``scores`` name and description of the published columns; ``quality`` and ``overlap`` are sentences."""

    made: int
    kept: int
    rejected: list[tuple[str, int]]
    scores: list[tuple[str, str]]
    quality: str
    overlap: list[str]


def audit_text(ledger: Ledger) -> AuditText:
    """The text; nothing of it names a real image or a file of the auditor's machine.

    Raises:
        InputError: the record holds no figures of a filter.
    """
    record = ledger.record
    try:
        quality, thresholds = record["quality"], record["quality"]["thresholds"]
        limits = thresholds["limits"]
        crops = thresholds["crops"]
        text = (
            f"{len(limits)} measures of image quality. Their thresholds were set on {crops['images']:,} "
            f"{crops.get('what', 'real crops')} so that each side of each measure rejects at most "
            f"{thresholds['rate']:.2%} of them; all together reject {quality['expected_share']:.2%} of those "
            f"crops, and {quality['share']:.2%} of the images made here."
        )
        scores = [
            (name, _describe(limits[name]) if name in limits else SCORES.get(name, "a score"))
            for name in published_scores(ledger)
        ]
        rejected = [(str(reason), int(count)) for reason, count in record["rejected"].items()]
        overlap = [str(line) for line in (record["overlap"] or {}).get("summary", [])]
        return AuditText(int(record["rows"]), ledger.kept, rejected, scores, text, overlap)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{LEDGER}: records no figures of a filter ({type(error).__name__}: {error})") from error


def _describe(limit: dict[str, Any]) -> str:
    sides = [
        f"{reason!r} {word} {limit[side]:.4g}"
        for side, word, reason in (("low", "below", limit["low_reason"]), ("high", "above", limit["high_reason"]))
        if limit[side] is not None
    ]
    return f"image quality, in {limit['unit']}; " + ", ".join(sides)
