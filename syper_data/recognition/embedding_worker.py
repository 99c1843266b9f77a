"""What a worker process does: the vectors of a range of a source, into the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.errors import InputError
from syper_data.imaging.source import ImageSource, SourceImage, Unreadable
from syper_data.imaging.subjects import named_entries
from syper_data.recognition.embedder import BLOCK, Embedder, check_crop
from syper_data.recognition.embedding_cache import EmbeddingCache, cache_key
from syper_data.recognition.recognizer_file import read_recognizer

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Progress = Callable[[int], None]
_LABELS = range(-(2**31), 2**31)
_SEEDS = range(-(2**63), 2**63)


def embed_ranges(setup: Mapping[str, Any]) -> Callable[[dict[str, Any], Progress], dict[str, Any]]:
    """Job: task ``{"start", "stop"}`` puts the vectors that the cache lacks into it, and returns the rows of
    the table with the images that gave none."""
    source = ImageSource.open(setup["source"], setup["columns"])
    work = _Work(Path(setup["embedder"]), setup["sha256"], Path(setup["cache"]), setup["mirrored"])

    def handle(task: dict[str, Any], progress: Progress) -> dict[str, Any]:
        rows, lost = [], []
        for entry in named_entries(source, task["start"], task["stop"]):
            reason = entry.reason if isinstance(entry, Unreadable) else _fault(entry)
            if isinstance(entry, Unreadable) or reason:
                lost.append([_text(entry.source_id), _text(reason)])
            else:
                rows.append(work.take(entry))
            progress(1)
        work.finish()
        return {"rows": rows, "lost": lost}

    return handle


class _Work:
    """Crops that wait for their block, and vectors that wait for their part of the cache."""

    def __init__(self, recognizer: Path, sha256: str, cache: Path, mirrored: bool) -> None:
        file = read_recognizer(recognizer)
        if file.sha256 != sha256:
            raise InputError(f"{recognizer}: changed while it was used; run the same command again")
        self._file = file
        self._embedder: Embedder | None = None  # made when there is something to embed
        self._cache = EmbeddingCache(cache, file.config.embedding_dim)
        self._mirrored = mirrored
        self._waiting: dict[bytes, Pixels] = {}  # in the size of the network's input
        self._done: dict[bytes, np.ndarray[Any, np.dtype[np.float32]]] = {}

    def take(self, image: SourceImage) -> list[Any]:
        """Note one crop for embedding unless it is known; return its row and whether it is mirrored."""
        if image.spectrum and self._file.spectrum and image.spectrum != self._file.spectrum:
            raise InputError(
                f"{image.where}: spectrum is {image.spectrum}, the recognizer {self._file.name} is for "
                f"{self._file.spectrum}; choose another with --embedder"
            )
        digest = hashlib.sha256(image.pixels.tobytes()).hexdigest()
        mirrored = (image.side == "image_right") != self._mirrored
        key = cache_key(digest, mirrored)
        if not (key in self._cache or key in self._done or key in self._waiting):
            self._embedder = self._embedder or Embedder(self._file)
            self._waiting[key] = self._embedder.oriented(image.pixels, self._turn(image.side), image.where)
            if len(self._waiting) == BLOCK:
                self._embed()
        texts = (image.source_id, image.subject, image.side, image.spectrum, image.sample)
        return [*(_text(t) for t in texts), image.seed, image.label, digest, mirrored]

    def finish(self) -> None:
        """Embed what waits, and write the part."""
        self._embed()
        if self._done:
            self._cache.add(list(self._done), np.stack(list(self._done.values())))
            self._done = {}

    def _embed(self) -> None:
        if self._waiting and self._embedder:
            vectors = self._embedder.embed_oriented(np.stack(list(self._waiting.values())))
            self._done.update(zip(self._waiting, vectors, strict=True))
            self._waiting = {}

    def _turn(self, side: str | None) -> str | None:
        """The side that brings a crop into the orientation searched for."""
        if not self._mirrored:
            return side
        return "image_left" if side == "image_right" else "image_right"


def _fault(image: SourceImage) -> str | None:
    try:
        check_crop(image.pixels, image.side, image.where)
    except InputError as error:
        return str(error)
    if image.seed is not None and image.seed not in _SEEDS:
        return f"{image.where}: seed {image.seed} has more than 64 bits"
    if image.label is not None and image.label not in _LABELS:
        return f"{image.where}: label {image.label} has more than 32 bits"
    return None


def _text(value: str | None) -> str | None:
    """A file name may hold bytes that are no UTF-8; tables hold text."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode("utf-8")
