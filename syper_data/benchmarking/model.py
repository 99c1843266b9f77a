"""What a model is to a benchmark: crops in, vectors of length 1 out; and what every kind of model shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np

from syper_data.errors import SyperError
from syper_data.imaging.source import SourceImage
from syper_data.recognition.embedder import check_crop
from syper_data.recognition.embedding_cache import cache_key

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Vectors = np.ndarray[Any, np.dtype[np.float32]]

BLOCK = 16  # images that a model gets at a time, at most


class Model(Protocol):
    """What a benchmark needs of a recognizer.

    Further attributes count where they are there: ``kind`` (a word for the records), ``runtime`` (what runs it,
    with its version; a cache of another one is not used), ``cacheable`` (default True: ``sha256`` stands for
    all that a vector depends on), ``concurrent`` (default False: ``embed`` may run in several threads at once),
    ``says_orientation`` (default True; where it is False, ``compat_orientation`` may mirror its input),
    ``notes`` (sentences for every table) and ``find`` (see :class:`Finder`).
    """

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def identities(self) -> frozenset[str]:
        """Digests of the people it was trained on (``recognition.recognizer_file.identity_digest``)."""
        ...

    @property
    def identities_known(self) -> bool: ...

    @property
    def spectrum(self) -> str | None: ...

    def embed(self, pixels: Sequence[Pixels], sides: Sequence[str | None] | None = None) -> Vectors:
        """Square crops of any size -> float32 [n, d] of length 1; those of ``image_right`` are mirrored."""
        ...


class Finder(Protocol):
    """A model that has vectors already: it is asked for them instead of embedding."""

    def find(self, name: str, image: SourceImage, pixel_sha256: str) -> Vectors | None:
        """The vector [d] of an image, None where the file says that it could not be embedded."""
        ...


def oriented(pixels: Pixels, side: str | None) -> Pixels:
    """A crop in canonical orientation: one of ``image_right`` is mirrored.

    Raises:
        InputError: no square uint8 crop of three channels, or an unknown side.
    """
    check_crop(pixels, side, "the image")
    return np.ascontiguousarray(pixels[:, ::-1]) if side == "image_right" else pixels


def unit_vectors(raw: Any, images: int, name: str) -> Vectors:
    """What a model gave for so many images -> float32 [n, d] of length 1.

    Raises:
        SyperError: another shape, no numbers, a vector that is not finite, or one that is zero.
    """
    raw = np.asarray(raw)
    if raw.dtype.kind != "f" or raw.ndim != 2 or len(raw) != images or not raw.shape[1]:
        raise SyperError(
            f"{name}: gives {raw.dtype} {list(raw.shape)} for {images} images: must be float [{images}, d]"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(raw.astype(np.float64), axis=1, keepdims=True)
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(wrong):
        what = "is zero" if lengths[wrong[0], 0] == 0 else "holds values that are not finite"
        raise SyperError(f"{name}: the vector of image {wrong[0]} of {images} {what}; it is not usable")
    return cast(Vectors, (raw / lengths).astype(np.float32))


def key_of(pixel_sha256: str, side: str | None) -> bytes:
    """The key of a crop's vector in a cache, as ``embed`` writes it, too."""
    return cache_key(pixel_sha256, side == "image_right")
