"""The kept images of a filtered dataset, with their scores, and the list of the rejected.

The shards of an export of a filtered dataset are written anew: kept rows only, the ledger's scores as
columns beside them, numbered from 0. Images are passed on byte by byte. What names a real image
(the nearest reference) stays behind; only numbers are published.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from syper_data.dataset.atomic import atomic_path
from syper_data.dataset.directory import DATA, DatasetDirectory, PlannedShard, ShardRecord
from syper_data.dataset.kept import REJECTED_FILE, shard_name
from syper_data.dataset.shards import ROW_GROUP, SCHEMA, file_sha256, open_shard, open_writer
from syper_data.errors import UsageError
from syper_data.filtering.ledger import Ledger


def published_scores(ledger: Ledger) -> list[str]:
    """The columns that are published: those that hold numbers."""
    kinds = {name: ledger.table.schema.field(name).type for name in ledger.scores}
    return [
        name
        for name, kind in kinds.items()
        if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    ]


def kept_schema(ledger: Ledger) -> pa.Schema:
    """A shard's schema with the scores behind it, and the features that the Hub reads."""
    scores = [ledger.table.schema.field(name) for name in published_scores(ledger)]
    features = json.loads(SCHEMA.metadata[b"huggingface"])["info"]["features"]
    features |= {field.name: {"dtype": _dtype(field.type), "_type": "Value"} for field in scores}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([*SCHEMA, *scores], metadata=metadata)


def planned_shards(dataset: DatasetDirectory, ledger: Ledger) -> list[tuple[str, int]]:
    """Name and rows of the exported shards, as large as the dataset's.

    Raises:
        UsageError: no image is kept.
    """
    size = dataset.manifest.shard_rows
    if not ledger.kept:
        raise UsageError(
            f"{dataset.path}: no image is kept, so there is nothing to publish; the page of syper-data report "
            "shows why; filter again, for example with other --quality-thresholds"
        )
    count = -(-ledger.kept // size)
    return [(shard_name(i, count), min(size, ledger.kept - i * size)) for i in range(count)]


class KeptWriter:
    """Takes the dataset's shards in order, gives the exported ones; one row group in memory at a time."""

    def __init__(self, dataset: DatasetDirectory, ledger: Ledger, folder: Path) -> None:
        self._dataset, self._ledger, self._folder = dataset, ledger, folder
        self.schema = kept_schema(ledger)
        self.num_bytes = 0

    def write(self, checked: Iterator[PlannedShard]) -> Iterator[tuple[ShardRecord, pa.Table]]:
        """Each exported shard as it is written: its record, and its columns without the image."""
        rows = self._kept(checked)
        rest = self.schema.empty_table()
        for name, wanted in planned_shards(self._dataset, self._ledger):
            path, left, columns = self._folder / DATA / name, wanted, []
            with atomic_path(path) as temporary, open_writer(temporary, self.schema) as writer:
                while left:
                    while len(rest) < min(ROW_GROUP, left):
                        rest = pa.concat_tables([rest, next(rows)])
                    group, rest = rest.slice(0, min(ROW_GROUP, left)), rest.slice(min(ROW_GROUP, left))
                    writer.write_table(group.combine_chunks(), row_group_size=ROW_GROUP)
                    self.num_bytes += group.nbytes
                    columns.append(group.drop_columns(["image"]))
                    left -= len(group)
            record = ShardRecord(name, wanted, path.stat().st_size, file_sha256(path))
            yield record, pa.concat_tables(columns)

    def _kept(self, checked: Iterator[PlannedShard]) -> Iterator[pa.Table]:
        """The kept rows of each row group, with their scores."""
        names = published_scores(self._ledger)
        for shard in checked:
            file, at = open_shard(self._dataset.shard_path(shard)), shard.start
            for group in range(file.metadata.num_row_groups):
                images = file.read_row_group(group)
                rows = self._ledger.table.slice(at, len(images))
                at += len(images)
                kept = pa.array(rows["keep"].to_numpy())
                columns = [images[name] for name in SCHEMA.names] + [rows[name] for name in names]
                yield pa.table(columns, schema=self.schema).filter(kept)


def write_rejected(ledger: Ledger, folder: Path) -> ShardRecord | None:
    """Every rejected key with its scores and reasons, as the configuration ``rejected`` of the export; None
    where nothing was rejected (``datasets`` can't open a table without rows)."""
    path = folder / REJECTED_FILE
    rows = np.flatnonzero(~ledger.keep)
    if not len(rows):
        return None
    names = ["seed", "label", *published_scores(ledger), "reasons"]
    table = ledger.table.select(names).take(pa.array(rows)).replace_schema_metadata(None)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True, write_page_index=True)
    return ShardRecord(REJECTED_FILE, len(rows), path.stat().st_size, file_sha256(path))


def _dtype(kind: Any) -> str:
    return {"double": "float64", "float": "float32"}.get(str(kind), str(kind))
