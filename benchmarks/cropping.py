"""``crop``: how many photos give both eyes, how near are they, how fast; one scale for VIS and NIR.

    python benchmarks/cropping.py faces FOLDER          photos whose eyes lie at (0.38, 0.475), (0.62, 0.475)
    python benchmarks/cropping.py irises NIR.parquet    iris diameters: how alike within one eye?
    python benchmarks/cropping.py picture VIS NIR OUT.png    both spectra at one scale, side by side

The picture shows what the sources show: keep it where the sources may be kept.
"""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

import syper_data
from timing import machine

KNOWN = np.array([(0.38, 0.475), (0.62, 0.475)])  # image-left and image-right eye, shares of the side


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted((folder / "data").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def faces(source: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for workers in (1, 2):
            out = Path(scratch) / str(workers)
            start = time.perf_counter()
            made = syper_data.crop(source, out, workers=workers)
            seconds = time.perf_counter() - start
            print(f"{workers} workers: {made.entries / seconds:.1f} photos/s, start-up included")
        by_photo: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows_of(out):
            by_photo[row["source_id"]].append(row)
    both = sum(len(rows) == 2 for rows in by_photo.values())
    print(f"{both} of {made.entries} photos gave both crops ({both / made.entries:.1%})")
    errors = []
    for name, rows in by_photo.items():
        with Image.open(source / name) as photo:
            known = KNOWN * photo.size
        distance = np.linalg.norm(known[1] - known[0])
        errors.append(np.linalg.norm(np.array(rows[0]["landmarks"])[:2] - known, axis=1) / distance)
    e = np.array(errors)
    print(
        f"eye centres from the known places, in inter-eye distances: mean {e.mean():.3f}, "
        f"median {np.median(e):.3f}, 95th percentile {np.percentile(e, 95):.3f}, max {e.max():.3f}; "
        f"within 5 %: {np.mean(e <= 0.05):.1%} of eyes"
    )


def irises(source: Path, count: int = 300) -> None:
    from syper_data.cropping.iris_search import find_iris

    table = pq.read_table(source).to_pylist()
    chosen = np.random.RandomState(0).choice(len(table), min(count, len(table)), replace=False)
    found = defaultdict(list)
    missed, seconds = [], 0.0
    for i in chosen:
        with Image.open(io.BytesIO(table[i]["image"]["bytes"])) as image:
            pixels = np.asarray(image.convert("RGB"))
        start = time.perf_counter()
        iris = find_iris(pixels, "nir")
        seconds += time.perf_counter() - start
        if isinstance(iris, str):
            missed.append(iris)
        else:
            found[table[i]["subject"], table[i]["side"]].append(iris.diameter)
    print(
        f"{len(chosen) - len(missed)} of {len(chosen)} found, {seconds / len(chosen) * 1000:.0f} ms each; {missed}"
    )
    diameters = [d for values in found.values() for d in values]
    print(f"diameter: median {statistics.median(diameters):.1f} px")
    spread = np.concatenate([np.array(v) / np.median(v) - 1 for v in found.values() if len(v) > 2])
    print(
        f"within one eye ({len(spread)} images of eyes with 3 or more): half lie within "
        f"{np.median(abs(spread)):.1%} of their eye's median, 90 % within {np.percentile(abs(spread), 90):.1%}; "
        f"{np.mean(abs(spread) > 0.1):.1%} are off by more than 10 %"
    )


def picture(vis: Path, nir: Path, target: Path, count: int = 12) -> None:
    strips = []
    with tempfile.TemporaryDirectory() as scratch:
        for spectrum, source in (("vis", vis), ("nir", nir)):
            part = Path(scratch) / f"{spectrum}.parquet"
            table = pq.read_table(source)
            pq.write_table(table.take(list(range(0, len(table), max(1, len(table) // (2 * count))))), part)
            out = Path(scratch) / spectrum
            syper_data.crop(part, out, already_cropped=True, spectrum=spectrum)
            images = [Image.open(io.BytesIO(row["image"]["bytes"])) for row in rows_of(out)[:count]]
            strips.append(np.hstack([np.asarray(image.convert("RGB")) for image in images]))
    width = min(strip.shape[1] for strip in strips)
    Image.fromarray(np.vstack([strip[:, :width] for strip in strips])).save(target)


if __name__ == "__main__":
    print(machine())
    what, *places = sys.argv[1:]
    {"faces": faces, "irises": irises, "picture": picture}[what](*map(Path, places))
