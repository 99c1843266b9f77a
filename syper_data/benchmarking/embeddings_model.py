"""A file of embeddings as a model: vectors that ``syper-data embed`` made, looked up image by image.

An image is found by the digest of its pixels, else by its name and side. One that the file does not hold is an
error, not a failure to acquire; one that the file lists as not embedded is a failure to acquire.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from syper_data.benchmarking.model import Pixels, Vectors, key_of
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError
from syper_data.imaging.source import SourceImage
from syper_data.recognition.bundled import bundled_recognizers
from syper_data.recognition.embeddings import Embeddings
from syper_data.recognition.recognizer_file import RecognizerFile, read_recognizer


class EmbeddingsModel:
    """See the module. Whom the recognizer was trained on stands in the file, or it is a bundled one."""

    kind, cacheable = "embeddings", False

    def __init__(self, path: Path) -> None:
        """Read a file.

        Raises:
            InputError: not there, damaged, or no file of embeddings.
        """
        self._path, self._made = path, Embeddings.read(path)
        self.name, self.sha256 = f"{path.stem} ({self._made.embedder_name})", file_sha256(path)
        self.embedder_sha256 = self._made.embedder_sha256
        known, spectrum = self._made.identities, self._made.spectrum
        recognizer = _bundled(self.embedder_sha256) if known is None else None  # older files don't say it
        if recognizer is not None:
            known = recognizer.identities if recognizer.identities_known else None
            spectrum = recognizer.spectrum
        self.identities, self.identities_known = known or frozenset[str](), known is not None
        self.spectrum = spectrum
        table = self._made.table
        sides, names = table["side"].to_pylist(), table["source_id"].to_pylist()
        self._by_pixels: dict[bytes, int] = {}
        self._sides, self._digests = sides, table["pixel_sha256"].to_pylist()
        self._by_name: dict[str, list[int]] = {}
        for row, digest in enumerate(self._digests):
            if digest is not None:
                self._by_pixels.setdefault(key_of(digest, sides[row]), row)
            if names[row] is not None:
                self._by_name.setdefault(names[row], []).append(row)
        self._lost = {entry.source_id for entry in self._made.unreadable}

    def find(self, name: str, image: SourceImage, pixel_sha256: str) -> Vectors | None:
        """The vector [d] of an image; None where the file lists it as not embedded.

        Raises:
            InputError: the file does not hold it, its name stands for several, or it was embedded unmirrored.
        """
        row = self._by_pixels.get(key_of(pixel_sha256, image.side))
        names = [n for n in (image.source_id, name) if n is not None]
        if row is None:
            row = next((found for found in (self._named(n, image.side) for n in names) if found is not None), None)
        if row is None:
            if self._lost.intersection(names):
                return None
            raise InputError(f"{self._path}: holds no embedding of {name}; embed all images of the protocol")
        vector: Vectors = self._made.vectors[row]
        return vector

    def _named(self, name: str, side: str | None) -> int | None:
        """The row of this name; both eyes of a photo have its name, so the side must fit where both say one."""
        rows = self._by_name.get(name, [])
        rows = [row for row in rows if None in (side, self._sides[row]) or self._sides[row] == side]
        if not rows:
            return None
        if any(not np.array_equal(self._made.vectors[rows[0]], self._made.vectors[row]) for row in rows):
            raise InputError(f"{self._path}: several embeddings are named {name}; keep the one that is meant")
        unsided = self._sides[rows[0]] is None and self._digests[rows[0]] is not None  # ``embed`` saw it like that
        if side == "image_right" and unsided:
            raise InputError(
                f"{self._path}: {name} is of side {side}, but was embedded without a side, and so not mirrored; "
                "embed images that say their side"
            )
        return rows[0]

    def embed(self, pixels: Sequence[Pixels], sides: Sequence[str | None] | None = None) -> Vectors:
        """By the digests of the pixels alone.

        Raises:
            InputError: the file does not hold an image.
        """
        import hashlib

        rows = []
        for index, (image, side) in enumerate(zip(pixels, sides or [None] * len(pixels), strict=True)):
            row = self._by_pixels.get(key_of(hashlib.sha256(image.tobytes()).hexdigest(), side))
            if row is None:
                raise InputError(f"{self._path}: holds no embedding of image {index}")
            rows.append(row)
        found: Vectors = self._made.vectors[rows]
        return found


def _bundled(sha256: str) -> RecognizerFile | None:
    for file in bundled_recognizers().values():
        if file_sha256(file) == sha256:
            return read_recognizer(file)
    return None
