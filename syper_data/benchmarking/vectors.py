"""Each distinct image of a protocol through each model, once; what was computed is kept in a cache.

An image that can't be read is a failure to acquire: a row of NaN. Vectors lie in the cache under the digests of
pixels and model, as ``syper-data embed`` keeps them, so a run that was stopped continues where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch

from syper_data.benchmarking.model import BLOCK, Finder, Model, Pixels, Vectors, key_of
from syper_data.dataset.atomic import remove_leftovers
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, SyperError
from syper_data.imaging.source import SourceImage, Unreadable
from syper_data.protocols.protocol import Pictures
from syper_data.recognition.embedder import check_crop
from syper_data.recognition.embedding_cache import EmbeddingCache, cache_folder

Report = Callable[[int, int], None]

_PART = 1024  # new vectors after which a part of the cache is written
_TURNED = {"image_left": "image_right", "image_right": "image_left", None: "image_right"}


@dataclass(frozen=True)
class Acquired:
    """``vectors`` float32 [n, d] by model, NaN where an image was not acquired; rows follow ``names``.

    ``failures`` are images that could not be read, and why. ``sha256`` stands for names and pixels.
    """

    names: tuple[str, ...]
    vectors: Mapping[str, Vectors]
    failures: Mapping[str, str]
    sha256: str

    def of(self, label: str, names: Sequence[str]) -> Vectors:
        """A model's vectors of those images, in that order."""
        rows = {name: row for row, name in enumerate(self.names)}
        found: Vectors = self.vectors[label][[rows[name] for name in names]]
        return found


def embed_images(
    pictures: Pictures,
    names: Sequence[str],
    models: Mapping[str, Model],
    *,
    cache: Path,
    compat_orientation: bool = False,
    report: Report | None = None,
) -> Acquired:
    """Read every image once and give it to every model; ``report`` is called with images read and their number.

    Blocks run in as many threads as torch has, each on one of them, so that their number changes no vector.

    Raises:
        InputError: an image that the protocol names is not there, or is no square crop.
        SyperError: a model fails, or gives a vector that is not usable.
        LockedError: another process is filling the cache of a model.
    """
    threads = torch.get_num_threads()
    digest, failures = hashlib.sha256(), {}
    with ExitStack() as stack:
        works = {}
        for label, model in models.items():
            turn = compat_orientation and not getattr(model, "says_orientation", True)
            folder = cache_folder(cache, model.sha256, getattr(model, "runtime", None))
            if getattr(model, "cacheable", True):
                stack.enter_context(folder_lock(folder))
                remove_leftovers(folder)
                works[label] = _Work(model, folder, turn)
            else:
                works[label] = _Work(model, None, turn)
        torch.set_num_threads(1)
        stack.callback(torch.set_num_threads, threads)
        pool = stack.enter_context(ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)))
        for work in works.values():
            stack.callback(work.keep)  # also after Ctrl-C
        for row, (name, entry) in enumerate(zip(names, pictures.read(names), strict=True)):
            if isinstance(entry, Unreadable):
                failures[name] = entry.reason
                pixel_sha256 = "not acquired"
            else:
                check_crop(entry.pixels, entry.side, entry.where)
                pixel_sha256 = hashlib.sha256(entry.pixels.tobytes()).hexdigest()
            digest.update(f"{name}\t{pixel_sha256}\n".encode("utf-8", "backslashreplace"))
            for work in works.values():
                work.take(name, None if isinstance(entry, Unreadable) else entry, pixel_sha256, pool)
            if report is not None:
                report(row + 1, len(names))
        vectors = {label: work.finish(pool) for label, work in works.items()}
    return Acquired(tuple(names), vectors, failures, digest.hexdigest())


