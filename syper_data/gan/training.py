"""Training: a recipe and crops become a generator file, resumable to the step.

The step itself is :class:`~syper_data.gan.training_run.TrainingRun`; here are the crops, the folder
of the run, the log, the snapshots and the resuming.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from syper_data.dataset.atomic import remove_leftovers, write_atomically
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, SyperError
from syper_data.gan.feature_net import FEATURE_NET
from syper_data.gan.generator_file import save_generator
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.training_run import Pixels, TrainingRun
from syper_data.imaging.pixels import resize
from syper_data.imaging.source import SourceImage, canonical, read_images
from syper_data.rendering.sheet import encode_sheet

Report = Callable[[dict[str, Any]], None]

_CHECKPOINT = "checkpoint.pt"


def load_crops(images: Iterable[SourceImage], resolution: int) -> tuple[Pixels, str]:
    """All crops in canonical orientation as one array uint8 [n, r, r, 3], and a digest of it.

    Square images of another size are resized (Lanczos, antialiased).

    Raises:
        InputError: an image is not square, or there are fewer than two.
    """
    crops: list[Pixels] = []
    for image in images:
        h, w = image.pixels.shape[:2]
        if h != w:
            raise InputError(f"{image.where}: {w}x{h} pixels, a crop is square")
        crops.append(resize(canonical(image), resolution, "lanczos"))
    if len(crops) < 2:
        raise InputError("training needs at least two crops")
    array = np.stack(crops)
    return array, hashlib.sha256(array.tobytes()).hexdigest()


def train_generator(
    recipe: TrainingRecipe | str | Path,
    data: str | Path | Iterable[SourceImage],
    out: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    report: Report | None = None,
) -> Path:
    """Train until the recipe's length is reached; the same call again resumes.

    ``data`` is an image source (folder, Parquet, dataset directory; ``columns`` maps our names to
    its own) or the images themselves. ``report`` is called with each line of the log.

    Writes ``recipe.yaml``, ``training.jsonl``, ``checkpoint.pt``, ``generator.safetensors`` (the
    averaged weights) and ``sheets/KIMG.png`` into ``out``; returns the generator file.

    Raises:
        InputError: unusable crops, or ``out`` holds a run of another recipe or other data.
        LockedError: another process is training into ``out``.
    """
    out = Path(out)
    if not isinstance(recipe, TrainingRecipe):
        recipe = TrainingRecipe.read(Path(recipe))
    images = read_images(Path(data), columns) if isinstance(data, str | Path) else data
    with folder_lock(out):
        remove_leftovers(out)
        crops, digest = load_crops(images, recipe.generator.resolution)
        run = TrainingRun(recipe, crops, digest)
        _resume(run, out)
        write_atomically(out / "recipe.yaml", recipe.write_text())
        log = out / "training.jsonl"
        started, first_step = time.monotonic(), run.step
        totals: dict[str, float] = {}
        count = 0
        next_snapshot = run.kimg + recipe.snapshot_kimg
        while not run.done:
            figures = run.advance()
            if not all(math.isfinite(value) for value in figures.values()):
                raise SyperError(f"{out}: training diverged at {run.kimg:.1f} kimg; lower the learning rates")
            for name, value in figures.items():
                totals[name] = totals.get(name, 0.0) + value
            count += 1
            if run.kimg >= next_snapshot or run.done:
                next_snapshot = run.kimg + recipe.snapshot_kimg
                seconds = time.monotonic() - started
                line = {
                    "kimg": round(run.kimg, 3),
                    "of_kimg": recipe.total_kimg,
                    "seconds": round(seconds, 1),
                    "kimg_per_hour": round((run.step - first_step) * recipe.batch * 3.6 / seconds, 1),
                    **{name: round(total / count, 4) for name, total in totals.items()},
                }
                totals, count = {}, 0
                _snapshot(run, out)
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                if report is not None:
                    report(line)
        return out / "generator.safetensors"


def _resume(run: TrainingRun, out: Path) -> None:
    path = out / _CHECKPOINT
    if not path.exists():
        return
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["recipe"] != run.recipe.to_dict():
            raise InputError(f"{out}: holds a run of another recipe; choose another --out")
        if state["data_sha256"] != run.data_sha256:
            raise InputError(f"{out}: holds a run on other images; choose another --out")
        run.restore(state)
    except InputError:
        raise
    except Exception as error:  # torch.load and load_state_dict raise many types on damaged files
        name = type(error).__name__
        raise InputError(f"{path}: not a readable checkpoint ({name}); remove it to start over") from error


def _snapshot(run: TrainingRun, out: Path) -> None:
    write_atomically(out / "sheets" / f"{run.kimg:08.3f}.png", encode_sheet(run.sheet()))
    summary = {
        "kimg": round(run.kimg, 3),
        "recipe": run.recipe.name,
        "images": len(run.crops),
        "data_sha256": run.data_sha256,
        "adversary": f"projected discriminator on {FEATURE_NET}",
        "seed": run.recipe.seed,
    }
    save_generator(run.average, out / "generator.safetensors", spectrum=run.recipe.spectrum, summary=summary)
    buffer = io.BytesIO()  # torch.save itself hides a full disk behind a RuntimeError
    torch.save(run.state(), buffer)
    write_atomically(out / _CHECKPOINT, buffer.getvalue())
