"""``sample`` end to end against pure synthesis, and one thread a worker against two."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import syper_data
from syper_data.dataset.directory import DatasetDirectory
from syper_data.gan.bundled import find_generator
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator
from syper_data.gan.generator_file import save_generator
from timing import cpu_count, machine

PURE = """
import json, sys, time
from pathlib import Path
import torch
from syper_data.dataset.directory import DatasetDirectory
from syper_data.execution.memory import keep_freed_memory
from syper_data.gan.generator_file import load_generator
from syper_data.sampling.render import Renderer
from syper_data.sampling import worker
keep_freed_memory(); torch.set_num_threads(int(sys.argv[3])); count = int(sys.argv[4])
bench = worker._Bench({"dataset": sys.argv[1], "generator": sys.argv[2]})
keys = bench.manifest.keys(0, count)
synthesizer = bench.renderer.synthesizer
def pure():
    for _ in synthesizer.blocks(keys): pass
def whole():
    worker.write_shard(Path(sys.argv[1]) / "bench.parquet", bench.rows(0, count, lambda n: None))
pure(); seconds = {"pure": [], "whole": []}
for _ in range(3):
    for name, run in (("pure", pure), ("whole", whole)):
        start = time.perf_counter(); run(); seconds[name].append(time.perf_counter() - start)
print(json.dumps({k: sorted(v)[1] for k, v in seconds.items()}))
"""


def measure(name: str, generator: Path, count: int) -> None:
    """One worker's work, on one thread: images to a written shard against images alone."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "plan"
        syper_data.sample(n=200, out=out, generator=generator)
        rates = {}
        for threads in (1, cpu_count()):
            arguments = [str(out), str(generator), str(threads), str(count)]
            done = subprocess.run(
                [sys.executable, "-c", PURE, *arguments], capture_output=True, text=True, check=True
            )
            seconds = json.loads(done.stdout)
            rates[threads] = count / seconds["pure"]
            if threads == 1:
                print(
                    f"{name}: end to end {count / seconds['whole']:.1f} images/s a worker, "
                    f"{seconds['whole'] / seconds['pure']:.2f} times pure synthesis"
                )
        manifest = DatasetDirectory.open(out).manifest
        print(
            f"  pure synthesis, {manifest.settings.precision}: {cpu_count()} workers of one thread "
            f"{cpu_count() * rates[1]:.1f} images/s if they don't disturb each other, "
            f"one of {cpu_count()} threads {rates[cpu_count()]:.1f}"
        )


def whole_command(count: int) -> None:
    """The command as a user runs it, start-up included."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = ["-m", "syper_data", "sample", "--n", str(count), "--out", f"{folder}/syper", "--quiet"]
        subprocess.run([sys.executable, *command], check=True)
        seconds = time.perf_counter() - start
        print(f"sample --n {count}: {seconds:.1f} s, {count / seconds:.1f} images/s")


if __name__ == "__main__":
    print(machine())
    measure("default generator", find_generator(), 200)
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "random-256.safetensors"
        save_generator(
            Generator(GeneratorConfig(resolution=256, channel_base=16384)), large, spectrum="vis", summary={}
        )
        measure("256 px, channel_base 16384", large, 24)
    whole_command(2000)
