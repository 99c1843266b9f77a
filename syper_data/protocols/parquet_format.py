"""The folder that ``protocol make`` writes, read back and checked (decision 17).

``protocol.yaml`` is a descriptor whose options name the other files with their SHA-256; ``images.parquet``
holds one row an image with its labels and, per fold, its role; ``pairs-foldK.parquet`` or ``.csv`` holds
``probe, reference, mated`` where the comparisons are a list and not a rule.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import yaml

from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError, SyperError
from syper_data.protocols.descriptor import MADE
from syper_data.protocols.pictures import name_fault
from syper_data.protocols.protocol import Fold, ListedComparisons
from syper_data.protocols.splitting import prove
from syper_data.protocols.table import FOLD_NAME, ROLES, TESTED, ImageTable, Rule, fold_of

SCHEMA = "syper-protocol/1"
IMAGES = "images.parquet"
ROLE_PREFIX = "fold"  # the column fold1 holds the roles in fold 1
COLUMNS = ("name", "subject", "identity", "side", "spectrum", "sample", "source_id", "masked")
LISTS = (None, "parquet", "csv")

_NEEDED = ("name", "subject", "identity")
_IMAGES_PATH = re.compile(r"([A-Za-z0-9_.-]+/)*images\.parquet")
_MOST_YAML = 4_000_000  # bytes


def pairs_file(fold: str, ending: str) -> str:
    """The name of a fold's list of comparisons."""
    return f"pairs-fold{fold}.{ending}"


def read_parquet_protocol(
    descriptor_or_dir: str | Path, root: str | Path | None = None, folds: Sequence[str] | None = None
) -> tuple[Fold, ...]:
    """The folds of a protocol that :func:`syper_data.protocols.making.make_protocol` wrote.

    ``descriptor_or_dir`` is the folder, or the YAML file in it. ``root`` (where the images lie) is not
    needed: names are resolved when images are read. ``folds`` are the names wanted (None: all).

    Raises:
        InputError: a file is missing, damaged, changed since it was written, or contradicts another.
    """
    descriptor = read_descriptor(descriptor_or_dir)
    path = _file(descriptor_or_dir)
    wanted = list(descriptor["folds"]) if folds is None else [str(name) for name in folds]
    for name in wanted:
        if name not in descriptor["folds"]:
            raise InputError(f"{path}: no fold {name!r}; it has {', '.join(descriptor['folds'])}")
    table = read_table(path, descriptor)
    rule = Rule.from_record(descriptor["options"].get("comparisons"), str(path))
    return tuple(_fold(path, descriptor["options"], table, rule, name) for name in wanted)


def read_descriptor(descriptor_or_dir: str | Path) -> dict[str, Any]:
    """The checked content of ``protocol.yaml``, as far as reading needs it.

    Raises:
        InputError: absent, no YAML, of another schema, or without a part that reading needs.
    """
    path = _file(descriptor_or_dir)
    try:
        if path.stat().st_size > _MOST_YAML:
            raise InputError(f"{path}: {path.stat().st_size} bytes are no descriptor")
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a YAML file: {' '.join(str(error).split())[:200]}") from None
    options = content.get("options") if isinstance(content, dict) else None
    found = options.get("schema") if isinstance(options, dict) else None
    if not isinstance(content, dict) or not isinstance(options, dict) or found != SCHEMA:
        raise InputError(f"{path}: schema is {found!r}: this toolkit reads {SCHEMA}")
    for key, kind in _OPTIONS.items():
        if not isinstance(options.get(key), kind):
            raise InputError(f"{path}: options.{key} is missing or of the wrong form; make the protocol again")
    if not _IMAGES_PATH.fullmatch(options["images"]) or ".." in options["images"]:
        raise InputError(f"{path}: images is {options['images']!r}: must be a path below the descriptor's folder")
    for name in options["files"]:
        if not isinstance(name, str) or name_fault(name) or "/" in name:
            raise InputError(f"{path}: files names {str(name)[:80]!a}: must be a file beside {options['images']}")
    names = content.get("folds")
    if options.get("lists") not in LISTS:
        raise InputError(f"{path}: lists is {options.get('lists')!r}: must be parquet, csv or null")
    if (
        not isinstance(names, list)
        or not names
        or not all(isinstance(n, str) and re.fullmatch(FOLD_NAME, n) for n in names)
    ):
        raise InputError(f"{path}: folds must be names of letters, digits, dots, dashes and underscores")
    return content


