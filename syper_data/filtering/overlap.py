"""The identity audit: whom of a real reference set do synthetic images resemble more than chance allows?

:func:`audit_overlap` takes one or several networks, each of which judges only those people of the reference
that it was not trained on. It decides per image at a false-positive identification rate (FPIR), counts what
chance explains, and proves its own sensitivity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from syper_data.errors import InputError, UsageError
from syper_data.filtering.auditor import Auditor, SearchSettings, Sets, View, look, seen_people
from syper_data.filtering.decision import Rule, excess, false_alarms, flagged_by, rules
from syper_data.filtering.distinct import duplicates, label_figures
from syper_data.filtering.embedding_set import require_same_images
from syper_data.filtering.overlap_result import OverlapResult, describe_networks, notes
from syper_data.filtering.search import Rows
from syper_data.filtering.sensitivity import Images, copy_rates, rows_to_plant, second_samples
from syper_data.metrics.intervals import Floats
from syper_data.recognition.recognizer_file import identity_digest, knows


@dataclass(frozen=True)
class _Options:
    fpir: float
    copies: int
    repeats: int
    duplicate_similarity: float | None
    allow_seen_identities: bool
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.fpir < 1:
            raise UsageError(f"fpir is {self.fpir}: must lie between 0 and 1")
        if self.copies < 1 or self.repeats < 1:
            raise UsageError(f"copies is {self.copies} and repeats {self.repeats}: at least 1 each")
        if self.duplicate_similarity is not None and not -1 <= self.duplicate_similarity <= 1:
            raise UsageError(f"duplicate_similarity is {self.duplicate_similarity}: a cosine lies in -1..1")


def audit_overlap(
    auditors: Sequence[Auditor],
    *,
    fpir: float = 0.01,
    neighbours: int = 5,
    reference_images: Images | None = None,
    copies: int = 200,
    repeats: int = 1000,
    duplicate_similarity: float | None = None,
    allow_seen_identities: bool = False,
    threads: int = 1,
    seed: int = 0,
) -> OverlapResult:
    """Search every synthetic image in the reference and decide on it at ``fpir``.

    Each auditor holds one network's embeddings of the same images. With several, each person of the reference is
    audited by a network that was not trained on that person; the chance that any of them flags an image of a new
    person is ``fpir`` in all (:mod:`~syper_data.filtering.decision`). Near-duplicates are judged by the first.

    The threshold comes from the auditors' ``calibration`` (people who are not in the reference), else from leaving
    each person of a labelled reference out (:mod:`~syper_data.filtering.threshold`); with neither there is none,
    and the result says so. ``reference_images`` (row numbers -> uint8 images in canonical orientation) and the
    auditors' ``embed`` make ``copies`` planted copies of each kind possible. ``duplicate_similarity`` replaces
    the threshold for near-duplicates.

    Raises:
        InputError: an empty set, another network's embeddings, sets of other images, values that are not
            finite, calibration people without a name, in the reference or known to the network, a person whom
            every network was trained on; a reference without labels, with several auditors.
        UsageError: too few calibration people for ``fpir``, options out of range.
    """
    options = _Options(fpir, copies, repeats, duplicate_similarity, allow_seen_identities, seed)
    settings = SearchSettings(neighbours, threads)
    sets = [Sets.of(auditor) for auditor in auditors]
    _same_images(sets)
    if not options.allow_seen_identities:
        _refuse_seen(sets)
    owner = split_reference(
        sets[0].reference.subjects, [s.identities or frozenset() for s in sets], allow_seen_identities
    )
    parts = [(s, np.flatnonzero(owner == i)) for i, s in enumerate(sets) if (owner == i).any()]
    views = [look(s, rows, settings) for s, rows in parts]
    return _decide(views, options, settings, reference_images)


def split_reference(
    subjects: Sequence[str | None], identities: Sequence[frozenset[str]], allow_seen: bool = False
) -> Rows:
    """Which network audits each row: one that was not trained on the row's person, chosen by the hash of the id
    where several were not. One network audits everything.

    Raises:
        InputError: a person whom all networks were trained on, or who is not known.
    """
    if len(identities) == 1:
        return np.zeros(len(subjects), np.int64)
    owner: dict[str, int] = {}
    for row, subject in enumerate(subjects):
        if subject is None:
            raise InputError(
                f"reference row {row} has no subject: with several auditors it must be known which of them was "
                "trained on whom"
            )
        if subject in owner:
            continue
        free = [i for i, seen in enumerate(identities) if not knows(seen, subject)]
        if not free and not allow_seen:
            raise InputError(
                f"reference row {row}: every auditor was trained on subject {subject}; take the subject out, or "
                "allow_seen_identities"
            )
        free = free or list(range(len(identities)))
        # other bits than those of the held-out share and of the halves, or all the held-out would go to one
        owner[subject] = free[int(identity_digest(subject)[8:16], 16) % len(free)]
    return np.asarray([owner[str(s)] for s in subjects], np.int64)


def _decide(
    views: list[View], options: _Options, settings: SearchSettings, reference_images: Images | None
) -> OverlapResult:
    found = rules(views, options.fpir)
    tops = [v.nearest.similarity[:, 0].astype(np.float64) for v in views]
    thresholds = {part: t for rule in found for part, t in rule.thresholds().items()}
    margins = [_margin(part, top, found) for part, top in enumerate(tops)]
    network = np.argmax(margins, axis=0)
    everyone = np.arange(len(network))
    rows, similarity, mirrored = (
        np.stack(values)[network, everyone]
        for values in (
            [v.nearest.rows for v in views],
            [v.nearest.similarity for v in views],
            [v.mirrored for v in views],
        )
    )
    centres = [v.centre for v in views if v.centre is not None]
    synthetic, reference = views[0].sets.synthetic, views[0].sets.reference
    flagged = flagged_by(found, tops) if found else None
    planted = None
    if found and reference_images is not None and all(v.sets.embed is not None for v in views):
        chosen = rows_to_plant(reference.people, options.copies, options.seed)
        planted = copy_rates(views, found, reference_images, chosen, settings, options.seed)
    second = (
        second_samples(views, [thresholds[i] for i in range(len(views))], seed=options.seed) if found else None
    )
    like = thresholds.get(0) if options.duplicate_similarity is None else options.duplicate_similarity
    by_identity = options.duplicate_similarity is None
    return OverlapResult(
        nearest=rows,
        similarity=similarity,
        centre=np.stack(centres)[network, everyone] if len(centres) == len(views) else None,
        mirrored=mirrored,
        network=network,
        flagged=flagged,
        fpir=options.fpir,
        networks=describe_networks(views, thresholds, found, settings, options.seed),
        excess=None
        if flagged is None
        else excess(flagged, reference.people[rows[:, 0]], found, options.repeats, options.seed),
        false_alarms=tuple(false_alarms(rule) for rule in found),
        second_samples=second,
        copies=planted,
        duplicates=None
        if like is None
        else duplicates(
            synthetic, like, settings,
            fpir=options.fpir if by_identity else None, references=len(views[0].rows),
        ),
        labels=None if 0 not in thresholds else label_figures(synthetic, thresholds[0], settings),
        notes=notes(views, found, second, planted, reference_images is not None, options.allow_seen_identities),
        repeats=options.repeats,
        seed=options.seed,
    )  # fmt: skip


def _margin(part: int, similarity: Floats, found: Sequence[Rule]) -> Floats:
    """How near a part came to flagging each image; without rules, the similarity."""
    return next((rule.margin(part, similarity) for rule in found if part in rule.parts), similarity)


def _same_images(sets: Sequence[Sets]) -> None:
    if not sets:
        raise UsageError("an audit needs at least one network")
    first = sets[0]
    for other in sets[1:]:
        for name in ("synthetic", "reference", "calibration"):
            a, b = getattr(first, name), getattr(other, name)
            if (a is None) != (b is None):
                raise UsageError("either every auditor has a calibration set or none has")
            if a is not None:
                require_same_images(a, b)


def _refuse_seen(sets: Sequence[Sets]) -> None:
    for one in sets:
        checked = [one.calibration] if one.calibration is not None else []
        checked += [one.reference] if len(sets) == 1 else []
        for people in checked:
            refuse_seen(people.role, people.subjects, people.header.embedder_name, one.identities)


def refuse_seen(role: str, subjects: Iterable[str | None], name: str, identities: frozenset[str] | None) -> None:
    """Nobody may be judged by, or set the threshold of, a network that was trained on them.

    Raises:
        InputError: the network ``name`` was trained on one of the subjects of the ``role``.
    """
    seen = seen_people(subjects, identities)
    if seen:
        raise InputError(
            f"{len(seen)} of the {role} subjects (such as {seen[0]}) were in the training of {name}: its "
            "similarities for them are no measure for others; take another network or other people, or, where "
            "they only share these ids, --allow-seen-identities"
        )
