"""The images that are compared: real crops brought to the generator's form, and generated ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.dataset.directory import MANIFEST, DatasetDirectory
from syper_data.dataset.manifest import MAX_SEED
from syper_data.errors import InputError, SyperError, UsageError
from syper_data.evaluation.worker import Request, render_here, render_in_workers
from syper_data.gan.bundled import WEIGHTS, bundled_generators, find_generator, open_generator
from syper_data.gan.generator_file import GeneratorFile
from syper_data.gan.recipe import TrainingRecipe
from syper_data.imaging.pixels import resize
from syper_data.imaging.source import canonical, read_images
from syper_data.imaging.split import Split
from syper_data.sampling.environment import current_environment
from syper_data.sampling.plan import plan_settings

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Report = Callable[[str, int, int], None]

_RECIPE = "recipe.yaml"  # of a run or a release, beside its generator
RESIZE_FILTER = "lanczos"  # as training reads its crops
_WORTH_A_WORKER = 250  # images; fewer are made before a second process has started


@dataclass(frozen=True)
class ImageSet:
    """Images uint8 [n, side, side, 3] with their subjects, and what a record says of them."""

    pixels: Pixels
    subjects: tuple[str | None, ...]
    record: dict[str, Any]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def sha256(self) -> str:
        """SHA-256 of the array's bytes, the digest that a training run records of its crops."""
        return str(self.record["sha256"])


def read_real(
    source: Path,
    side: int | None,
    *,
    columns: Mapping[str, str] | None = None,
    split: Split | None = None,
    side_of_split: str = "held-out",
) -> ImageSet:
    """Square images in canonical orientation, resized to ``side`` pixels (None: the first one's).

    ``split`` keeps only the subjects on ``side_of_split`` (:mod:`syper_data.imaging.split`).

    Raises:
        InputError: nothing there, an image that is not square, or nothing left on that side.
    """
    split = split or Split()
    whole = hashlib.sha256()
    pixels: list[Pixels] = []
    subjects: list[str | None] = []
    resized = 0
    for image in read_images(Path(source), columns):
        h, w = image.pixels.shape[:2]
        if h != w:
            raise InputError(f"{image.where}: {w}x{h} pixels, a crop is square (syper-data crop makes them)")
        side = side or h
        crop = np.ascontiguousarray(resize(canonical(image), side, RESIZE_FILTER))
        whole.update(crop.tobytes())
        if not any(split.side([image], side_of_split)):
            continue
        resized += h != side
        pixels.append(crop)
        subjects.append(image.subject)
    if not pixels:
        which = f" on the {side_of_split} side of {split}" if split else ""
        raise InputError(f"{source}: no image{which}")
    array = np.stack(pixels)
    record = {
        "source": Path(source).name,
        "images": len(array),
        "side": side,
        "resized": f"{resized} of {len(array)} by {RESIZE_FILTER}" if resized else "none",
        "subjects": len(set(subjects) - {None}) or None,
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        "source_sha256": whole.hexdigest(),
        **split.record(),
        "holdout_side": side_of_split if split else None,
    }
    return ImageSet(array, tuple(subjects), record)


def require_other_images(real: ImageSet, train: ImageSet) -> None:
    """Raise :class:`UsageError` where half of the real images are training images: their distance
    to training, which the samples' is measured against, would be 0."""
    known = {image.tobytes() for image in train.pixels}
    shared = sum(image.tobytes() in known for image in real.pixels)
    if 2 * shared >= len(real):
        raise UsageError(
            f"--train holds {shared} of the {len(real)} images of --real: memorisation is told by real images "
            "that were not trained on; give others, or hold some out with --holdout"
        )


def is_dataset(reference: str | Path | GeneratorFile | None) -> bool:
    """Whether a reference names a folder of images rather than a generator."""
    if reference is None or isinstance(reference, GeneratorFile) or str(reference) in bundled_generators():
        return False
    path = Path(reference)
    return path.is_dir() and ((path / MANIFEST).exists() or not (path / WEIGHTS).exists())