_OPTIONS = {"images": str, "files": dict, "subject_disjoint": bool}


def read_table(descriptor_or_dir: str | Path, descriptor: dict[str, Any] | None = None) -> ImageTable:
    """``images.parquet``: every image with its labels and its role per fold.

    Raises:
        InputError: as :func:`read_parquet_protocol`.
    """
    if descriptor is None:
        descriptor = read_descriptor(descriptor_or_dir)
    options = descriptor["options"]
    path = _checked(_file(descriptor_or_dir), options, IMAGES)
    read = _parquet(path)
    role_columns = [ROLE_PREFIX + name for name in descriptor["folds"]]
    missing = sorted({*_NEEDED, *role_columns} - set(read.column_names))
    if missing:
        raise InputError(f"{path}: no column {missing[0]!r}; make the protocol again")
    columns = {name: _texts(path, read, name) for name in (*COLUMNS, *role_columns)}
    for name in (*_NEEDED, *role_columns):
        if None in columns[name]:
            raise InputError(f"{path}, row {columns[name].index(None)}: {name} is empty")
    names = columns["name"]
    if len(set(names)) != len(names):
        seen: set[str | None] = set()
        twice = next(n for n in names if n in seen or seen.add(n))  # type: ignore[func-returns-value]
        raise InputError(f"{path}: image {twice!r} is listed twice")
    for column in role_columns:
        wrong = set(columns[column]) - set(ROLES)
        if wrong:
            raise InputError(
                f"{path}: {column} is {min(map(str, wrong))!r}: must be one of {', '.join(ROLES[:-1])}"
            )
    roles = {name: columns[ROLE_PREFIX + name] for name in descriptor["folds"]}
    labels: dict[str, Any] = {name: columns[name] for name in COLUMNS}
    table = ImageTable(**labels, roles=roles)  # type: ignore[arg-type]
    kind = "open_world_valopen" if options.get("validation_subject_disjoint") else "open_world"
    try:
        prove(table, kind if options["subject_disjoint"] else "closed_world")
    except SyperError as error:
        raise InputError(f"{path}: {error}") from None
    return table


def namer(table: ImageTable, key: Sequence[str]) -> Callable[[Any], str | None]:
    """What finds a protocol's images in a source: from an entry's labels to its name, or None.

    The name is the fields ``key`` joined with ``/``. What lacks one of them, as a failure of ``crop`` that knows
    only its ``source_id``, goes by the ``source_id`` that the protocol was made from, where that is one image's.
    """
    known = frozenset(table.name)
    counted = Counter(table.source_id)
    by_source = {s: n for s, n in zip(table.source_id, table.name, strict=True) if s and counted[s] == 1}

    def name_of(labels: Any) -> str | None:
        values = [getattr(labels, name, None) for name in key]
        name = None if None in values else "/".join(map(str, values))
        return name if name in known else by_source.get(labels.source_id)

    return name_of


def _fold(path: Path, options: dict[str, Any], table: ImageTable, rule: Rule, name: str) -> Fold:
    lists = options["lists"]
    listed = None
    if lists is not None:
        pairs = _checked(path, options, pairs_file(name, lists))
        listed = _listed(pairs, _csv(pairs) if lists == "csv" else _parquet(pairs), table, name)
    elif rule.listed:
        raise InputError(f"{path}: comparisons are listed, but lists names no format")
    fold = fold_of(table, name, rule, listed)
    if not fold.images:
        raise InputError(f"{path}: fold {name} tests no image")
    known = _digests(path, options).get(name)
    if known is not None and known != fold.sha256():
        raise InputError(
            f"{path}: fold {name} has another digest than its images and comparisons; make the protocol again"
        )
    return fold


