"""What a student learns from: images without labels, read from a source or made by a generator on the fly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from syper_data.dataset.manifest import MAX_SEED
from syper_data.errors import InputError, UsageError
from syper_data.gan.bundled import open_generator
from syper_data.gan.generator_file import GeneratorFile
from syper_data.imaging.pixels import resize
from syper_data.imaging.source import SourceImage, canonical, read_images
from syper_data.recognition.recognizer_file import identity_digest
from syper_data.recognition.training import opened_sources
from syper_data.sampling.plan import plan_settings
from syper_data.sampling.render import Renderer

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Source = str | Path | Iterable[SourceImage]


class Feed(Protocol):
    """Images uint8 [s, s, 3] in canonical orientation. ``count`` is how many there are to train on, None for
    no end; ``summary`` is what ``data.json`` says of them, ``sha256`` its or their digest; ``identities`` are the
    digests of the people on them, as far as the source names some."""

    count: int | None
    summary: dict[str, Any]
    sha256: str
    identities: frozenset[str]

    def images(self, step: int, rows: Sequence[int]) -> list[Pixels]:
        """These rows of the batch of a step: a function of the step and the row, and of nothing else."""
        ...

    def held_out(self, count: int) -> list[Pixels]:
        """At most so many images that are never trained on, the same ones each time."""
        ...


class StoredImages:
    """Images of sources, all in memory (grey ones as one channel), in a new order every epoch.

    ``held_out`` of them, at most a tenth, are left out of training.

    Raises:
        InputError: a source or an image of it is unreadable, an image is not square, or there are fewer than two.
    """

    def __init__(
        self, sources: Iterable[Iterable[SourceImage]], size: int, *, held_out: int, batch: int, seed: int
    ) -> None:
        digest, pixels = hashlib.sha256(), []
        people: set[str] = set()
        for image in (image for source in sources for image in source):
            h, w = image.pixels.shape[:2]
            if h != w:
                raise InputError(f"{image.where}: {w}x{h} pixels, a crop is square (syper-data crop makes them)")
            pixels.append(_grey(resize(canonical(image), size, "lanczos")))
            digest.update(pixels[-1].tobytes())
            people |= set() if image.subject is None else {image.subject}
        if len(pixels) < 2:
            raise InputError(f"{len(pixels)} images: two are needed, one to learn from and one to check with")
        order = np.random.default_rng((seed, 2)).permutation(len(pixels))
        held = max(1, min(held_out, len(pixels) // 10))
        self._held, self._kept = order[:held], np.sort(order[held:])
        self._pixels, self._batch, self._seed = pixels, batch, seed
        self.count: int | None = len(self._kept)
        self.identities = frozenset(map(identity_digest, people))
        self.sha256 = digest.hexdigest()
        self.summary: dict[str, Any] = {
            "kind": "images",
            "images": self.count,
            "held_out": held,
            "sha256": self.sha256,
        }
        self._order = lru_cache(maxsize=2)(self._permutation)

    def images(self, step: int, rows: Sequence[int]) -> list[Pixels]:
        """See :class:`Feed`; every image once an epoch."""
        assert self.count is not None
        places = [divmod(step * self._batch + row, self.count) for row in rows]
        return [self._at(int(self._kept[self._order(epoch)[place]])) for epoch, place in places]

    def held_out(self, count: int) -> list[Pixels]:
        """See :class:`Feed`."""
        return [self._at(int(i)) for i in self._held[:count]]

    def _at(self, i: int) -> Pixels:
        pixels = self._pixels[i]
        return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)

    def _permutation(self, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.random.default_rng((self._seed, 3, epoch)).permutation(len(self._kept))


class SampledImages:
    """A generator's images, made when they are asked for and never kept: every seed from ``seed_start`` on once,
    each with the class ``seed`` modulo the number of classes. Held out are the last seeds there are.

    Raises:
        UsageError: there are not as many seeds as images are needed.
    """

    count: int | None = None
    identities: frozenset[str] = frozenset()

    def __init__(
        self, generator: GeneratorFile, size: int, *, steps: int, batch: int, seed_start: int, psi: float
    ) -> None:
        stop = seed_start + steps * batch
        if stop > MAX_SEED + 1 - _RESERVED:
            raise UsageError(
                f"{steps} steps of {batch} images from seed {seed_start} on pass the largest seed, "
                f"{MAX_SEED - _RESERVED}"
            )
        self._renderer = Renderer(generator.generator, plan_settings(generator, psi=psi))
        self._size, self._batch, self._start = size, batch, seed_start
        self._classes = generator.config.c_dim
        self.summary: dict[str, Any] = {
            "kind": "generator",
            "generator": generator.name,
            "generator_sha256": generator.sha256,
            "spectrum": generator.spectrum,
            "psi": psi,
            "seeds": [seed_start, stop],
        }
        self.sha256 = hashlib.sha256(json.dumps(self.summary, sort_keys=True).encode("utf-8")).hexdigest()

    def images(self, step: int, rows: Sequence[int]) -> list[Pixels]:
        """See :class:`Feed`; no image comes twice."""
        return list(self._made([self._start + step * self._batch + row for row in rows]))

    def held_out(self, count: int) -> list[Pixels]:
        """See :class:`Feed`."""
        return list(self._made([MAX_SEED - i for i in range(min(count, _RESERVED))]))

    def _made(self, seeds: Sequence[int]) -> Iterator[Pixels]:
        keys = [(seed, seed % self._classes if self._classes else None) for seed in seeds]
        for pixels in self._renderer.images(keys):
            resized = resize(pixels, self._size, "lanczos")
            yield resized if resized.shape[2] == 3 else np.repeat(resized, 3, axis=2)


_RESERVED = 1_000_000  # seeds


def open_sources(
    data: Source | Sequence[str | Path], columns: Mapping[str, str] | None
) -> list[Iterable[SourceImage]]:
    """One image source, several of them, or the images themselves."""
    return opened_sources(data, lambda path: read_images(path, columns))


def open_feed(
    data: Source | Sequence[str | Path] | None,
    generator: str | Path | GeneratorFile | None,
    size: int,
    *,
    columns: Mapping[str, str] | None,
    steps: int | None,
    batch: int,
    held_out: int,
    seed: int,
    seed_start: int,
    psi: float,
) -> Feed:
    """Images of ``data`` or of ``generator``, one of them, at ``size`` pixels.

    Raises:
        UsageError: both or none is given, or epochs of a generator are asked for.
        InputError: unusable images or generator.
    """
    if (data is None) == (generator is None):
        raise UsageError("give images with --data or a generator with --generator, one of them")
    if data is not None:
        sources = open_sources(data, columns)
        return StoredImages(sources, size, held_out=held_out, batch=batch, seed=seed)
    if steps is None:
        raise UsageError("a generator has no end: say how many --steps, not epochs")
    loaded = open_generator(generator)
    return SampledImages(loaded, size, steps=steps, batch=batch, seed_start=seed_start, psi=psi)


def _grey(pixels: Pixels) -> Pixels:
    """One channel [s, s, 1] where all three are the same: a third of the memory."""
    if pixels.shape[2] == 3 and (pixels[:, :, :1] == pixels).all():
        return np.ascontiguousarray(pixels[:, :, :1])
    return pixels
