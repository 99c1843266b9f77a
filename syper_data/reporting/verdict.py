"""The verdict in plain words: what was tested, what was found, what it means and what it does not mean.

It is written for the person who answers for the data, not for the one who made them. The words follow
from the figures alone; who signs decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from syper_data.filtering.identity import OVERLAP, told_by_folders
from syper_data.rendering.numbers import count, counted, percent
from syper_data.reporting.audited import Audited

WEAK = 0.9  # a test that finds less than this share of planted leaks has not shown that it would see one

NOT_AUDITED, NOT_COMPARED, NO_THRESHOLD, RESEMBLES, MEMBERSHIP, UNPROVEN, CLEAR = (
    "not audited",
    "not compared",
    "no threshold",
    "resembles",
    "membership",
    "unproven",
    "clear",
)
HEADLINES = {
    NOT_AUDITED: "Not audited: nothing is known about these images.",
    NOT_COMPARED: "Only image quality was checked. Whether the images show real people was not tested.",
    NO_THRESHOLD: "Compared with real people, but nothing can be concluded: there is no threshold.",
    RESEMBLES: "More images resemble real people than chance explains.",
    MEMBERSHIP: "It can be told, to a degree, which photos the generator was trained on.",
    UNPROVEN: "Nothing stands out, but it was not shown that this audit would have seen every leak.",
    CLEAR: "No more images resemble these real people than chance explains.",
}


@dataclass(frozen=True)
class Verdict:
    """``level`` is one of the keys of :data:`HEADLINES`; the lists hold sentences."""

    level: str
    headline: str
    tested: list[str]
    found: list[str]
    means: list[str]
    not_means: list[str]
    open_points: list[str]


def verdict(audited: Audited) -> Verdict:
    """The words for a dataset.

    Raises:
        KeyError, TypeError, ValueError: the record is none that ``filter`` wrote.
    """
    level = level_of(audited)
    return Verdict(
        level,
        HEADLINES[level],
        list(_tested(audited)),
        list(_found(audited)),
        list(_means(audited, level)),
        list(_not_means(audited)),
        list(open_points(audited)),
    )


def level_of(audited: Audited) -> str:
    """Which of the headlines the figures call for."""
    overlap = audited.overlap
    if audited.ledger is None:
        return NOT_AUDITED
    if overlap is None:
        return NOT_COMPARED
    if overlap["excess"] is None:
        return NO_THRESHOLD
    if overlap["excess"]["excess"]["low"] > 0:
        return RESEMBLES
    if membership_shows(audited.membership):
        return MEMBERSHIP
    return UNPROVEN if list(blind_spots(overlap)) else CLEAR


def blind_spots(overlap: Mapping[str, Any]) -> Iterator[str]:
    """Leaks that the audit would not have seen, or was not shown to see; one sentence each."""
    second, copies = overlap["second_samples"], overlap["copies"]
    if overlap["excess"] is None:
        return
    if second is None:
        what = "Copies were tested, identity was not" if copies else "Neither copies nor identity were tested"
        yield (
            f"{what}: the reference holds no second image of any eye that could be withheld and searched for. A "
            "new picture of a person in the reference could have gone unnoticed."
        )
    elif second["found"]["value"] < WEAK:
        yield (
            f"A leaked identity could have gone unnoticed: of 100 new pictures of people in the reference, about "
            f"{100 * (1 - second['found']['value']):.0f} would have been missed."
        )
    if copies is None:
        yield "No copies of reference images were planted, so nobody knows whether copies would have been found."
    weak = [rate for rate in copies or () if rate["flagged"]["value"] < WEAK]
    if weak:
        missed = (
            f"{100 * (1 - rate['flagged']['value']):.0f} {str(rate['kind']).replace('_', ' ')}" for rate in weak
        )
        kinds = ", ".join(missed)
        yield f"Altered copies could have gone unnoticed. Of 100 of each kind would have been missed: {kinds}."


def open_points(audited: Audited) -> Iterator[str]:
    """What can't be concluded from this audit."""
    overlap = audited.overlap
    if audited.ledger is None:
        yield "Anything: the dataset has no ledger. syper-data filter makes one."
        return
    if overlap is None:
        yield (
            "Whether any image shows a real person: nobody was compared with. That takes the real images that the "
            "generator was trained on."
        )
    else:
        spots = list(blind_spots(overlap))
        yield from spots
        yield from (note for note in overlap["notes"] if not _said(note))
    if audited.membership is None:
        yield (
            "Whether someone with a person's photo could tell that it was used to train the generator: no "
            "membership inference was run."
        )
    if not audited.record.get("quality"):
        yield "Whether the images are usable: no quality measures are recorded."


