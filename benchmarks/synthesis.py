"""Synthesis: the product's formulation against the reference (grouped modulated convolution).

Each contestant runs in a process of its own, in turns: the product with the allocator setting of
its workers, the reference as plain torch runs it. The reference allocates the same way with
``reference, tuned``, so that the formulation's own share of the ratio shows.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from syper_data.execution.memory import keep_freed_memory
from syper_data.gan.bundled import default_generator, open_generator
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator
from syper_data.gan.synthesis import latents
from syper_data.sampling.plan import block_size
from timing import cpu_count, machine

CONTESTANTS = ("reference", "reference, tuned", "fp32", "bf16")
ROUNDS = 2


def network(name: str) -> Generator:
    """The default generator, or a random one of 256 px with channel_base 16384."""
    if name == "default":
        return open_generator().generator
    torch.manual_seed(0)
    return Generator(GeneratorConfig(resolution=256, channel_base=16384)).eval().requires_grad_(False)


def run(name: str, contestant: str) -> None:
    """The child: print the median seconds an image, and save the images."""
    from stylegan2_reference import reference_synthesis  # beside the tests; timing knows where

    torch.set_num_threads(cpu_count())
    if contestant != "reference":
        keep_freed_memory()
    generator = network(name)
    config = generator.config
    count = 16 if name == "256" else 64
    z = torch.from_numpy(latents(range(count), config.z_dim))
    dtype = torch.bfloat16 if contestant == "bf16" else torch.float32

    def once() -> torch.Tensor:
        if contestant.startswith("reference"):
            with torch.no_grad():
                ws = [generator.mapping(part) for part in torch.split(z, 8)]
                return torch.cat([reference_synthesis(generator, w, transposed=True) for w in ws])
        with torch.inference_mode():
            parts = torch.split(z, block_size(config.resolution))
            return torch.cat([generator(part, dtype=dtype) for part in parts])

    generator.synthesis.freeze(dtype, "const")
    images = once()
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        once()
        seconds.append((time.perf_counter() - start) / count)
    torch.save(images.clone(), sys.argv[3])
    print(json.dumps(statistics.median(seconds)))


def compare(name: str, title: str, folder: Path) -> None:
    """Print images/s, ratios and the largest error against the reference."""
    seconds: dict[str, list[float]] = {c: [] for c in CONTESTANTS}
    for _ in range(ROUNDS):
        for contestant in CONTESTANTS:
            command = [sys.executable, __file__, name, contestant, str(folder / f"{contestant}.pt")]
            seconds[contestant].append(float(subprocess.run(command, capture_output=True, check=True).stdout))
    median = {c: statistics.median(s) for c, s in seconds.items()}
    images = {c: torch.load(folder / f"{c}.pt", weights_only=True) for c in CONTESTANTS}
    reference = images["reference"]
    print(f"{title}: images of std {reference.std().item():.2f}")
    for contestant in CONTESTANTS:
        error = (images[contestant] - reference).abs().max().item()
        ratio = median["reference"] / median[contestant]
        print(f"  {contestant}: {1 / median[contestant]:.1f} images/s, ratio {ratio:.1f}, error {error:.1e}")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        run(sys.argv[1], sys.argv[2])
    else:
        import tempfile

        print(machine())
        with tempfile.TemporaryDirectory() as scratch:
            compare("256", "256 px, channel_base 16384, random weights", Path(scratch))
            compare("default", default_generator(), Path(scratch))
