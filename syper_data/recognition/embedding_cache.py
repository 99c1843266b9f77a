"""Vectors that were computed before: a folder of small files, found by what was embedded.

A key is the SHA-256 of a crop's pixels and whether it was mirrored; square crops of three channels
need no more. A part is an Arrow file named after the SHA-256 of its own bytes, so that damage shows
and two runs can't disagree; a part that is there is whole. Delete the folder at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from syper_data.dataset.atomic import write_atomically
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError

Vectors = np.ndarray[Any, np.dtype[np.float32]]

KEY_BYTES = 33
_SUFFIX = ".arrow"


def cache_key(pixel_sha256: str, mirrored: bool) -> bytes:
    """The key of a crop."""
    return bytes.fromhex(pixel_sha256) + (b"m" if mirrored else b"-")


def cache_folder(root: Path, sha256: str, runtime: str | None = None) -> Path:
    """The folder within ``root`` for the vectors of one model on one kind of machine.

    ``runtime`` names what runs a model that is no recognizer file, and its version (``onnxruntime 1.31.1``).
    """
    import torch

    from syper_data.recognition.embedder import VERSION
    from syper_data.sampling.environment import cpu_capability

    machine = " ".join([str(VERSION), runtime or torch.__version__, cpu_capability()])
    return root / f"{sha256[:32]}-{hashlib.sha256(machine.encode()).hexdigest()[:8]}"


class EmbeddingCache:
    """The parts in one folder, for one recognizer on one kind of machine."""

    def __init__(self, folder: Path, dim: int) -> None:
        """Index what is there.

        Raises:
            InputError: a part is damaged, with its name.
        """
        self._folder, self._dim = folder, dim
        self._schema = pa.schema([("key", pa.binary(KEY_BYTES)), ("vector", pa.list_(pa.float32(), dim))])
        self._parts: list[pa.Table] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            self._open(path)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def add(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Write one part, atomically; ``vectors`` is float32 [len(keys), dim]."""
        values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), self._dim)
        table = pa.Table.from_arrays([pa.array(keys, pa.binary(KEY_BYTES)), values], schema=self._schema)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, self._schema) as writer:
            writer.write_table(table)
        data = sink.getvalue().to_pybytes()
        path = self._folder / f"{hashlib.sha256(data).hexdigest()}{_SUFFIX}"
        write_atomically(path, data)
        self._index(table)

    def vectors(self, keys: Sequence[bytes]) -> Vectors:
        """The vectors of keys that are all here, float32 [len(keys), dim]."""
        found = np.empty((len(keys), self._dim), np.float32)
        wanted: dict[int, list[tuple[int, int]]] = {}
        for row, key in enumerate(keys):
            part, place = self._places[key]
            wanted.setdefault(part, []).append((row, place))
        for part, pairs in wanted.items():
            rows, places = np.array(pairs).T
            column = self._parts[part]["vector"].combine_chunks()
            found[rows] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, self._dim)[places]
        return found

    def _open(self, path: Path) -> None:
        if file_sha256(path) != path.name.removesuffix(_SUFFIX):
            raise InputError(f"{path}: damaged; remove this file and run the same command again")
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        if not table.schema.equals(self._schema):
            raise InputError(f"{path}: holds no vectors of {self._dim} values; choose another folder with --cache")
        self._index(table)

    def _index(self, table: pa.Table) -> None:
        number = len(self._parts)
        self._parts.append(table)
        for row, key in enumerate(table["key"].to_pylist()):
            self._places.setdefault(key, (number, row))