def open_judged_generator(
    reference: str | Path | GeneratorFile | None,
) -> tuple[GeneratorFile, Path | None]:
    """A bundled name, a file, or the folder of a run or a release -> the generator and its file;
    no file where the generator itself is given."""
    if isinstance(reference, GeneratorFile):
        return reference, None
    if reference is not None and str(reference) not in bundled_generators() and Path(reference).is_dir():
        reference = Path(reference) / WEIGHTS
    return open_generator(reference), find_generator(reference)


def unfinished_run(loaded: GeneratorFile, weights: Path | None) -> str | None:
    """How far the run is in whose folder the generator lies, where it has not reached its recipe's length."""
    if weights is None or weights.name != WEIGHTS or not (weights.parent / _RECIPE).is_file():
        return None
    try:
        known = TrainingRecipe.read(weights.parent / _RECIPE)
    except SyperError:  # a recipe that can't be read is no reason not to judge the generator
        return None
    return known.unfinished(loaded.summary.get("kimg")) if known.generator == loaded.config else None


def read_dataset(path: Path, count: int, columns: Mapping[str, str] | None = None) -> ImageSet:
    """Stored images, as they are; of more than ``count`` a random choice (seed 0)."""
    whole = read_real(path, None, columns=columns)
    record = {**whole.record, "kind": "dataset", "generator": None}
    if (path / MANIFEST).exists():
        dataset = DatasetDirectory.open(path)
        dataset.require_complete()
        identity = dataset.manifest.generator
        record["generator"] = {"name": identity.name, "sha256": identity.sha256}
        record["manifest_sha256"] = dataset.manifest_sha256
        record["settings"] = dataset.manifest.settings.to_dict()
    if len(whole) <= count:
        return ImageSet(whole.pixels, whole.subjects, record)
    rows = np.sort(np.random.default_rng(0).permutation(len(whole))[:count])
    record["chosen"] = f"{count} of {len(whole)}, numpy default_rng(0)"
    return ImageSet(whole.pixels[rows], tuple(whole.subjects[i] for i in rows), record)


def sample_images(
    loaded: GeneratorFile,
    count: int,
    *,
    seed_start: int = 0,
    psi: float = 1.0,
    noise_mode: str = "const",
    precision: str = "auto",
    weights: Path | None = None,
    workers: int | None = None,
    report: Report | None = None,
) -> ImageSet:
    """``count`` images of consecutive seeds, the same pixels that ``sample`` writes.

    A conditional generator's classes take turns: seed ``seed_start + i`` has label i mod classes.
    ``weights`` is the generator's file; with it ``workers`` processes share the work (default: one a
    core, as far as there is work for them), and their number changes no byte.
    """
    if not 0 <= seed_start <= MAX_SEED + 1 - count:
        raise UsageError(
            f"--seed-start is {seed_start}: with {count} images it must lie in 0..{MAX_SEED + 1 - count}"
        )
    settings = plan_settings(loaded, psi=psi, noise_mode=noise_mode, precision=precision)
    classes = loaded.config.c_dim
    request = Request(count, seed_start, classes, settings)
    share = min(workers or os.cpu_count() or 1, max(1, count // _WORTH_A_WORKER) if workers is None else count)
    if weights is None or share == 1:
        parts = render_here(loaded.generator, request)
    else:
        parts = render_in_workers(weights, loaded.sha256, request, share)
    pixels = np.empty((count, settings.output_size, settings.output_size, 3), np.uint8)
    done = 0
    for start, part in parts:
        pixels[start : start + len(part)] = part  # one channel becomes three equal ones
        done += len(part)
        if report is not None:
            report(f"sampling at psi {settings.psi:g}", done, count)
    record = {
        "kind": "generator",
        "generator": {"name": loaded.name, "sha256": loaded.sha256},
        "images": count,
        "side": settings.output_size,
        "seeds": [seed_start, seed_start + count - 1],
        "labels": f"seed - {seed_start} mod {classes}" if classes else None,
        "psi": settings.psi,
        "noise_mode": settings.noise_mode,
        "precision": settings.precision,
        "block_size": settings.block_size,
        "environment": current_environment(settings),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }
    return ImageSet(pixels, (None,) * count, record)
