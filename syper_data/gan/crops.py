"""Training data: crops of one size in memory, their classes, and a digest of all that."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.errors import InputError
from syper_data.imaging.pixels import resize
from syper_data.imaging.source import SourceImage, canonical

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Crops:
    """Crops in canonical orientation.

    ``subjects`` are the source's, None where it names none. ``labels`` number the ``classes`` (sorted
    by their names) and are empty for an unconditional run. ``sizes`` counts the sides before resizing.
    """

    pixels: Pixels  # uint8 [n, r, r, 3]
    sha256: str
    subjects: tuple[str | None, ...]
    sizes: dict[int, int]
    labels: np.ndarray[Any, np.dtype[np.int64]]  # [n] or [0]
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def resized(self) -> int:
        """How many crops had another size."""
        return sum(count for side, count in self.sizes.items() if side != self.pixels.shape[1])

    def summary(self) -> dict[str, Any]:
        """What the run's folder says of its data."""
        return {
            "images": len(self),
            "sha256": self.sha256,
            "sizes": {str(side): count for side, count in sorted(self.sizes.items())},
            "resized": self.resized,
            "classes": list(self.classes),
        }


def load_crops(images: Iterable[SourceImage], resolution: int, class_of: str | None = None) -> Crops:
    """All crops as one array; square images of another size are resized (Lanczos, antialiased).

    ``class_of`` is None (no classes), ``subject`` or ``eye``, that is subject and side.

    Raises:
        InputError: an image is not square or names no class, there are fewer than two, or fewer
            than two classes.
    """
    pixels: list[Pixels] = []
    names: list[str] = []
    subjects: list[str | None] = []
    sizes: Counter[int] = Counter()
    for image in images:
        h, w = image.pixels.shape[:2]
        if h != w:
            raise InputError(f"{image.where}: {w}x{h} pixels, a crop is square (syper-data crop makes them)")
        sizes[h] += 1
        pixels.append(resize(canonical(image), resolution, "lanczos"))
        subjects.append(image.subject)
        if class_of is not None:
            names.append(_class_name(image, class_of))
    if len(pixels) < 2:
        raise InputError("training needs at least two crops")
    array = np.stack(pixels)
    digest = hashlib.sha256(array.tobytes())
    if class_of is None:
        return Crops(array, digest.hexdigest(), tuple(subjects), dict(sizes), np.zeros(0, np.int64))
    classes = sorted(set(names))
    if len(classes) < 2:
        raise InputError(f"the data have one class only ({classes[0]!r}): train without classes, c_dim 0")
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[name] for name in names], np.int64)
    digest.update(json.dumps(names).encode("utf-8"))
    return Crops(array, digest.hexdigest(), tuple(subjects), dict(sizes), labels, tuple(classes))


def _class_name(image: SourceImage, class_of: str) -> str:
    if image.subject is None:
        raise InputError(
            f"{image.where}: names no subject, which the recipe's classes need; give the column's name with "
            "--columns subject=NAME"
        )
    if class_of == "subject":
        return image.subject
    if image.side is None:
        raise InputError(f"{image.where}: names no side, and the recipe's classes are eyes (subject and side)")
    return f"{image.subject} {image.side}"