def membership_shows(membership: Mapping[str, Any] | None) -> bool:
    """Whether training photos can be told from others beyond chance, by the rule of ``filtering.membership``."""
    if membership is None:
        return False
    tails = [at for at in membership["at"] if at["tpr"] is not None and at["tpr"]["low"] > at["fpr"]]
    return bool(membership["auc"]["low"] > 0.5 or tails)


def _said(note: object) -> bool:
    """Whether :func:`blind_spots` says it already, in plainer words."""
    starts = ("Copies were tested", "Neither copies nor", "Of withheld images", "No copies were planted", "Of ")
    return str(note).startswith(starts)


def _tested(audited: Audited) -> Iterator[str]:
    overlap, quality, n = audited.overlap, audited.record.get("quality"), len(audited.dataset)
    if audited.ledger is None:
        yield "Nothing. The dataset has no ledger, the file in which an audit writes a row for every image."
        return
    if overlap is not None:
        yield _compared(overlap, n)
        yield from _sensitivity_tested(overlap)
    if quality:
        thresholds = quality["thresholds"]
        measures, crops = counted(len(thresholds["limits"]), "measure"), thresholds["crops"]
        yield (
            f"Each image was measured for quality ({measures}, such as sharpness and whether an eye can be seen). "
            f"The limits come from {count(crops['images'])} {crops.get('what', 'real crops')}."
        )
    if audited.membership is not None:
        m = audited.membership
        yield (
            f"Whether {count(m['train_images'])} training images can be told from {count(m['held_out_images'])} "
            "images that the generator never saw, by how near the synthetic images come to them."
        )


def _compared(overlap: Mapping[str, Any], n: int) -> str:
    real, calibration = overlap["reference"], overlap["networks"][0]["calibration"]
    people = "" if real["people"] is None else f" of {counted(real['people'], 'person')}{told_by_folders(real)}"
    by = (
        "a network that recognises people by the region of the eye"
        if len(overlap["networks"]) == 1
        else f"{len(overlap['networks'])} networks that recognise people by the region of the eye, each for the "
        "people that it was not trained on"
    )
    text = (
        f"Each of the {count(n)} images was compared with each of {count(real['images'])} real images{people} "
        f"(the reference), by {by}."
    )
    if calibration is None or overlap["excess"] is None:
        return text
    return text + (
        f" An image is flagged where it is nearer to someone in the reference than pictures of strangers "
        f"are: only {percent(overlap['fpir'])} of strangers would be flagged."
    )


def _sensitivity_tested(overlap: Mapping[str, Any]) -> Iterator[str]:
    second, copies = overlap["second_samples"], overlap["copies"]
    parts = []
    if second is not None:
        parts.append(
            f"{count(second['found']['n'])} pictures of people in the reference were withheld and searched for"
        )
    if copies:
        tried = count(copies[0]["flagged"]["n"])
        parts.append(f"copies of {tried} reference images were planted, altered in {len(copies)} ways")
    if parts:
        yield f"Would the audit see a leak? To find out, {' and '.join(parts)}."


