"""Quality scores of a dataset's shards and of real crops, in worker processes.

The unit is a shard. Its scores are kept in ``.filter/`` in the dataset's folder under a name that says
what they depend on (measures, the shard's digest): an interrupted run goes on, and another decision on
the same images computes none of them again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from syper_data.dataset.atomic import atomic_path
from syper_data.dataset.directory import COMPLETE, Completion, DatasetDirectory, PlannedShard
from syper_data.dataset.manifest import sha256_hex
from syper_data.dataset.shards import read_shard, require_recorded
from syper_data.errors import InputError, VerificationError
from syper_data.execution import open_pool
from syper_data.filtering.quality.measures import MeasureSet, columns_of
from syper_data.imaging.codec import decode
from syper_data.imaging.source import ImageSource, Unreadable, canonical
from syper_data.imaging.subjects import named_entries

CACHE = ".filter"

Columns = dict[str, np.ndarray[Any, np.dtype[np.float64]]]  # [n], one value an image
Report = Callable[[str, int, int], None]
Progress = Callable[[int], None]

_RANGE = 200  # real crops a task


@dataclass(frozen=True)
class SourceScores:
    """Scores of real crops, and what a threshold file says of them."""

    scores: Columns
    crops: dict[str, Any]


def score_dataset(
    dataset: DatasetDirectory,
    completion: Completion,
    measures: MeasureSet,
    *,
    workers: int | None = None,
    report: Report | None = None,
) -> Columns:
    """Every measure of every image, in the dataset's order; call it under the folder's lock.

    Raises:
        VerificationError: a shard is not the one that the completion record lists, or is damaged.
    """
    digest = measures.digest()
    files = [
        _score_file(dataset, shard, record.sha256, digest)
        for shard, record in zip(dataset.shards, completion.shards, strict=True)
    ]
    names = [m.name for m in measures.measures]
    done = [_read_scores(file, shard.rows, names) for file, shard in zip(files, dataset.shards, strict=True)]
    missing = [shard for shard, scores in zip(dataset.shards, done, strict=True) if scores is None]
    at, total = 0, sum(shard.rows for shard in missing)
    if missing:
        setup = {"dataset": str(dataset.path.resolve()), "measures": measures.to_dict()}
        tasks = (
            {"shard": s.index, "sha256": completion.shards[s.index].sha256, "file": files[s.index].name}
            for s in missing
        )
        count = min(workers or os.cpu_count() or 1, len(missing))
        with open_pool("syper_data.filtering.scoring:score_shards", setup, workers=count, threads=1) as pool:
            for answer in pool.run(tasks):
                if report is not None and "progress" in answer:
                    at += answer["progress"]
                    report("measuring", at, total)
        for shard in missing:
            done[shard.index] = _read_scores(files[shard.index], shard.rows, names)
    return {name: np.concatenate([scores[name] for scores in done if scores is not None]) for name in names}


def score_source(
    source: ImageSource,
    measures: MeasureSet,
    *,
    workers: int | None = None,
    report: Report | None = None,
) -> SourceScores:
    """Every measure of real crops, brought to canonical orientation.

    Raises:
        InputError: a crop that can't be read or is not square, or there is none.
    """
    total = len(source)
    if not total:
        raise InputError(f"{source.path}: holds no image")
    setup = {"source": source.path, "columns": dict(source.columns), "measures": measures.to_dict()}
    starts = range(0, total, _RANGE)
    parts: dict[int, dict[str, Any]] = {}
    done = 0
    count = min(workers or os.cpu_count() or 1, len(starts))
    with open_pool("syper_data.filtering.scoring:score_range", setup, workers=count, threads=1) as pool:
        for answer in pool.run({"start": start, "stop": min(start + _RANGE, total)} for start in starts):
            if "task" in answer:
                parts[answer["task"]["start"]] = answer["result"]
            elif report is not None:
                done += answer["progress"]
                report("calibrating", done, total)
    rows = [row for start in starts for row in parts[start]["scores"]]
    digests = [digest for start in starts for digest in parts[start]["digests"]]
    crops = {
        "source": Path(source.path).name,
        "images": len(rows),
        "sha256": hashlib.sha256("\n".join(digests).encode("ascii")).hexdigest(),
    }
    return SourceScores(columns_of(rows, [m.name for m in measures.measures]), crops)


def score_shards(setup: Mapping[str, Any]) -> Callable[[dict[str, Any], Progress], dict[str, Any]]:
    """Job: task ``{"shard": i, "sha256": ..., "file": ...}`` measures the images of shard ``i``."""
    dataset = DatasetDirectory.open(Path(setup["dataset"]))
    measures = MeasureSet.from_dict(setup["measures"])

    def handle(task: dict[str, Any], progress: Progress) -> dict[str, Any]:
        planned = dataset.shards[task["shard"]]
        path = dataset.shard_path(planned)
        require_recorded(path, task["sha256"], COMPLETE)
        rows = []
        try:
            for row, (values, key) in enumerate(
                zip(read_shard(path, ["image", "seed", "label"]), planned.keys(), strict=True)
            ):
                where = f"{path}, row {row} (seed {key[0]})"
                if (values["seed"], values["label"]) != key:
                    raise VerificationError(f"{where}: holds seed {values['seed']}, label {values['label']}")
                pixels = decode((values["image"] or {}).get("bytes") or b"", "RGB", where)
                rows.append(measures.measure(pixels, where))
                if row % 50 == 49:
                    progress(50)
        except InputError as error:
            raise VerificationError(str(error)) from None
        except ValueError as error:  # zip found more or fewer rows
            raise VerificationError(f"{path}: not the {planned.rows} rows that the manifest plans") from error
        if len(rows) % 50:
            progress(len(rows) % 50)
        columns = columns_of(rows, [m.name for m in measures.measures])
        with atomic_path(dataset.path / CACHE / task["file"]) as temporary:
            pq.write_table(pa.table(columns), temporary)
        return {}

    return handle


def score_range(setup: Mapping[str, Any]) -> Callable[[dict[str, Any], Progress], dict[str, Any]]:
    """Job: task ``{"start": a, "stop": b}`` measures those entries of an image source."""
    source = ImageSource.open(setup["source"], setup["columns"])
    measures = MeasureSet.from_dict(setup["measures"])

    def handle(task: dict[str, Any], progress: Progress) -> dict[str, Any]:
        rows, digests = [], []
        for entry in named_entries(source, task["start"], task["stop"]):
            if isinstance(entry, Unreadable):
                raise InputError(entry.reason)
            pixels = canonical(entry)
            rows.append(measures.measure(pixels, entry.where))
            digests.append(hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest())
            progress(1)
        return {"scores": rows, "digests": digests}

    return handle


def _score_file(dataset: DatasetDirectory, shard: PlannedShard, sha256: str, measures: str) -> Path:
    name = sha256_hex(json.dumps([measures, sha256]).encode("ascii"))[:24]
    return dataset.path / CACHE / f"quality-{shard.index:05d}-{name}.parquet"


def _read_scores(file: Path, rows: int, names: list[str]) -> Columns | None:
    """Scores kept from an earlier run, or None where there are none that can be used."""
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError):
        return None
    if table.num_rows != rows or table.column_names != names:
        return None
    columns = {name: table[name].to_numpy() for name in names}
    sound = all(c.dtype == np.float64 and bool(np.isfinite(c).all()) for c in columns.values())
    return columns if sound else None
