"""What a report is made from: a complete dataset directory and what ``filter`` found, checked."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.dataset.directory import COMPLETE, Completion, DatasetDirectory, PlannedShard
from syper_data.dataset.shards import file_sha256, require_recorded
from syper_data.errors import InputError
from syper_data.filtering.filter import FILTER
from syper_data.filtering.ledger import LEDGER, Ledger, read_ledger

Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Audited:
    """A dataset and its ledger; ``ledger`` is None and ``record`` empty where it was never audited.

    ``record`` is what the ledger says of itself, and ``filter.json`` beside it.
    """

    dataset: DatasetDirectory
    completion: Completion
    ledger: Ledger | None
    record: dict[str, Any]
    _checked: set[str] = field(default_factory=set, repr=False)  # shards whose digest was found right

    @classmethod
    def open(cls, path: Path) -> Audited:
        """Read and check all of it.

        Raises:
            InputError: no complete dataset; a ledger that is damaged or another dataset's.
        """
        dataset = DatasetDirectory.open(path)
        completion = dataset.require_complete()
        if not (path / LEDGER).exists():
            return cls(dataset, completion, None, {})
        ledger = read_ledger(dataset)
        return cls(dataset, completion, ledger, {**_figures(path), **ledger.record})

    @property
    def name(self) -> str:
        """What the dataset's folder is called."""
        return self.dataset.path.resolve().name

    @property
    def settings(self) -> dict[str, Any]:
        """The options of the audit."""
        return self.record.get("settings") or {}

    @property
    def overlap(self) -> dict[str, Any] | None:
        """The figures of the comparison with real people; None where there was none."""
        return self.record.get("overlap")

    @property
    def membership(self) -> dict[str, Any] | None:
        """The figures of the membership inference; None where it was not run."""
        return (self.overlap or {}).get("membership")

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the files that a signature stands for."""
        files = {"manifest.json": self.dataset.manifest_sha256}
        names = [COMPLETE] + ([LEDGER] if self.ledger is not None else [])
        return files | {name: file_sha256(self.dataset.path / name) for name in names}

    @cached_property
    def kept(self) -> Rows:
        """Rows of the images that are kept; of all where nobody has decided."""
        if self.ledger is None:
            return np.arange(len(self.dataset))
        return np.flatnonzero(self.ledger.keep)

    @cached_property
    def keys(self) -> list[tuple[int, int | None]]:
        """The key (seed, label) of every image."""
        return self.dataset.keys()

    def shard_path(self, shard: PlannedShard) -> Path:
        """Where a shard lies, its bytes compared with the completion record the first time.

        Raises:
            VerificationError: it is damaged or changed.
        """
        path = self.dataset.shard_path(shard)
        if shard.name not in self._checked:
            require_recorded(path, self.completion.shards[shard.index].sha256, COMPLETE)
            self._checked.add(shard.name)
        return path

    @cached_property
    def reasons(self) -> list[list[str]]:
        """The reasons of every image; empty without a ledger."""
        return [] if self.ledger is None else self.ledger.table["reasons"].to_pylist()

    def counts(self) -> list[tuple[str, int, int]]:
        """Of every reason: images that it rejects first, and images that have it at all."""
        first = Counter(r[0] for r in self.reasons if r)
        have = Counter(reason for r in self.reasons for reason in set(r))
        return [(name, first[name], have[name]) for name in sorted(have, key=lambda n: (-first[n], -have[n], n))]


def _figures(path: Path) -> dict[str, Any]:
    """``filter.json``, which belongs to the ledger; empty where it is not there."""
    file = path / FILTER
    if not file.exists():
        return {}
    try:
        figures: dict[str, Any] = json.loads(file.read_bytes())
        belongs_to = figures["ledger_sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{file}: damaged; run syper-data filter again, which reuses the scores") from error
    if belongs_to != file_sha256(path / LEDGER):
        raise InputError(
            f"{file}: belongs to another {LEDGER}; run syper-data filter again, which reuses the scores"
        )
    return figures
