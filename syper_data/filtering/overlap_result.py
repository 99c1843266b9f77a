"""What an identity audit found, ready for the ledger, the report page and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.filtering.auditor import Bools, SearchSettings, View, seen_people
from syper_data.filtering.decision import Excess, FalseAlarms, Rule
from syper_data.filtering.distinct import Duplicates, LabelFigures
from syper_data.filtering.search import ArrayBlocks, Rows, Similarities, count_at_least
from syper_data.filtering.sensitivity import CopyRate, SecondSamples
from syper_data.filtering.threshold import LEFT_OUT, independent_pair_fmr, people_needed
from syper_data.metrics.record import json_ready

PAIR_QUERIES = 2000  # calibration images whose comparisons are counted for the pairwise rate
_WEAK = 0.9


@dataclass(frozen=True)
class Network:
    """One network of the audit: what it searched, and what its threshold means.

    ``pair_fmr`` is the share of ``pairs`` comparisons of calibration and reference images of different
    people at or above the threshold; ``independent_pair_fmr`` what it would be if all comparisons of a
    search were independent, 1 - (1 - fpir)^(1/N).
    """

    name: str
    sha256: str
    reference_images: int
    reference_people: int | None
    calibration: str | None
    calibration_people: int
    calibration_images: int
    people_needed: int | None
    threshold: float | None
    fpir: float | None
    pair_fmr: float | None
    pairs: int
    independent_pair_fmr: float | None
    both_orientations: bool


@dataclass(frozen=True)
class OverlapResult:
    """Arrays over the synthetic images [n], and figures.

    ``nearest`` int64 [n, k]: rows of the reference, nearest first, of the network (``network`` [n], an index into
    ``networks``) that came nearest to flagging the image; ``similarity`` float32 [n, k] the cosines;
    ``mirrored``: the reference image was nearer when mirrored; ``centre`` float32 [n] | None: the similarity to
    the nearest identity's mean. ``flagged`` [n], ``excess``, ``second_samples`` and ``copies`` are None where
    there is no threshold or nothing to measure them with; ``notes`` says why.
    """

    nearest: Rows
    similarity: Similarities
    centre: Similarities | None
    mirrored: Bools
    network: Rows
    flagged: Bools | None
    fpir: float
    networks: tuple[Network, ...]
    excess: Excess | None
    false_alarms: tuple[FalseAlarms, ...]
    second_samples: SecondSamples | None
    copies: tuple[CopyRate, ...] | None
    duplicates: Duplicates | None
    labels: LabelFigures | None
    notes: tuple[str, ...]
    repeats: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """All figures without the per-image arrays, JSON-ready."""
        arrays = ("nearest", "similarity", "centre", "mirrored", "network", "flagged", "duplicates")
        figures = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in arrays}
        found: dict[str, Any] = json_ready(figures)
        found["images"] = len(self.nearest)
        found["duplicates"] = None if self.duplicates is None else json_ready(self.duplicates.to_dict())
        found["similarity_quantiles"] = {
            str(q): float(np.quantile(self.similarity[:, 0], q)) for q in (0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
        }
        return found


def describe_networks(
    views: Sequence[View],
    thresholds: Mapping[int, float],
    found: Sequence[Rule],
    settings: SearchSettings,
    seed: int,
) -> tuple[Network, ...]:
    """The networks of an audit, with the pairwise rates of their thresholds."""
    described = []
    for part, view in enumerate(views):
        calibration, threshold = view.calibration, thresholds.get(part)
        fpir = next((rule.fpir for rule in found if part in rule.parts), None)
        rate, pairs = (None, 0) if threshold is None else _pair_rate(view, threshold, settings, seed)
        header, reference = view.sets.reference.header, view.reference
        described.append(
            Network(
                name=header.embedder_name,
                sha256=header.embedder_sha256,
                reference_images=len(reference),
                reference_people=int(reference.people.max()) + 1 if reference.labelled else None,
                calibration=None if calibration is None else calibration.kind,
                calibration_people=0 if calibration is None else calibration.people,
                calibration_images=0 if calibration is None else len(calibration.similarity),
                people_needed=None
                if calibration is None or fpir is None
                else people_needed(fpir, calibration.kind),
                threshold=threshold,
                fpir=fpir,
                pair_fmr=rate,
                pairs=pairs,
                independent_pair_fmr=None if fpir is None else independent_pair_fmr(fpir, len(reference)),
                both_orientations=view.turned is not None,
            )
        )
    return tuple(described)


def notes(
    views: Sequence[View],
    found: Sequence[Rule],
    second: SecondSamples | None,
    copies: Sequence[CopyRate] | None,
    images_given: bool,
    seen_allowed: bool,
) -> tuple[str, ...]:
    """What a reader must know to judge the figures, one sentence or two each."""
    said = []
    if not found:
        said.append(
            "No threshold: the reference has no identity labels and no calibration set was given, so nothing is "
            "flagged and nothing can be concluded about identities. Give a calibration set of people who are not "
            "in the reference."
        )
    elif views[0].calibration is not None and views[0].calibration.kind == LEFT_OUT:
        said.append(
            "The threshold leaves each person of the reference out in turn: that person was searched among one "
            "person fewer than the synthetic images were; the threshold's rule allows for that."
        )
    if len(found) > 1:
        shares = ", ".join(f"{rule.fpir:.3g}" for rule in found)
        said.append(f"Each network has its share of the FPIR, in proportion to the images it audits: {shares}.")
    if found and second is None:
        what = "Copies were tested, identity was not" if copies else "Neither copies nor identity were tested"
        said.append(f"{what}: the reference has no second image of an eye that could be withheld.")
    if second is not None and second.found.value < _WEAK:
        said.append(
            f"Of withheld images of people in the reference {second.found.value:.0%} are found: that nothing is "
            "flagged would not mean that nothing leaked."
        )
    if found and copies is None:
        missing = "the networks' embedding function" if images_given else "the reference's images"
        said.append(f"No copies were planted: {missing} must be given for that.")
    for rate in copies or ():
        if rate.flagged.value < _WEAK:
            said.append(f"Of {rate.kind} copies only {rate.flagged.value:.0%} are found.")
    if not all(v.turned is not None for v in views):
        said.append("Images were searched in one orientation: mirrored copies can be missed.")
    if any(v.sets.identities is None for v in views):
        said.append("Whom a network was trained on is not known: it may have been trained on these very people.")
    if seen_allowed and any(seen_people(v.reference.subjects, v.sets.identities) for v in views):
        said.append(
            "A network audited people that it was trained on: its sensitivity looks better than it is for others."
        )
    return tuple(said)


def _pair_rate(view: View, threshold: float, settings: SearchSettings, seed: int) -> tuple[float | None, int]:
    """The share of non-mated comparisons at or above the threshold, over a draw of calibration images."""
    people = view.sets.calibration or view.reference
    rows = np.random.default_rng([seed, 5]).permutation(len(people))[:PAIR_QUERIES]
    rows.sort()
    left_out = view.sets.calibration is None
    above, compared = count_at_least(
        ArrayBlocks(people.gather(rows), people.vectors.where),
        view.reference.vectors,
        threshold,
        query_groups=people.people[rows] if left_out else None,
        reference_groups=view.reference.people if left_out else None,
        threads=settings.threads,
        query_rows=settings.query_rows,
        reference_rows=settings.reference_rows,
    )
    return (above / compared if compared else None), compared
