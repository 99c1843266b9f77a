"""``protocol make``: a protocol from any labelled images, seeded, with its counts and its proof.

Everything is decided by digests of names and by a seed, never by the order of rows: the same images give the
same protocol wherever they lie. What is written is described in :mod:`syper_data.protocols.writing`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from syper_data.errors import InputError, UsageError
from syper_data.imaging.source import ImageSource, Labels
from syper_data.protocols.drawing import draw
from syper_data.protocols.labels import Unused, natural, read_labels
from syper_data.protocols.made import MadeProtocol
from syper_data.protocols.making_settings import DEFAULT_FOLDS, MakingSettings
from syper_data.protocols.protocol import Fold
from syper_data.protocols.splitting import (
    SplitFold,
    check_folds,
    closed_roles,
    open_roles,
    parts_of,
    prove,
    read_split,
    share_of,
    split_roles,
)
from syper_data.protocols.table import (
    GALLERY,
    PROBE,
    TEST,
    TESTED,
    TRAIN,
    UNUSED,
    VAL,
    ImageTable,
    Rule,
    count,
    fold_of,
)
from syper_data.protocols.writing import write_protocol

_KEYS = (
    ("subject", "side", "sample"),
    ("subject", "side", "spectrum", "sample"),
    ("subject", "sample"),
    ("source_id",),
    ("source_id", "side"),
)


def make_protocol(
    source: str | Path,
    *,
    out: str | Path,
    name: str | None = None,
    kind: str = "open_world",
    folds: int | None = None,
    seed: int = 0,
    validation: float = 0.25,
    split: str | Path | None = None,
    across: str | None = None,
    probe: str | None = None,
    mated: int | None = None,
    non_mated: int | None = None,
    enrol: int = 1,
    unenrolled: float = 0.0,
    key: Sequence[str] = (),
    spectrum: str | None = None,
    columns: Mapping[str, str] | None = None,
    csv: bool = False,
    ufpr: bool = False,
) -> MadeProtocol:
    """Make a protocol of ``source`` and write it to the folder ``out``.

    ``kind`` is closed_world, open_world (closed validation) or open_world_valopen (open validation).
    ``folds`` (3) parts of the subjects are tested in turn; a single fold tests a third. ``validation`` is
    the share of the training images, with open validation of the training subjects, that validate. ``split``
    names a file with the subjects of each fold instead. ``across`` compares only images that differ in
    ``spectrum``, in ``side`` (left against mirrored right; both eyes of a person count as one) or in
    ``masked``; ``probe`` says which value the probes have (vis, image_left, masked). ``mated`` and
    ``non_mated`` draw so many comparisons a fold (None: all). The first ``enrol`` samples of each eye are the
    gallery that the rest search (0: no identification); the share ``unenrolled`` of the tested people is not
    in it. ``key`` are the fields that name an image (default: the first set that tells all apart).
    ``spectrum`` stands in where the source says none. ``csv`` writes the comparisons out as CSV lists,
    ``ufpr`` writes UFPR-Periocular's layout as well.

    Raises:
        UsageError: an option's value, or more comparisons asked for than there are.
        InputError: the source or the split file is wrong, or no image can be used.
        OutputError: ``out`` holds something else.
    """
    settings = MakingSettings(
        kind, folds, seed, validation, None if split is None else str(split), across, probe, mated, non_mated,
        enrol, unenrolled, tuple(key), spectrum,
    )  # fmt: skip
    out = Path(out)
    name = out.name if name is None else name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(f"--name is {name!r}: must be of letters, digits, dots, dashes and underscores")
    opened = ImageSource.open(source, columns)
    about = {
        "name": Path(str(source)).name,
        "entries": len(opened),
        "listing_sha256": opened.listing_sha256(),
    }
    labels, unused = read_labels(opened, spectrum)
    protocol = _made(labels, unused, settings, name, about, dict(columns or {}))
    write_protocol(protocol, out, csv=csv, ufpr=ufpr)
    return protocol


def _made(
    labels: Sequence[Labels],
    unused: Unused,
    settings: MakingSettings,
    name: str,
    about: Mapping[str, Any],
    columns: Mapping[str, str],
) -> MadeProtocol:
    rule = settings.rule()
    table, key = _table(labels, settings, unused)
    if not len(table):
        worst = unused.record()
        why = f"{worst[0]['images']} x {worst[0]['reason']}, first {worst[0]['first']}" if worst else "it is empty"
        raise InputError(f"{about['name']}: no image can be used: {why}")
    lists = None if settings.split is None else read_split(settings.split)
    table = replace(table, roles=_roles(table, settings, lists))
    for i, subject in enumerate(table.subject):
        if all(roles[i] == UNUSED for roles in table.roles.values()):
            why = "its eye has no other image to train on" if lists is None else "its subject is in no list"
            unused.add(why, table.name[i], subject)
    proof = prove(table, settings.kind)
    table = _enrolled(table, settings, rule, lists)
    folds = tuple(_fold(table, fold, rule, settings) for fold in table.roles)
    spectra = set(table.spectrum)
    return MadeProtocol(
        name=name,
        settings=settings,
        table=table,
        rule=rule,
        folds=folds,
        key=key,
        spectrum=spectra.pop() if len(spectra) == 1 else None,
        columns=columns,
        source=about,
        counts={fold.name: counts(fold, table) for fold in folds},
        unused=unused.record(),
        proof=proof,
    )


def counts(fold: Fold, table: ImageTable) -> dict[str, int]:
    """What a fold holds: images and subjects by role, comparisons, enrolled and searching images.

    Raises:
        UsageError: there is no mated or no non-mated comparison.
    """
    mated, non_mated, without = count(fold)
    if not mated or not non_mated:
        kind = "non-mated" if mated else "mated"
        raise UsageError(
            f"fold {fold.name}: {fold.templates} tested images of {len(fold.subject_names)} subjects give no "
            f"{kind} comparison; nothing can be measured"
        )
    searches = fold.identification
    return {
        "train_images": len(table.rows(fold.name, TRAIN)),
        "train_subjects": len(table.subjects(fold.name, TRAIN)),
        "val_images": len(table.rows(fold.name, VAL)),
        "val_subjects": len(table.subjects(fold.name, VAL)),
        "test_images": fold.templates,
        "test_subjects": len(fold.subject_names),
        "test_identities": len(set(fold.identity.tolist())),
        "identities_without_mated": without,
        "mated": mated,
        "non_mated": non_mated,
        "gallery_images": 0 if searches is None else len(searches.gallery),
        "probe_images": 0 if searches is None else len(searches.probe),
    }


def _table(
    labels: Sequence[Labels], settings: MakingSettings, unused: Unused
) -> tuple[ImageTable, tuple[str, ...]]:
    """The usable images in the order of subject, side, sample, and the fields that name them."""
    across = settings.across
    sided = across == "side" or any(image.side for image in labels)
    usable: list[Labels] = []
    for image in labels:
        if sided and image.side is None:
            unused.add("no side is named", image.where, image.subject)
        elif across == "spectrum" and image.spectrum not in ("vis", "nir"):
            unused.add("no spectrum is named, vis or nir", image.where, image.subject)
        elif across == "masked" and image.masked is None:
            unused.add("nothing says whether it is masked", image.where, image.subject)
        else:
            usable.append(image)
    key = settings.key or next((k for k in _KEYS if _tells_apart(usable, k)), ("source_id",))
    named: dict[str, Labels] = {}
    for image in sorted(usable, key=_order):
        name = _name(image, key)
        if name is None:
            unused.add(f"no {' or '.join(key)} to name it by", image.where, image.subject)
        elif name in named:
            unused.add("another image has its name", image.where, image.subject)
        else:
            named[name] = image
    images = list(named.values())
    subject = tuple(str(image.subject) for image in images)
    table = ImageTable(
        name=tuple(named),
        subject=subject,
        identity=tuple(
            s if i.side is None or across == "side" else f"{s}/{i.side}"
            for s, i in zip(subject, images, strict=True)
        ),
        side=tuple(image.side for image in images),
        spectrum=tuple(image.spectrum for image in images),
        sample=tuple(image.sample for image in images),
        source_id=tuple(image.source_id for image in images),
        masked=tuple(None if i.masked is None else "masked" if i.masked else "unmasked" for i in images),
    )
    return table, key


def _order(image: Labels) -> tuple[Any, ...]:
    rest = (image.side or "", image.spectrum or "", natural(image.sample), image.sample or "", image.source_id)
    return (natural(image.subject), image.subject, *rest)


def _name(image: Labels, key: Sequence[str]) -> str | None:
    values = [getattr(image, field) for field in key]
    return None if any(value is None or value == "" for value in values) else "/".join(map(str, values))


def _tells_apart(images: Sequence[Labels], key: Sequence[str]) -> bool:
    names = [_name(image, key) for image in images]
    return bool(names) and None not in names and len(set(names)) == len(names)


def _roles(
    table: ImageTable, settings: MakingSettings, lists: Mapping[str, SplitFold] | None
) -> dict[str, tuple[str, ...]]:
    if lists is not None:
        return {fold: split_roles(table, fold, split, str(settings.split)) for fold, split in lists.items()}
    folds = DEFAULT_FOLDS if settings.folds is None else settings.folds
    parts = check_folds(folds, settings.kind, len(set(table.subject)))
    common: dict[str, Any] = {"seed": settings.seed, "validation": settings.validation}
    names = [str(i + 1) for i in range(folds)]
    if settings.kind == "closed_world":
        return {name: closed_roles(table, i, parts, name, **common) for i, name in enumerate(names)}
    tested = parts_of(table.subject, parts, settings.seed)
    return {n: open_roles(table, settings.kind, n, t, **common) for n, t in zip(names, tested, strict=False)}


def _enrolled(
    table: ImageTable, settings: MakingSettings, rule: Rule, lists: Mapping[str, SplitFold] | None
) -> ImageTable:
    """The same table with the tested images told apart: enrolled first samples, and those that search."""
    if not settings.enrol:
        return table
    roles = {}
    for fold in table.roles:
        tested = table.subjects(fold, TESTED[0])
        if lists is not None:
            outside = lists[fold].unenrolled
        else:
            outside = share_of(tested, settings.unenrolled, settings.seed, fold, "unenrolled")
        enrolled: dict[str, int] = defaultdict(int)
        new = list(table.roles[fold])
        for i in table.rows(fold, TEST):
            searches = rule.across is None or getattr(table, rule.across)[i] == rule.probe
            can_enrol = (rule.across is None or not searches) and table.subject[i] not in outside
            if can_enrol and enrolled[table.identity[i]] < settings.enrol:
                enrolled[table.identity[i]] += 1
                new[i] = GALLERY
            elif searches:
                new[i] = PROBE
        roles[fold] = tuple(new)
    return replace(table, roles=roles)


def _fold(table: ImageTable, name: str, rule: Rule, settings: MakingSettings) -> Fold:
    fold = fold_of(table, name, rule)
    if rule.listed:
        drawn = draw(fold, table, rule, mated=settings.mated, non_mated=settings.non_mated, seed=settings.seed)
        fold = replace(fold, comparisons=drawn)
    return fold
