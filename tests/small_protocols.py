"""A protocol over drawn eyes: a few people, two eyes each, some images an eye, all in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from drawn_crops import Pixels, drawn_eye
from syper_data.errors import InputError
from syper_data.imaging.source import Entry, SourceImage, Unreadable
from syper_data.protocols.protocol import AllComparisons, Fold, Identification, Protocol

SIDES = ("image_left", "image_right")


class DrawnPictures:
    """Images in memory by name; ``lost`` can't be acquired. ``reads`` counts images given out."""

    def __init__(self, images: dict[str, Pixels], lost: Sequence[str] = ()) -> None:
        self.images, self.lost, self.reads = images, set(lost), 0

    def read(self, names: Sequence[str]) -> Iterator[Entry]:
        missing = [name for name in names if name not in self.images]
        if missing:
            raise InputError(f"{len(missing)} images are missing, {missing[0]} among them")
        for name in names:
            self.reads += 1
            if name in self.lost:
                yield Unreadable(f"/somewhere/{name}", name, f"/somewhere/{name}: no eye was found")
            else:
                side = SIDES[int(name.split("/")[1] == "image_right")]
                yield SourceImage(self.images[name], name, side=side, source_id=name)


def drawn_images(people: Sequence[str], samples: int, size: int = 32) -> dict[str, Pixels]:
    """``person/side/sample``: the same drawn eye in changing light."""
    images = {}
    for number, person in enumerate(people):
        for side, where in enumerate(SIDES):
            eye = drawn_eye(10 * number + side, size)
            for sample in range(samples):
                noise = np.random.default_rng(100 * number + 10 * side + sample).normal(0, 12, eye.shape)
                changed = (eye.astype(np.float64) * (0.8 + 0.1 * sample) + noise).clip(0, 255)
                images[f"{person}/{where}/{sample}"] = changed.astype(np.uint8)
    return images


def drawn_fold(images: dict[str, Pixels], people: Sequence[str], name: str = "1") -> Fold:
    """All with all of one side; sample 0 is the gallery, of all but the last person."""
    names = tuple(n for n in images if n.split("/")[0] in people)
    subject = np.array([people.index(n.split("/")[0]) for n in names])
    side = np.array([SIDES.index(n.split("/")[1]) for n in names])
    first = np.array([n.endswith("/0") for n in names])
    gallery, probe = np.flatnonzero(first & (subject < len(people) - 1)), np.flatnonzero(~first)
    searches = Identification(probe, gallery) if len(gallery) and len(probe) else None
    identity, labels = 2 * subject + side, tuple(people)
    return Fold(name, names, identity, subject, labels, AllComparisons(side), searches)


def drawn_protocol(
    people: int = 8, samples: int = 3, folds: int = 1, lost: Sequence[str] = (), spectrum: str | None = "vis"
) -> Protocol:
    """Each fold has people of its own."""
    names = [f"person-{i}" for i in range(people * folds)]
    images = drawn_images(names, samples)
    parts = tuple(drawn_fold(images, names[i * people : (i + 1) * people], str(i + 1)) for i in range(folds))
    return Protocol("drawn", "drawn eyes", "test", parts, DrawnPictures(images, lost), spectrum)
