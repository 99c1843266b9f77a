"""``scores.parquet``: all that a fold's figures are made of, so that neither images nor a network is needed.

One file a fold. Columns ``probe``, ``reference`` (int32, template rows), ``mated`` (bool) and one float32
column ``score:MODEL`` a model, in the order of the fold's comparisons. The schema's metadata holds, under
``syper-scores``, a JSON record: the fold's name, digest, images, labels, templates and searches, arrays as
base64 of little-endian numbers. Figures of what is read back equal the first ones bit for bit.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.benchmarking.scoring import FAILED, FoldScores
from syper_data.dataset.atomic import atomic_path
from syper_data.errors import InputError, UsageError
from syper_data.metrics.identification import Searches
from syper_data.protocols.protocol import Fold, Identification, ListedComparisons

SCHEMA = "syper-scores/1"
KEY = b"syper-scores"
PREFIX = "score:"
_DTYPES = ("<i8", "<f8", "|b1")
_FOLD_ARRAYS = ("identity", "subject", "members", "starts", "media")
_ROW_GROUP = 1_000_000


def write_scores(path: str | Path, fold: Fold, scores_by_model: Mapping[str, FoldScores]) -> None:
    """Write the scores of one or more models on the same fold, whole or not at all.

    Raises:
        UsageError: no model, or scores of other comparisons than the first one's.
        OutputError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not scores_by_model:
        raise UsageError(f"fold {fold.name}: there are no scores to write")
    one = next(iter(scores_by_model.values()))
    columns: dict[str, Any] = {"probe": one.probe, "reference": one.reference, "mated": one.mated}
    for name, scores in scores_by_model.items():
        if not all(np.array_equal(getattr(scores, c), columns[c]) for c in ("probe", "reference", "mated")):
            raise UsageError(f"fold {fold.name}: the scores of {name} are not of the same comparisons")
        columns[PREFIX + name] = scores.score
    record = {
        "schema": SCHEMA,
        "fold": _fold_record(fold),
        "models": {name: _model_record(s) for name, s in scores_by_model.items()},
    }
    table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(record)})
    with atomic_path(Path(path)) as temporary:
        pq.write_table(
            table, temporary, row_group_size=_ROW_GROUP, compression="zstd",
            use_dictionary=["mated"], write_statistics=False,
        )  # fmt: skip


def read_scores(path: str | Path) -> tuple[Fold, dict[str, FoldScores]]:
    """The fold, its comparisons listed, and each model's scores.

    Raises:
        InputError: not such a file, a damaged one, one whose columns don't fit its record, or whose fold is not
            the one whose digest it holds.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: is not a readable Parquet file: {str(error).splitlines()[0]}") from None
    try:
        record = json.loads((table.schema.metadata or {})[KEY])
        if record["schema"] != SCHEMA:
            raise InputError(f"{path}: has the format {record['schema']}; this version reads {SCHEMA}")
        listed = {c: table.column(c).to_numpy() for c in ("probe", "reference", "mated")}
        fold = _fold(record["fold"], listed)
        found = {name: _scores(name, m, table, listed) for name, m in record["models"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error, InputError) as error:
        if isinstance(error, InputError) and str(error).startswith(str(path)):
            raise
        raise InputError(f"{path}: is not a file of scores that write_scores made: {error}") from None
    _check(path, fold, found)
    if record["fold"].get("sha256") != fold.sha256():
        raise InputError(
            f"{path}: what it holds of fold {fold.name} does not have the digest that it names: it was changed; "
            "run the benchmark again, which reuses its vectors"
        )
    return fold, found


def _fold_record(fold: Fold) -> dict[str, Any]:
    searched = fold.identification
    return {
        "name": fold.name,
        "sha256": fold.sha256(),
        "images": fold.images,
        "subject_names": fold.subject_names,
        "training": None if fold.training is None else sorted(fold.training),
        **{name: _packed(getattr(fold, name)) for name in _FOLD_ARRAYS},
        "identification": None if searched is None else [_packed(searched.probe), _packed(searched.gallery)],
        "parts": None if fold.parts is None else [_packed(p) for p in fold.parts],
    }


def _fold(record: Any, listed: Mapping[str, Any]) -> Fold:
    searched, parts, training = record["identification"], record["parts"], record["training"]
    return Fold(
        name=str(record["name"]),
        images=tuple(map(str, record["images"])),
        subject_names=tuple(map(str, record["subject_names"])),
        comparisons=ListedComparisons(
            listed["probe"].astype(np.int64), listed["reference"].astype(np.int64), listed["mated"]
        ),
        identification=None if searched is None else Identification(*map(_unpacked, searched)),
        training=None if training is None else frozenset(map(str, training)),
        parts=None if parts is None else tuple(map(_unpacked, parts)),
        **{name: _unpacked(record[name]) for name in _FOLD_ARRAYS},
    )


def _model_record(scores: FoldScores) -> dict[str, Any]:
    return {
        "failed_templates": _packed(scores.failed_templates),
        "failed_images": _packed(scores.failed_images),
        "searches": _searches_record(scores.searches),
        "searches_both_eyes": _searches_record(scores.searches_both_eyes),
    }


def _scores(name: str, record: Any, table: Any, listed: Mapping[str, Any]) -> FoldScores:
    score = table.column(PREFIX + name).to_numpy()
    if score.dtype != np.float32:
        raise InputError(f"column {PREFIX}{name} holds {score.dtype}, not float32")
    return FoldScores(
        listed["probe"], listed["reference"], listed["mated"], score,
        _unpacked(record["failed_templates"]), _unpacked(record["failed_images"]),
        _searches(record["searches"]), _searches(record["searches_both_eyes"]),
    )  # fmt: skip


def _searches_record(found: Searches | None) -> dict[str, Any] | None:
    if found is None:
        return None
    names = ("mated_score", "rank", "nonmated_top", "mated")
    return {"references": found.references, **{name: _packed(getattr(found, name)) for name in names}}


def _searches(record: Any) -> Searches | None:
    if record is None:
        return None
    score, rank, top, mated = (_unpacked(record[n]) for n in ("mated_score", "rank", "nonmated_top", "mated"))
    return Searches(score, rank, top, mated, int(record["references"]))


def _packed(array: Any) -> list[str] | None:
    if array is None:
        return None
    kind = {"i": "<i8", "u": "<i8", "f": "<f8", "b": "|b1"}[np.asarray(array).dtype.kind]
    return [kind, base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode("ascii")]


def _unpacked(packed: Any) -> Any:
    if packed is None:
        return None
    kind, text = packed
    if kind not in _DTYPES:
        raise InputError(f"an array is of the kind {kind!r}")
    return np.frombuffer(base64.b64decode(text, validate=True), kind).copy()


def _check(path: Path, fold: Fold, found: Mapping[str, FoldScores]) -> None:
    """What later steps rely on: rows that exist, scores that are finite."""
    listed = fold.comparisons
    assert isinstance(listed, ListedComparisons)
    for column in (listed.probe, listed.reference):
        if len(column) and not (column.min() >= 0 and column.max() < fold.templates):
            raise InputError(f"{path}: a comparison names a template beyond the {fold.templates} of the fold")
    for name, scores in found.items():
        bad = ~np.isfinite(scores.score) | (scores.score < FAILED)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(f"{path}: row {row}: the score of {name} is {scores.score[row]}, no cosine")
