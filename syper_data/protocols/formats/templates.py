"""Templates in the manner of IJB (Whitelam et al., 2017; Maze et al., 2018): sets of images compared 1:1 and 1:N.

Three kinds of list: ``templates`` (an image a row: ``template, image``, and where known ``subject, media``),
``comparisons`` (``probe, reference`` template ids, and ``mated`` unless subjects say it), ``gallery`` and
``probes`` (``template``). Images of one medium (a video's frames) are averaged first, then the media.

Options: each of the four may be a mapping with ``file``, ``columns`` (our names to the file's), ``header`` (names
of the columns of a file without a line of names) and ``separator`` (comma, tab, space, semicolon); ``folder`` is
where the images lie. ``gallery`` and ``probes`` are left out where there are no such files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.errors import ConfigError, InputError
from syper_data.protocols.image_places import image_pictures
from syper_data.protocols.list_table import SEPARATORS, ListTable, read_list_table
from syper_data.protocols.lists import checked_comparisons, components, option, repeated_option
from syper_data.protocols.protocol import Fold, Identification, ListedComparisons, Rows
from syper_data.protocols.reading import Reading, Request

FILES = {
    "templates": "templates.csv",
    "comparisons": "comparisons.csv",
    "gallery": "gallery.csv",
    "probes": "probes.csv",
}


@dataclass(frozen=True)
class Templates:
    """What the table of templates says: ids in alphabetical order and their members, template after template."""

    ids: tuple[str, ...]
    images: tuple[str, ...]
    members: Rows
    starts: Rows
    media: Rows | None
    subject: Rows | None
    subject_names: tuple[str, ...]


def read(request: Request) -> Reading:
    """One fold: 1:1 comparisons, and the search where there are lists of gallery and probes."""
    options = request.descriptor.options
    paths = {kind: _path(request, kind) for kind in FILES}
    table = _table(request, "templates", ("template", "image"), ("subject", "media"))
    templates = _templates(table)
    row = {name: i for i, name in enumerate(templates.ids)}
    listed, again, identity = _comparisons(request, templates, row, repeated_option(options))
    notes = [f"{again} comparisons are listed again"] if again else []
    subject, names = templates.subject, templates.subject_names
    if subject is None:
        subject, names = identity, tuple(f"person-{k}" for k in range(int(identity.max()) + 1))
        notes.append("the lists name nobody: people are what mated comparisons join")
    search = None
    if paths["gallery"].is_file() and paths["probes"].is_file():
        search = Identification(_members(request, "probes", row), _members(request, "gallery", row))
        both = np.intersect1d(search.probe, search.gallery)
        if len(both):
            name = templates.ids[int(both[0])]
            raise InputError(f"{paths['probes']}: template {name} is in the gallery, too, and would find itself")
    fold = Fold(
        request.folds[0], templates.images, identity, subject, names, listed, search,
        templates.members, templates.starts, templates.media, named=templates.subject is not None,
    )  # fmt: skip
    pictures = image_pictures(request, (option(options, "folder", "images", str),))
    lists = tuple(p for kind, p in paths.items() if search is not None or kind in ("templates", "comparisons"))
    return Reading((fold,), pictures, lists, tuple(notes))


def _setting(request: Request, kind: str) -> Mapping[str, Any]:
    setting: Mapping[str, Any] = option(request.descriptor.options, kind, {}, Mapping)
    unknown = sorted(set(setting) - {"file", "columns", "header", "separator"})
    if unknown or setting.get("separator", "comma") not in SEPARATORS:
        raise ConfigError(f"options.{kind} may have file, columns, header and separator ({', '.join(SEPARATORS)})")
    return setting


def _path(request: Request, kind: str) -> Path:
    return request.root / str(_setting(request, kind).get("file", FILES[kind]))


def _table(request: Request, kind: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> ListTable:
    setting = _setting(request, kind)
    return read_list_table(
        _path(request, kind),
        needed,
        optional,
        columns=setting.get("columns"),
        header=setting.get("header"),
        separator=setting.get("separator", "comma"),
    )


def _templates(table: ListTable) -> Templates:
    (template,), ids = table.numbered("template")
    (image,), images = table.numbered("image", paths=True)
    order = np.lexsort((image, template))
    twice = np.flatnonzero((np.diff(template[order]) == 0) & (np.diff(image[order]) == 0))
    if len(twice):
        at = int(order[twice + 1].min())
        raise InputError(f"{table.place(at)}: {images[image[at]]} is in template {ids[template[at]]} already")
    starts = np.searchsorted(template[order], np.arange(len(ids) + 1)).astype(np.int64)
    media = table.numbered("media")[0][0][order] if "media" in table else None
    subject, names = None, list[str]()
    if "subject" in table:
        (owner,), names = table.numbered("subject")
        subject = owner[order][starts[:-1]]
        wrong = np.flatnonzero(owner != subject[template])
        if len(wrong):
            at = int(wrong[0])
            raise InputError(f"{table.place(at)}: template {ids[template[at]]} is another person's in another row")
    return Templates(tuple(ids), tuple(images), image[order], starts, media, subject, tuple(names))


def _comparisons(
    request: Request, templates: Templates, row: dict[str, int], repeated: str
) -> tuple[ListedComparisons, int, Rows]:
    """The 1:1 comparisons, how many are repeated, and the templates' identities."""
    table = _table(request, "comparisons", ("probe", "reference"), ("mated",))
    probe, reference = _rows(table, ("probe", "reference"), row)
    if templates.subject is not None:
        same = templates.subject[probe] == templates.subject[reference]
        mated = table.truth("mated") if "mated" in table else same
        wrong = np.flatnonzero(mated != same)
        if len(wrong):
            raise InputError(
                f"{table.place(int(wrong[0]))}: the wrong label: the templates' subjects say otherwise"
            )
        identity = templates.subject
    else:
        if "mated" not in table:
            raise InputError(
                f"{table.path}: neither subjects of templates nor labels of comparisons say who is who"
            )
        mated = table.truth("mated")
        identity = components(len(row), probe[mated], reference[mated])
        wrong = np.flatnonzero(~mated & (identity[probe] == identity[reference]))
        if len(wrong):
            raise InputError(
                f"{table.place(int(wrong[0]))}: the wrong label: non-mated, but mated comparisons join them"
            )
    listed, again = checked_comparisons(table.place, templates.ids, probe, reference, mated, repeated)
    return listed, again, identity


def _members(request: Request, kind: str, row: dict[str, int]) -> Rows:
    """The templates of the gallery or of the probes, each once."""
    (rows,) = _rows(_table(request, kind, ("template",)), ("template",), row)
    return np.unique(rows)


def _rows(table: ListTable, names: tuple[str, ...], row: dict[str, int]) -> list[Rows]:
    """Columns of template ids as rows of templates."""
    columns, values = table.numbered(*names)
    codes = np.array([row.get(value, -1) for value in values])
    for column in columns:
        unknown = np.flatnonzero(codes[column] < 0)
        if len(unknown):
            at = int(unknown[0])
            raise InputError(f"{table.place(at)}: no template {values[column[at]][:80]!a}")
    return [codes[column] for column in columns]
