"""Images a second by block size, on one thread: what ``sampling.plan.block_size`` is set from."""

from __future__ import annotations

import torch

from syper_data.execution.memory import keep_freed_memory
from syper_data.gan.bundled import open_generator
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator
from syper_data.gan.synthesis import Synthesizer
from timing import alternate, machine

SIZES = (1, 2, 4, 8, 20)


def sweep(name: str, generator: Generator, images: int) -> None:
    """Print one line for each precision."""
    for precision in ("fp32", "bf16"):
        keys = [(seed, None) for seed in range(images)]

        def run(size: int, precision: str = precision, keys: list[tuple[int, None]] = keys) -> None:
            for _ in Synthesizer(generator, precision=precision, block_size=size).blocks(keys):
                pass

        seconds = alternate({str(size): lambda size=size: run(size) for size in SIZES}, rounds=3)  # type: ignore[misc]
        rates = ", ".join(f"{size}: {images / s:.1f}" for size, s in seconds.items())
        print(f"{name}, {precision}: {rates} images/s")


if __name__ == "__main__":
    keep_freed_memory()
    torch.set_num_threads(1)
    print(machine())
    sweep("default generator", open_generator().generator, 80)
    sweep("256 px, channel_base 16384", Generator(GeneratorConfig(resolution=256, channel_base=16384)), 20)
