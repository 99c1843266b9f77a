"""The ledger: one row an image with every score, the verdict and its reasons.

``ledger.parquet`` lies in the dataset's folder. Its rows are the dataset's keys in order, its metadata say
which plans, embedder, reference and thresholds it belongs to, and its counts must add up: rows = kept
+ the rejects by their first reason. All that is checked on writing and on reading.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import syper_data
from syper_data.dataset.atomic import atomic_path
from syper_data.dataset.directory import DatasetDirectory
from syper_data.errors import InputError, SyperError

LEDGER = "ledger.parquet"
SCHEMA = "syper-ledger/1"

_KEY = b"syper_ledger"
_FIXED = ("seed", "label", "keep", "reasons")


@dataclass(frozen=True)
class Ledger:
    """A ledger that was checked against its dataset. ``record`` is its metadata."""

    table: pa.Table
    record: dict[str, Any]

    @property
    def keep(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """The verdict of every image, bool [n], in the dataset's order."""
        keep: np.ndarray[Any, np.dtype[np.bool_]] = self.table["keep"].to_numpy()
        return keep

    @property
    def kept(self) -> int:
        """How many images are kept."""
        return int(self.record["kept"])

    @property
    def scores(self) -> list[str]:
        """The columns besides the key and the verdict."""
        return [name for name in self.table.column_names if name not in _FIXED]


def write_ledger(
    dataset: DatasetDirectory,
    scores: Mapping[str, Any],
    reasons: Sequence[Sequence[str]],
    record: Mapping[str, Any],
) -> Ledger:
    """Write the ledger of ``dataset``, atomically, in place of an earlier one.

    ``scores`` holds one array or list [n] a column (numbers, or text such as the name of a reference
    image; None where there is no value), ``reasons`` for every image why it is rejected, the weightiest
    first; an image without any is kept. ``record`` is what the metadata say besides digests and counts.

    Raises:
        SyperError: not one value an image, or a score that is not finite: nothing is written.
    """
    keys = dataset.keys()
    lists = [list(r) for r in reasons]
    for name, values in {**scores, "reasons": lists}.items():
        if len(values) != len(keys):
            raise SyperError(f"{dataset.path}: {len(values)} values of {name} for {len(keys)} images")
    columns = {name: _column(name, values, keys) for name, values in scores.items()}
    firsts = Counter(r[0] for r in lists if r)
    full = {
        "schema": SCHEMA,
        "toolkit": f"syper-data {syper_data.__version__}",
        "manifest_sha256": dataset.manifest_sha256,
        "topups": [plan.sha256 for plan in dataset.topups],
        "rows": len(keys),
        "kept": sum(not r for r in lists),
        "rejected": dict(sorted(firsts.items(), key=lambda item: (-item[1], item[0]))),
        **record,
    }
    table = pa.table(
        {
            "seed": pa.array([seed for seed, _ in keys], pa.int64()),
            "label": pa.array([label for _, label in keys], pa.int32()),
            **columns,
            "keep": pa.array([not r for r in lists], pa.bool_()),
            "reasons": pa.array(lists, pa.list_(pa.string())),
        }
    ).replace_schema_metadata({_KEY: json.dumps(full, sort_keys=True)})
    ledger = Ledger(table, full)
    path = dataset.path / LEDGER
    _check(ledger, dataset, path)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, row_group_size=100_000, compression="zstd", write_page_checksum=True)
    return ledger


def read_ledger(dataset: DatasetDirectory) -> Ledger:
    """Read and check the ledger of ``dataset``.

    Raises:
        InputError: there is none, it is damaged, belongs to another dataset or to fewer top-ups than the
            dataset has, or its counts do not add up.
    """
    path = dataset.path / LEDGER
    ledger = _read(path)
    try:
        _check(ledger, dataset, path)
    except (KeyError, TypeError, AttributeError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable ledger ({type(error).__name__}: {error})") from error
    return ledger


def read_record(dataset: DatasetDirectory) -> tuple[dict[str, Any], bool]:
    """What the ledger says of itself, and whether it knows all top-ups of ``dataset``; a ledger from
    before the last top-up is not refused here.

    Raises:
        InputError: as :func:`read_ledger`.
    """
    path = dataset.path / LEDGER
    record = _read(path).record
    digests = [plan.sha256 for plan in dataset.topups]
    known = record.get("topups")
    if record.get("manifest_sha256") == dataset.manifest_sha256 and digests and known == digests[:-1]:
        return record, False
    return read_ledger(dataset).record, True


def _read(path: Path) -> Ledger:
    if not path.is_file():
        raise InputError(f"{path.parent}: has no {LEDGER}; make it with syper-data filter")
    try:
        table = pq.read_table(path, page_checksum_verification=True, partitioning=None)
        record = json.loads((table.schema.metadata or {})[_KEY])
        schema = record["schema"]
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: truncated or damaged ({str(error).splitlines()[0]})") from error
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: is no ledger of this toolkit") from error
    if schema != SCHEMA:
        raise InputError(f"{path}: schema is {schema!r}, this toolkit reads {SCHEMA!r}")
    return Ledger(table, record)


def _check(ledger: Ledger, dataset: DatasetDirectory, path: Path) -> None:
    record, table = ledger.record, ledger.table
    if record["manifest_sha256"] != dataset.manifest_sha256:
        raise InputError(f"{path}: is the ledger of another dataset (other manifest); run syper-data filter")
    digests = [plan.sha256 for plan in dataset.topups]
    if record["topups"] != digests:
        raise InputError(f"{path}: does not know this dataset's top-ups; run syper-data filter again")
    keys = dataset.keys()
    if list(zip(table["seed"].to_pylist(), table["label"].to_pylist(), strict=True)) != keys:
        raise InputError(f"{path}: its rows are not the dataset's keys in order; run syper-data filter again")
    reasons = table["reasons"].to_pylist()
    if [not r for r in reasons] != table["keep"].to_pylist():
        raise InputError(f"{path}: an image is kept with a reason to reject it, or rejected without one")
    firsts = Counter(r[0] for r in reasons if r)
    counted = (len(keys), sum(not r for r in reasons), dict(firsts))
    if counted != (record["rows"], record["kept"], record["rejected"]):
        raise InputError(f"{path}: its counts do not add up to its rows; run syper-data filter again")


def _column(name: str, values: Any, keys: Sequence[tuple[int, int | None]]) -> pa.Array:
    if name in _FIXED:
        raise SyperError(f"a score can't be called {name}")
    array = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=False)
    if pa.types.is_floating(array.type):
        wrong = [i for i, value in enumerate(array.to_pylist()) if value is not None and not np.isfinite(value)]
        if wrong:
            seed, label = keys[wrong[0]]
            of = "" if label is None else f", label {label}"
            raise SyperError(f"seed {seed}{of}: {name} is {array[wrong[0]].as_py()}, no finite number")
    return array