def _found(audited: Audited) -> Iterator[str]:
    overlap, n = audited.overlap, len(audited.dataset)
    if audited.ledger is None:
        yield f"{count(n)} images, which nobody has checked."
        return
    if overlap is not None and overlap["excess"] is not None:
        yield from _overlap_found(audited, overlap, n)
    second, copies = (overlap or {}).get("second_samples"), (overlap or {}).get("copies")
    if second is not None:
        yield f"Of withheld pictures of people in the reference, {_with_interval(second['found'])} were found."
    if copies:
        shares = [copy["flagged"]["value"] for copy in copies]
        low, high = percent(min(shares)), percent(max(shares))
        yield (
            f"Of planted copies, {low} to {high} were found, depending on the kind."
            if low != high
            else (f"Of planted copies of every kind, {low} were found.")
        )
    if audited.membership is not None:
        yield str(audited.membership["verdict"])
    yield f"{count(audited.ledger.kept)} of {count(n)} images are kept, {count(n - audited.ledger.kept)} rejected."


def _overlap_found(audited: Audited, overlap: Mapping[str, Any], n: int) -> Iterator[str]:
    flagged, expected, excess = (overlap["excess"][k] for k in ("flagged", "expected", "excess"))
    yield (
        f"Flagged: {count(flagged['value'])} of {counted(n, 'image')}. By chance alone {count(expected['value'])} "
        f"would be. The difference is {_signed(excess['value'])} (95 % interval: {_signed(excess['low'])} to "
        f"{_signed(excess['high'])})."
    )
    rejected = sum(OVERLAP in reasons for reasons in audited.reasons)
    if flagged["value"]:
        yield "All flagged images are rejected; none is kept."
    if rejected != flagged["value"]:
        raise ValueError(f"{count(flagged['value'])} images are flagged, {count(rejected)} rejected for it")


def _means(audited: Audited, level: str) -> Iterator[str]:
    if level == NOT_AUDITED:
        yield "There is no ground to sign this dataset. Run syper-data filter first."
        return
    if level == NOT_COMPARED:
        yield (
            "There is no ground to call these images private. They can be used only where privacy is settled in "
            "another way."
        )
        return
    if level == NO_THRESHOLD:
        yield "Which similarity is more than chance is not known, so no image was flagged and none is cleared."
        return
    excess, n = audited.overlap["excess"]["excess"], len(audited.dataset)  # type: ignore[index]
    if level == RESEMBLES:
        least = counted(max(1, math.floor(excess["low"])), "image")
        yield (
            f"Beyond chance, very probably {least} or more show, or closely resemble, people in the reference. If "
            "the generator was trained on these people, it has kept traces of them."
        )
        yield (
            "The flagged images are rejected. That is not enough to call the rest private: "
            "where some crossed the line, others may lie just below it. Look at the pairs below before deciding."
        )
        return
    if level == MEMBERSHIP:
        yield (
            "The images lie nearer to the photos that the generator was trained on than to photos that it never "
            "saw: it has kept traces of its training, even though the number of images that resemble a person of "
            "the reference is not beyond chance."
        )
        return
    if level == UNPROVEN:
        yield (
            "This is no proof of privacy: some leaks would not have been seen. They are named under “What can not "
            "be concluded”."
        )
    yield (
        "As far as this network sees, the images resemble the people of the reference about as much as "
        "pictures of strangers do. The figures "
        f"leave room for at most {count(max(0, math.ceil(excess['high'])))} of {count(n)} images beyond chance."
    )
    yield "Flagged images are rejected all the same, so that the kept ones hold none of them."


def _not_means(audited: Audited) -> Iterator[str]:
    if audited.ledger is None:
        return
    if audited.overlap is not None:
        yield (
            "It says nothing about people who are not in the reference. If the reference is not all of the "
            "training data, the rest was not tested."
        )
        yield (
            "It does not prove that no image shows a real person: a person, or another network, may see a "
            "likeness that this network does not."
        )
    else:
        yield "It does not mean that the images are private, only that they were sorted by quality."
    yield "It is not a legal finding of anonymity. It is one piece of evidence for the person who decides."


def _with_interval(rate: Mapping[str, Any]) -> str:
    return f"{percent(rate['value'])} (95 % interval {percent(rate['low'])} to {percent(rate['high'])})"


def _signed(value: float) -> str:
    return "0" if value == 0 else ("+" if value > 0 else "-") + count(abs(value))
