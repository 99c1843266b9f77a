"""Is the search as fast as the matrix product allows, and is its memory bounded?

``python benchmarks/overlap_search.py [QUERIES] [REFERENCES] [DIM]``, by default 50,000 x 100,000 x 512. The
reference is a memory map, so that its size is not in the peak. The product is measured on 4,096 x 8,192
vectors, the contestants taking turns; faiss, where it is installed, on a tenth of the queries.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from syper_data.filtering.search import ArrayBlocks, search
from timing import alternate, cpu_count, machine

NEIGHBOURS = 5


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    """Random directions, float32 [rows, dim]."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dim), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_reference(path: Path, rows: int, dim: int) -> np.ndarray:
    """A memory map of random directions, written in blocks."""
    file = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dim))
    for start in range(0, rows, 8192):
        file[start : start + 8192] = unit(min(8192, rows - start), dim, start + 1)
    file.flush()
    return np.load(path, mmap_mode="r")


def main(queries: int, references: int, dim: int) -> None:
    """Print the ratio to the product, faiss's beside it, and the peak memory."""
    threads = cpu_count()
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        gallery = write_reference(Path(folder) / "reference.npy", references, dim)
        probes = unit(queries, dim, 0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        columns = torch.from_numpy(gallery[:8192].copy()).T
        rows = torch.from_numpy(probes[:4096].copy())
        room = torch.empty(len(rows), columns.shape[1])
        blocks = max(1, round(queries * references / room.numel()))

        def product() -> None:
            for _ in range(blocks):
                torch.mm(rows, columns, out=room)

        def searched() -> None:
            search(ArrayBlocks(probes), ArrayBlocks(gallery), NEIGHBOURS, threads=threads)

        seconds = alternate({"product": product, "search": searched}, rounds=3)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        work = 2 * queries * references * dim
        print(
            f"{queries} x {references} x {dim}, {NEIGHBOURS} neighbours, {threads} threads: product "
            f"{work / seconds['product'] / 1e9:.0f} GFLOP/s, search {seconds['search']:.1f} s, "
            f"{seconds['product'] / seconds['search']:.2f} of the product's rate (aim: 0.70)"
        )
        print(f"peak memory {peak:.0f} MiB, of which {before:.0f} before the search (aim: <= 2048)")
        faiss_ratio(probes[: max(1, queries // 10)], gallery, threads, work / seconds["product"])


def faiss_ratio(probes: np.ndarray, gallery: np.ndarray, threads: int, rate: float) -> None:
    """What the packaged faiss reaches: exact inner products, the whole reference in memory."""
    try:
        import faiss
    except ImportError:
        print("faiss is not installed")
        return
    faiss.omp_set_num_threads(threads)
    whole = np.ascontiguousarray(gallery)
    run = {"faiss": lambda: faiss.knn(probes, whole, NEIGHBOURS, metric=faiss.METRIC_INNER_PRODUCT)}
    seconds = alternate(run, rounds=3)["faiss"]
    reached = 2 * len(probes) * len(whole) * whole.shape[1] / seconds
    print(f"faiss {faiss.__version__}: {reached / rate:.2f} of the product's rate")


if __name__ == "__main__":
    print(machine())
    given = [int(a) for a in sys.argv[1:]]
    main(*(given + [50_000, 100_000, 512][len(given) :]))