def _digests(path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The digest of each fold. Protocols made before folds had one digest for all purposes hold others, under
    another name; what those covered is in the digests of the files."""
    found = options.get("fold_sha256", {})
    if not isinstance(found, dict):
        raise InputError(f"{path}: options.fold_sha256 is of the wrong form; make the protocol again")
    return found


def _listed(path: Path, pairs: pa.Table, table: ImageTable, fold: str) -> ListedComparisons:
    """Names to rows of the fold's tested images, checked."""
    rows = table.rows(fold, *TESTED)
    names = pa.array([table.name[i] for i in rows], pa.string())
    found = []
    for column in ("probe", "reference"):
        texts = pairs.column(column)
        places = pc.index_in(texts, value_set=names)
        if places.null_count:
            row = pc.index(pc.is_null(places), True).as_py()
            raise InputError(f"{path}, pair {row}: {texts[row].as_py()!r} is no tested image of fold {fold}")
        found.append(places.to_numpy().astype(np.int64))
    probe, reference = found
    if (probe == reference).any():
        row = int(np.argmax(probe == reference))
        raise InputError(f"{path}, pair {row}: an image is compared with itself")
    ordered = np.minimum(probe, reference) * len(rows) + np.maximum(probe, reference)
    distinct, first = np.unique(ordered, return_index=True)
    if len(distinct) != len(ordered):
        row = int(np.setdiff1d(np.arange(len(ordered)), first)[0])
        raise InputError(f"{path}, pair {row}: the same two images are compared already")
    mated = _labels(path, pairs.column("mated"))
    identities = np.array([table.identity[i] for i in rows])
    wrong = mated != (identities[probe] == identities[reference])
    if wrong.any():
        row = int(np.argmax(wrong))
        said = "mated" if mated[row] else "not mated"
        raise InputError(f"{path}, pair {row}: is labelled {said}, but {IMAGES} says otherwise")
    return ListedComparisons(probe, reference, mated, str(path))


def _labels(path: Path, column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if pa.types.is_boolean(column.type) and not column.null_count:
        return np.asarray(column.to_numpy(), bool)
    texts = pc.utf8_lower(column.cast(pa.string()))
    yes = pc.fill_null(pc.is_in(texts, value_set=pa.array(["true", "1"])), False).to_numpy()
    no = pc.fill_null(pc.is_in(texts, value_set=pa.array(["false", "0"])), False).to_numpy()
    if not (yes | no).all():
        row = int(np.argmin(yes | no))
        raise InputError(f"{path}, pair {row}: mated is {column[row].as_py()!r}: must be true, false, 1 or 0")
    return np.asarray(yes, bool)


def _csv(path: Path) -> pa.Table:
    columns = {"probe": pa.string(), "reference": pa.string(), "mated": pa.string()}
    try:
        table = pacsv.read_csv(path, convert_options=pacsv.ConvertOptions(column_types=columns))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable CSV file ({_first_line(error)})") from error
    return _with_columns(path, table)


def _parquet(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({_first_line(error)})") from error
    return table if path.name == IMAGES else _with_columns(path, table)


def _with_columns(path: Path, table: pa.Table) -> pa.Table:
    for name in ("probe", "reference", "mated"):
        if table.column_names.count(name) != 1:
            raise InputError(f"{path}: must have one column {name!r}; it has {', '.join(table.column_names)}")
        if name != "mated" and not pa.types.is_string(table.schema.field(name).type):
            raise InputError(f"{path}: column {name!r} must hold text")
    return table


def _texts(path: Path, table: pa.Table, name: str) -> tuple[str | None, ...]:
    if name not in table.column_names:
        return (None,) * len(table)
    column = table.column(name)
    if not pa.types.is_string(column.type) and not pa.types.is_null(column.type):
        raise InputError(f"{path}: column {name!r} holds {column.type}, not text")
    return tuple(column.to_pylist())


def _checked(descriptor: Path, options: dict[str, Any], name: str) -> Path:
    path = descriptor.parent / Path(options["images"]).parent / name
    if name not in options["files"]:
        raise InputError(f"{descriptor}: files names no {name}; make the protocol again")
    if not path.is_file():
        raise InputError(f"{path}: is missing; make the protocol again or copy the whole folder")
    if file_sha256(path) != options["files"][name]:
        raise InputError(f"{path}: was changed since the protocol was made (its SHA-256 is another)")
    return path


def _file(descriptor_or_dir: str | Path) -> Path:
    path = Path(descriptor_or_dir)
    return path / MADE if path.is_dir() else path


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
