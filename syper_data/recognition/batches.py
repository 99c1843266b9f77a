"""Which images a step shows: a function of the seed and the step, so that a resumed run goes on alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from syper_data.recognition.eyes import Eyes
from syper_data.recognition.recipe import RecognizerRecipe, SamplingConfig

Labels = np.ndarray[Any, np.dtype[np.int64]]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


class Lessons(Protocol):
    """What a run trains on. ``count`` is how many images there are, None for no end; ``classes`` is 0 where nobody
    says who is on them; ``sha256`` is their digest."""

    count: int | None
    classes: int
    sha256: str

    def images(self, step: int, rows: Sequence[int]) -> list[Pixels]:
        """These rows of the batch of a step, each uint8 [s, s, 3]: a function of step and row alone."""
        ...

    def labels(self, step: int, rows: Sequence[int]) -> Labels:
        """Their classes.  # int64 [n]"""
        ...


class LabelledLessons:
    """Labelled eyes in the order of :class:`Batches`; see :class:`Lessons`.

    With the recipe's ``mirrored_classes`` every image stands there a second time, mirrored, in a class of its own.
    """

    def __init__(self, eyes: Eyes, recipe: RecognizerRecipe) -> None:
        self.count: int | None = len(eyes)
        self.classes, self.sha256 = eyes.classes, eyes.sha256
        self._pixels, self._labels = eyes.pixels, eyes.labels
        if recipe.mirrored_classes:
            self._labels = np.concatenate([eyes.labels, eyes.labels + eyes.classes])
            self.classes *= 2
        self._batches = Batches(recipe.sampling, self._labels, recipe.seed)
        self._step, self._rows = -1, [0]

    def images(self, step: int, rows: Sequence[int]) -> list[Pixels]:
        """See :class:`Lessons`."""
        return [self._image(i) for i in self._chosen(step, rows)]

    def labels(self, step: int, rows: Sequence[int]) -> Labels:
        """See :class:`Lessons`."""
        return self._labels[self._chosen(step, rows)]

    def _image(self, i: int) -> Pixels:
        turn, place = divmod(i, len(self._pixels))
        return self._pixels[place][:, ::-1] if turn else self._pixels[place]

    def _chosen(self, step: int, rows: Sequence[int]) -> list[int]:
        if step != self._step:
            self._step, self._rows = step, self._batches.rows(step)
        return [self._rows[row] for row in rows]


class Batches:
    """The rows of every step.

    ``balanced``: the classes of a batch come from one permutation of all classes after the other, the
    images of a class likewise from permutations of its images. ``shuffled``: permutations of all images.
    """

    def __init__(self, config: SamplingConfig, labels: Labels, seed: int) -> None:
        self._config, self._seed = config, seed
        self._count = len(labels)
        order = np.argsort(labels, kind="stable")
        self._rows = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)  # of each class
        self._round, self._permutation = -1, np.zeros(0, np.int64)

    def rows(self, step: int) -> list[int]:
        """The images of a step, ``config.batch`` of them."""
        config = self._config
        if config.kind == "shuffled":
            start = step * config.batch
            return [self._place(i, self._count) for i in range(start, start + config.batch)]
        shown = []
        for i in range(step * config.identities, (step + 1) * config.identities):
            shown += self._of_class(self._place(i, len(self._rows)), i // len(self._rows))
        return shown

    def _place(self, i: int, count: int) -> int:
        """Entry ``i`` of the permutations of 0..count - 1, one after the other."""
        turn, place = divmod(i, count)
        if turn != self._round:
            self._round = turn
            self._permutation = np.random.default_rng((self._seed, 0, turn)).permutation(count)
        return int(self._permutation[place])

    def _of_class(self, label: int, turn: int) -> list[int]:
        """The images that a class shows when its turn comes for the ``turn``-th time: pieces of
        permutations of its images, none twice in a batch unless there are too few or it is to be copies."""
        config, rows = self._config, self._rows[label]
        k = config.images
        again, piece = divmod(turn, max(len(rows) // k, 1))
        permutation = np.random.default_rng((self._seed, 1, label, again)).permutation(rows)
        if config.copies and np.random.default_rng((self._seed, 2, label, turn)).random() < config.copies:
            return [int(permutation[piece * k])] * k
        return [int(row) for row in np.resize(permutation, max(len(rows), k))[piece * k : piece * k + k]]
