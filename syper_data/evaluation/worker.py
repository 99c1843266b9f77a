"""Generated images from worker processes: the same pixels as from this one, on every core."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.dataset.settings import SamplingSettings
from syper_data.errors import InputError
from syper_data.execution import open_pool
from syper_data.gan.generator import Generator
from syper_data.gan.generator_file import load_generator
from syper_data.gan.synthesis import Key
from syper_data.sampling.generate import Batches
from syper_data.sampling.render import Renderer

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Part = tuple[int, Pixels]  # where it begins, and uint8 [n, side, side, 1 or 3]

_BLOCKS = 8  # a task: long enough not to be slowed by its answer, short enough to show progress


@dataclass(frozen=True)
class Request:
    """``count`` images of consecutive seeds; the classes of a conditional generator take turns."""

    count: int
    seed_start: int
    classes: int
    settings: SamplingSettings

    def keys(self, start: int, stop: int) -> list[Key]:
        """The keys (seed, label) of images ``start .. stop - 1``."""
        return [(self.seed_start + i, i % self.classes if self.classes else None) for i in range(start, stop)]


def render_here(generator: Generator, request: Request) -> Iterator[Part]:
    """The images, block by block, from this process."""
    at = 0
    for batch in Batches(Renderer(generator, request.settings), request.keys(0, request.count)):
        yield at, batch
        at += len(batch)


def render_in_workers(weights: Path, sha256: str, request: Request, workers: int) -> Iterator[Part]:
    """The images from ``workers`` processes, in any order. A block is what is computed together, and
    each lies in one task, so that the pixels are those of :func:`render_here`."""
    size = _BLOCKS * request.settings.block_size
    tasks = [{"start": at, "stop": min(at + size, request.count)} for at in range(0, request.count, size)]
    setup = {
        "weights": str(weights.resolve()),
        "sha256": sha256,
        "count": request.count,
        "seed_start": request.seed_start,
        "classes": request.classes,
        "settings": request.settings.to_dict(),
    }
    job, threads = "syper_data.evaluation.worker:render_parts", request.settings.threads_per_worker
    with open_pool(job, setup, workers=min(workers, len(tasks)), threads=threads) as pool:
        for answer in pool.run(tasks):
            if "result" in answer:
                result = answer["result"]
                data = base64.b64decode(result["pixels"])
                yield answer["task"]["start"], np.frombuffer(data, np.uint8).reshape(result["shape"])


def render_parts(setup: dict[str, Any]) -> Callable[[dict[str, Any], Callable[[int], None]], dict[str, Any]]:
    """Job: task ``{"start": a, "stop": b}`` makes those images; the result is their bytes and shape."""
    loaded = load_generator(Path(setup["weights"]))
    if loaded.sha256 != setup["sha256"]:
        raise InputError(f"{setup['weights']}: changed while it was evaluated")
    settings = SamplingSettings.from_dict(setup["settings"])
    request = Request(setup["count"], setup["seed_start"], setup["classes"], settings)
    renderer = Renderer(loaded.generator, settings)

    def handle(task: dict[str, Any], progress: Callable[[int], None]) -> dict[str, Any]:
        pixels = np.stack(list(renderer.images(request.keys(task["start"], task["stop"]))))
        return {"pixels": base64.b64encode(pixels.tobytes()).decode("ascii"), "shape": list(pixels.shape)}

    return handle
