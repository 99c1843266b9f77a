"""Embedding: the product's embedder against the plain formulation of the same network.

``python benchmarks/embedding.py [KIND [SIZE [N]]]`` (mobilefacenet, 112 px, 1024 crops of 128 px). In
this process, on all cores: the published network as it is (contiguous, batch norms apart, batches of
32) and the embedder in blocks of several sizes, in turns. Then end to end: ``embed`` over a Parquet file
of PNG crops with one worker a core, decoding, hashing, resizing and start-up included.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from syper_data.execution.memory import keep_freed_memory
from syper_data.imaging.codec import encode, encoder_identity
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.embedder import BLOCK, load_embedder
from syper_data.recognition.embeddings import embed
from timing import alternate, cpu_count, machine

BLOCKS = (4, 8, 16, 32, 64)
PLAIN_BATCH = 32


def crops(n: int, size: int = 128) -> np.ndarray:
    """Smooth random images uint8 [n, size, size, 3]."""
    small = np.random.default_rng(0).integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(s).resize((size, size))) for s in small])


def networks(path: Path, config: BackboneConfig) -> None:
    """Images a second of the network alone, plain and folded, on all cores."""
    from small_recognizers import random_backbone  # beside the tests; timing knows where

    torch.set_num_threads(cpu_count())
    count = 64
    plain, embedder = random_backbone(config), load_embedder(path)
    pixels = np.random.default_rng(1).integers(0, 256, (count, config.input_size, config.input_size, 3), np.uint8)
    images = embedder.prepare(pixels)
    flat = images.contiguous()

    def through(network: torch.nn.Module, batch: torch.Tensor, size: int) -> torch.Tensor:
        with torch.inference_mode():
            return torch.cat([network(part) for part in batch.split(size)])

    contestants = {"plain": lambda: through(plain, flat, PLAIN_BATCH)}
    for size in BLOCKS:
        contestants[f"block {size}"] = lambda size=size: through(embedder.network, images, size)
    seconds = alternate(contestants, rounds=5)
    wanted, found = through(plain, flat, PLAIN_BATCH), through(embedder.network, images, BLOCK)
    error = ((found - wanted).abs().max() / wanted.abs().max()).item()
    print(f"{config.kind}, {config.input_size} px, {config.embedding_dim} values, {cpu_count()} threads")
    for name, time_taken in seconds.items():
        print(f"  {name}: {count / time_taken:.1f} images/s, ratio {seconds['plain'] / time_taken:.2f}")
    print(f"  largest difference: {error:.1e} of the largest value; the product uses block {BLOCK}")


def end_to_end(path: Path, n: int, scratch: Path) -> None:
    """Images a second of ``embed``, from PNG bytes to the file, the first time and again."""
    options = encoder_identity("png")["options"]
    cells = [{"bytes": encode(c, "png", options), "path": None} for c in crops(n)]
    pq.write_table(pa.table({"image": cells}), scratch / "crops.parquet", row_group_size=100)
    for turn in ("first run", "again, all cached"):
        start = time.perf_counter()
        embed(scratch / "crops.parquet", embedder=path, out=scratch / "embeddings.parquet")
        seconds = time.perf_counter() - start
        print(f"  embed, {n} crops of 128 px, {turn}: {seconds:.1f} s, {n / seconds:.1f} images/s")


if __name__ == "__main__":
    from small_recognizers import save_random_recognizer

    keep_freed_memory()
    given = dict(enumerate(sys.argv[1:]))
    config = BackboneConfig(given.get(0, "mobilefacenet"), int(given.get(1, 112)))
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        file = save_random_recognizer(Path(folder) / "random.safetensors", config)
        networks(file, config)
        end_to_end(file, int(given.get(2, 1024)), Path(folder))