class _Work:
    """One model: images that wait for their block, blocks that are under way, vectors that are not yet kept."""

    def __init__(self, model: Model, folder: Path | None, turn: bool) -> None:
        self._model, self._folder, self._turn = model, folder, turn
        self._cache = _open_cache(folder)
        self._rows: list[bytes | Vectors | None] = []  # a key, a vector that was found, or nothing
        self._waiting: dict[bytes, tuple[Pixels, str | None, str]] = {}
        self._running: list[tuple[list[bytes], list[str], Future[Vectors]]] = []
        self._done: dict[bytes, Vectors] = {}
        self._known: set[bytes] = set()

    def take(self, name: str, image: SourceImage | None, pixel_sha256: str, pool: ThreadPoolExecutor) -> None:
        """Note one image of the protocol; embed a block when there is one."""
        if image is None:
            self._rows.append(None)
            return
        if hasattr(self._model, "find"):
            self._rows.append(cast(Finder, self._model).find(name, image, pixel_sha256))
            return
        side = _TURNED[image.side] if self._turn else image.side
        key = key_of(pixel_sha256, side)
        self._rows.append(key)
        if key in self._known or (self._cache is not None and key in self._cache):
            return
        self._known.add(key)
        self._waiting[key] = (image.pixels, side, name)
        if len(self._waiting) == BLOCK:
            self._submit(pool)

    def finish(self, pool: ThreadPoolExecutor) -> Vectors:
        """Embed the rest; all vectors, float32 [n, d]."""
        self._submit(pool)
        self._collect(0)
        self.keep()
        keys = [row for row in self._rows if isinstance(row, bytes)]
        kept = [key for key in dict.fromkeys(keys) if key not in self._done]
        found = dict(self._done)
        if kept and self._cache is not None:
            found |= zip(kept, self._cache.vectors(kept), strict=True)
        rows = [found[row] if isinstance(row, bytes) else row for row in self._rows]
        dim = next((len(row) for row in rows if row is not None), 0)
        if not dim:
            raise InputError(f"{self._model.name}: none of the {len(rows)} images could be embedded")
        vectors = np.full((len(rows), dim), np.nan, np.float32)
        for index, row in enumerate(rows):
            if row is not None:
                vectors[index] = row
        return vectors

    def keep(self) -> None:
        """Write new vectors as a part of the cache."""
        if self._folder is None or not self._done:
            return
        if self._cache is None:
            self._cache = EmbeddingCache(self._folder, len(next(iter(self._done.values()))))
        self._cache.add(list(self._done), np.stack(list(self._done.values())))
        self._done = {}

    def _submit(self, pool: ThreadPoolExecutor) -> None:
        if not self._waiting:
            return
        keys = list(self._waiting)
        images = list(self._waiting.values())
        pixels, sides, names = [x[0] for x in images], [x[1] for x in images], [x[2] for x in images]
        self._waiting = {}
        if getattr(self._model, "concurrent", False):
            self._running.append((keys, names, pool.submit(self._embed, names, pixels, sides)))
            self._collect(2 * pool._max_workers)
        else:
            self._accept(keys, names, self._embed(names, pixels, sides))

    def _embed(self, names: Sequence[str], pixels: Sequence[Pixels], sides: Sequence[str | None]) -> Vectors:
        try:
            return self._model.embed(pixels, sides)
        except SyperError as error:
            raise type(error)(f"images {names[0]} to {names[-1]}: {error}") from error

    def _collect(self, most: int) -> None:
        """Wait until at most so many blocks are under way."""
        while len(self._running) > most:
            keys, names, future = self._running.pop(0)
            self._accept(keys, names, future.result())

    def _accept(self, keys: Sequence[bytes], names: Sequence[str], vectors: Any) -> None:
        self._check(names, vectors)
        self._done.update(zip(keys, vectors, strict=True))
        if len(self._done) >= _PART:
            self.keep()

    def _check(self, names: Sequence[str], vectors: Any) -> None:
        """A model of another room is not trusted to have looked at its vectors."""
        model, n = self._model.name, len(names)
        if not isinstance(vectors, np.ndarray) or vectors.dtype != np.float32 or vectors.shape[:1] != (n,):
            raise SyperError(f"{model}: gives no float32 [{n}, d] for {n} images")
        if vectors.ndim != 2 or any(len(v) != vectors.shape[1] for v in list(self._done.values())[:1]):
            raise SyperError(f"{model}: gives vectors of different lengths")
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
        wrong = np.flatnonzero(~(np.abs(lengths - 1) <= 1e-3))
        if len(wrong):
            what = (
                f"has length {lengths[wrong[0]]:.4g}, not 1" if np.isfinite(lengths[wrong[0]]) else "is not finite"
            )
            raise SyperError(f"{model}: the vector of {names[wrong[0]]} {what}; it is not usable")


def _open_cache(folder: Path | None) -> EmbeddingCache | None:
    """The cache of a folder that holds one; the length of a vector is that of its first part."""
    part = next(iter(sorted(folder.glob("*.arrow"))), None) if folder is not None else None
    if folder is None or part is None:
        return None
    try:
        with pa.memory_map(str(part)) as source:
            dim = pa.ipc.open_file(source).schema.field("vector").type.list_size
    except (pa.ArrowException, OSError, KeyError, AttributeError) as error:
        raise InputError(f"{part}: damaged; remove this file and run the same command again") from error
    return EmbeddingCache(folder, dim)
