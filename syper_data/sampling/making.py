"""Making the shards that are missing, of a dataset or of its top-ups: the common part of both."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import write_atomically
from syper_data.dataset.directory import DRIFT, MANIFEST, DatasetDirectory, ShardRecord
from syper_data.dataset.shards import check_shard
from syper_data.errors import InputError, OutputError
from syper_data.execution import open_pool
from syper_data.sampling.environment import current_environment, differences, require_same
from syper_data.sampling.worker import shard_record

BYTES_PER_PIXEL = 3.0  # an upper bound for the space check: uncompressed RGB


@dataclass(frozen=True)
class Progress:
    """Images done of those this run has to make; ``done`` counts up to ``total``."""

    done: int
    total: int


Report = Callable[[Progress], None]


def make_missing(
    dataset: DatasetDirectory,
    generator: Path,
    workers: int | None,
    drift: tuple[dict[str, Any], ...],
    report: Report | None,
) -> DatasetDirectory:
    """Make the shards of ``dataset`` that are not there and write its completion record; call it
    under the folder's lock. Shards that are there are checked, and never changed.

    Raises:
        InputError: a file that no plan lists, or a damaged shard.
        OutputError: no space left.
    """
    unplanned = dataset.unplanned_files()
    if unplanned:
        raise InputError(f"{unplanned[0]}: not planned by {MANIFEST}; move it away")
    missing, record, shards = dataset.missing_shards(), dataset.completion(), dataset.shards
    if not missing and record is not None:
        for shard, entry in zip(shards, record.shards, strict=True):
            path = dataset.shard_path(shard)
            if path.stat().st_size != entry.bytes:
                raise InputError(f"{path}: damaged; remove this file and run the same command again")
        return dataset
    gone = {s.index for s in missing}
    for shard in shards:
        if shard.index not in gone:
            try:
                check_shard(dataset.shard_path(shard), shard.keys())
            except InputError as error:
                raise InputError(f"{error}; remove this file and run the same command again") from None
    records: dict[int, ShardRecord] = {}
    total, done = sum(s.rows for s in missing), 0
    if missing:
        settings = dataset.manifest.settings
        _check_space(dataset, total)
        count = 1 if settings.device == "cuda" else min(workers or os.cpu_count() or 1, len(missing))
        setup = {"dataset": str(dataset.path.resolve()), "generator": str(generator.resolve())}
        job = "syper_data.sampling.worker:make_shards"
        with open_pool(job, setup, workers=count, threads=settings.threads_per_worker) as pool:
            for answer in pool.run({"shard": s.index} for s in missing):
                if "progress" in answer:
                    done += answer["progress"]
                    if report is not None:
                        report(Progress(done, total))
                    continue
                shard, result = shards[answer["task"]["shard"]], answer["result"]
                records[shard.index] = ShardRecord(shard.name, shard.rows, result["bytes"], result["sha256"])
    in_order = tuple(records.get(s.index) or shard_record(dataset.shard_path(s), s) for s in shards)
    dataset.complete(in_order, drift)
    return dataset


def accepted_drift(
    dataset: DatasetDirectory, environment: Mapping[str, str], accept_drift: bool
) -> tuple[dict[str, Any], ...]:
    """The drift recorded so far, with this machine added where it is not the plan's ``environment``.

    Raises:
        DriftError: it is not, and ``accept_drift`` is false.
    """
    here, drift = current_environment(dataset.manifest.settings), _recorded_drift(dataset.path)
    found = differences(environment, here)
    if found:
        if not accept_drift:
            require_same(environment, here, str(dataset.path / MANIFEST))
        present = [s.name for s in dataset.shards if dataset.shard_path(s).exists()]
        entry = {"environment": here, "differences": found, "shards_before": present}
        if entry not in drift:
            drift = (*drift, entry)
            write_atomically(dataset.path / DRIFT, json.dumps(list(drift), indent=2) + "\n")
    return drift


def _recorded_drift(out: Path) -> tuple[dict[str, Any], ...]:
    file = out / DRIFT
    if not file.exists():
        return ()
    try:
        content = json.loads(file.read_bytes())
        return tuple(dict(entry) for entry in content)
    except (ValueError, TypeError) as error:
        raise InputError(f"{file}: not a readable drift record") from error


def _check_space(dataset: DatasetDirectory, images: int) -> None:
    """Refuse early where even one shard's worth of space is missing; later shortage is caught too."""
    size = dataset.manifest.settings.output_size
    needed = min(images, dataset.manifest.shard_rows) * size * size * BYTES_PER_PIXEL
    free = shutil.disk_usage(dataset.path).free
    if free < needed / 10:  # even well compressed images would not fit
        raise OutputError(f"{dataset.path}: {free / 1e6:.0f} MB free, one shard needs up to {needed / 1e6:.0f} MB")
