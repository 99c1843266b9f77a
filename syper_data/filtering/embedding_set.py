"""One side of an audit: embeddings in memory or in a file, whose they are, and parts of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from syper_data.errors import InputError
from syper_data.filtering.search import ArrayBlocks, Rows, VectorBlocks, Vectors, check_unit
from syper_data.metrics.intervals import Codes
from syper_data.recognition.embedding_table import EmbeddingsHeader, read_header
from syper_data.recognition.embeddings import Embeddings

_FILE_ROWS = 8192
_CENTRES = 32_768  # identities that are averaged in one pass: 128 MiB of sums at 512 values


@dataclass(frozen=True)
class FileBlocks:
    """The vectors of an embeddings file, read anew for every pass."""

    path: Path
    rows: int
    dim: int

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    def __len__(self) -> int:
        return self.rows

    def blocks(self, rows: int) -> Iterator[tuple[int, Vectors]]:
        """First row and vectors of each block."""
        start = 0
        for part in Embeddings.blocks(self.path, rows):
            yield start, part.vectors
            start += len(part.vectors)


@dataclass(frozen=True)
class ChosenBlocks:
    """Some rows (ascending) of other blocks."""

    inner: VectorBlocks
    chosen: Rows

    @property
    def where(self) -> str:
        """What the other blocks are called."""
        return self.inner.where

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.inner.dim

    def __len__(self) -> int:
        return len(self.chosen)

    def blocks(self, rows: int) -> Iterator[tuple[int, Vectors]]:
        """First row, counted among the chosen, and vectors of each block."""
        start = 0
        for first, block in self.inner.blocks(rows):
            low, high = np.searchsorted(self.chosen, [first, first + len(block)])
            if high > low:
                yield start, block[self.chosen[low:high] - first]
                start += int(high - low)


@dataclass(frozen=True)
class CentreBlocks:
    """The normalised mean vector of every identity, ordered by code; a pass over the rows for every 32,768."""

    inner: VectorBlocks
    codes: Codes  # [rows], 0..identities - 1

    @property
    def where(self) -> str:
        """What the averaged vectors are called."""
        return f"{self.inner.where}, centre of an identity"

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.inner.dim

    def __len__(self) -> int:
        return int(self.codes.max()) + 1

    def blocks(self, rows: int) -> Iterator[tuple[int, Vectors]]:
        """First code and centres of each block."""
        for start in range(0, len(self), _CENTRES):
            centres = self._centres(start, min(_CENTRES, len(self) - start))
            for first in range(0, len(centres), rows):
                yield start + first, centres[first : first + rows]

    def _centres(self, start: int, count: int) -> Vectors:
        """The centres of ``count`` codes from ``start`` on."""
        sums = np.zeros((count, self.dim), np.float64)
        for first, block in self.inner.blocks(_FILE_ROWS):
            codes = self.codes[first : first + len(block)] - start
            mine = (codes >= 0) & (codes < count)
            np.add.at(sums, codes[mine], block[mine])
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        nowhere = norms[:, 0] == 0
        sums[nowhere, 0] = norms[nowhere] = 1  # opposite vectors: any direction is as good
        return np.asarray(sums / norms, np.float32)


@dataclass(frozen=True)
class EmbeddingSet:
    """Vectors in blocks and their metadata; ``role`` is what messages call the set."""

    vectors: VectorBlocks
    table: pa.Table
    header: EmbeddingsHeader
    role: str

    @classmethod
    def of(cls, given: Embeddings | str | Path, role: str) -> EmbeddingSet:
        """Embeddings in memory, or a file of them, of which only the metadata are kept in memory.

        Raises:
            InputError: no file of embeddings, or an empty one.
        """
        if isinstance(given, Embeddings):
            found = cls(ArrayBlocks(given.vectors, f"{role} embeddings"), given.table, given.header, role)
        else:
            path = Path(given)
            header = read_header(path)
            tables = [part.table for part in Embeddings.blocks(path, _FILE_ROWS)]
            table = pa.concat_tables(tables) if tables else pa.table({})
            found = cls(FileBlocks(path, header.rows, header.dim), table, header, role)
        if not len(found):
            raise InputError(f"the {role} set is empty: it holds no embedding")
        return found

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def subjects(self) -> list[str | None]:
        """Whose images they are, where known."""
        found: list[str | None] = self.table["subject"].to_pylist()
        return found

    @cached_property
    def labelled(self) -> bool:
        """Whether the person is known of every image."""
        return None not in self.subjects

    @cached_property
    def people(self) -> Codes:
        """Codes of people [n], 0.. in the order of their ids; every image its own where not labelled."""
        if not self.labelled:
            return np.arange(len(self))
        return _codes([str(s) for s in self.subjects])

    @cached_property
    def eyes(self) -> Codes:
        """Codes of eyes (subject and side) [n]; every image its own where not labelled."""
        if not self.labelled:
            return np.arange(len(self))
        sides = self.table["side"].to_pylist()
        return _codes([f"{s}\0{side or ''}" for s, side in zip(self.subjects, sides, strict=True)])

    @cached_property
    def source_ids(self) -> list[str | None]:
        """What the images are called at their source."""
        found: list[str | None] = self.table["source_id"].to_pylist()
        return found

    @cached_property
    def digests(self) -> list[str | None]:
        """SHA-256 of the images' pixels."""
        found: list[str | None] = self.table["pixel_sha256"].to_pylist()
        return found

    def take(self, rows: Rows) -> EmbeddingSet:
        """Those rows, which must ascend."""
        return replace(self, vectors=ChosenBlocks(self.vectors, rows), table=self.table.take(rows))

    def gather(self, rows: Any) -> Vectors:
        """The vectors of those rows in any order, float32 [len(rows), d], in one pass."""
        rows = np.asarray(rows, np.int64)
        found = np.empty((len(rows), self.vectors.dim), np.float32)
        for first, block in self.vectors.blocks(_FILE_ROWS):
            mine = np.flatnonzero((rows >= first) & (rows < first + len(block)))
            found[mine] = block[rows[mine] - first]
        return check_unit(found, self.vectors.where)


def require_same_images(first: EmbeddingSet, second: EmbeddingSet) -> None:
    """Two sets must hold the same images in the same order.

    Raises:
        InputError: they don't; the first difference is named.
    """
    if len(first) != len(second):
        raise InputError(f"the {first.role} set has {len(first)} images, the {second.role} set {len(second)}")
    pairs = zip(first.source_ids, second.source_ids, strict=True)
    for row, (a, b) in enumerate(pairs):
        if a != b:
            raise InputError(f"row {row} is {a} in the {first.role} set and {b} in the {second.role} set")


def _codes(labels: list[str]) -> Codes:
    codes: Codes = np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64)
    return codes
