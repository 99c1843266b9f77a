"""Images to vectors: a recognizer in evaluation, as fast as a plain CPU allows.

``embed`` takes square crops of any size and side, brings them to the orientation and size that the
recognizer was trained on, and returns vectors of length 1. Images go through the network in blocks of
a fixed size, the last filled up with zeros, so that a vector depends on its image alone: not on its
neighbours, its place or how many there are. (On one number of threads; two sum in another order.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from syper_data.errors import InputError, SyperError
from syper_data.imaging.pixels import resize
from syper_data.imaging.source import SIDES
from syper_data.recognition.backbones import Backbone
from syper_data.recognition.bundled import open_recognizer
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.folding import fold_batch_norms
from syper_data.recognition.recognizer_file import RecognizerFile

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Vectors = np.ndarray[Any, np.dtype[np.float32]]

BLOCK = 16  # images; measured, benchmarks/embedding.py
RESIZE_FILTER = "lanczos"  # antialiased, as everywhere crops are resized
VERSION = 1  # of everything between the pixels and the vector: a cache of another version is not used


class Described(Protocol):
    """What is known of a network apart from its weights; see :class:`RecognizerFile`."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def config(self) -> BackboneConfig: ...
    @property
    def spectrum(self) -> str | None: ...
    @property
    def orientation(self) -> str: ...
    @property
    def identities(self) -> frozenset[str]: ...
    @property
    def identities_known(self) -> bool: ...


class NetworkEmbedder:
    """A network of any kind, ready to embed: float32 [n, 3, s, s] -> [n, d]."""

    def __init__(self, file: Described, network: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._file, self._network = file, network

    @property
    def name(self) -> str:
        """The recognizer's name."""
        return self._file.name

    @property
    def sha256(self) -> str:
        """SHA-256 of the recognizer file: vectors of two embedders compare only if it is the same."""
        return self._file.sha256

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._file.config.embedding_dim

    @property
    def input_size(self) -> int:
        """Side of the network's input in pixels."""
        return self._file.config.input_size

    @property
    def spectrum(self) -> str | None:
        """What it was trained on: vis, nir, or None where nobody knows."""
        return self._file.spectrum

    @property
    def identities(self) -> frozenset[str]:
        """Digests of the subjects it was trained on; empty where ``identities_known`` is false."""
        return self._file.identities

    @property
    def identities_known(self) -> bool:
        """Whether the file says whom it was trained on."""
        return self._file.identities_known

    def embed(self, pixels: Pixels | Sequence[Pixels], sides: Sequence[str | None] | None = None) -> Vectors:
        """Crops -> float32 [n, d] of length 1.

        ``pixels`` is uint8 [n, h, w, 3] or a sequence of uint8 [h, w, 3] of any sizes. ``sides`` are
        ``image_left``, ``image_right`` or None; without it all are in canonical orientation.

        Raises:
            InputError: an image is no uint8 [s, s, 3], a side is unknown, or their numbers differ.
            SyperError: the network gives a vector that is not finite, or zero.
        """
        sides = [None] * len(pixels) if sides is None else sides
        if len(sides) != len(pixels):
            raise InputError(f"{len(pixels)} images and {len(sides)} sides: must be as many")
        vectors = np.empty((len(pixels), self.dim), np.float32)
        for start in range(0, len(pixels), BLOCK):
            rows = range(start, min(start + BLOCK, len(pixels)))
            crops = np.stack([self.oriented(pixels[i], sides[i], f"image {i}") for i in rows])
            vectors[start : rows.stop] = self.embed_oriented(crops, start)
        return vectors

    def embed_oriented(self, crops: Pixels, first: int = 0) -> Vectors:
        """At most a block of what :meth:`oriented` gives, uint8 [n, s, s, 3] -> float32 [n, d] of length 1.

        ``first`` is the number of the first one, for messages.

        Raises:
            SyperError: the network gives a vector that is not finite, or zero.
        """
        block = np.zeros((BLOCK, self.input_size, self.input_size, 3), np.uint8)
        block[: len(crops)] = crops
        with torch.inference_mode():
            raw: Vectors = self._network(self.prepare(block))[: len(crops)].numpy()
        lengths = np.linalg.norm(raw.astype(np.float64), axis=1, keepdims=True)
        wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
        if len(wrong):
            raise SyperError(
                f"image {first + wrong[0]}: the recognizer {self.name} gives no finite vector other than zero; "
                "it is not usable"
            )
        vectors: Vectors = (raw / lengths).astype(np.float32)
        return vectors

    def oriented(self, pixels: Pixels, side: str | None = None, where: str = "the image") -> Pixels:
        """One crop uint8 [h, h, 3] -> [s, s, 3], in the size and orientation of the network's training images.

        Raises:
            InputError: not uint8, not square, not of three channels, or of an unknown side.
        """
        check_crop(pixels, side, where)
        mirrored = (side == "image_right") != (self._file.orientation == "opposite")
        return resize(
            np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels), self.input_size, RESIZE_FILTER
        )

    @staticmethod
    def prepare(block: Pixels) -> torch.Tensor:
        """uint8 [n, s, s, 3] -> float32 [n, 3, s, s] in [-1, 1], channels last in memory."""
        return torch.from_numpy(block).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)


class Embedder(NetworkEmbedder):
    """A recognizer file, ready to embed; ``network`` is the folded one, its input what :meth:`prepare` gives."""

    def __init__(self, recognizer: RecognizerFile) -> None:
        self.network: Backbone = fold_batch_norms(recognizer.backbone)
        super().__init__(recognizer, self.network)


def check_crop(pixels: Pixels, side: str | None, where: str) -> None:
    """Raise :class:`InputError` unless this is a square uint8 crop of three channels and a known side."""
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        what = f"{pixels.dtype} {list(pixels.shape)}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise InputError(f"{where}: {what}, a crop is uint8 [h, w, 3]")
    h, w = pixels.shape[:2]
    if h != w or not h:
        raise InputError(f"{where}: {w}x{h} pixels, a crop is square (syper-data crop makes them)")
    if side not in (None, *SIDES):
        raise InputError(f"{where}: side is {side!r}: must be {' or '.join(SIDES)}")


def load_embedder(reference: str | Path | None = None, *, spectrum: str = "vis") -> Embedder:
    """The embedder of a bundled name, a recognizer file, or (None) the spectrum's teacher.

    Raises:
        InputError: neither a bundled name nor a readable recognizer file.
    """
    return Embedder(open_recognizer(reference, spectrum=spectrum))
