"""What does one audit cost? ``python benchmarks/filtering.py [IMAGES] [REFERENCES]``, else 50,000 and 10,000.

Quality and identity of a dataset that the bundled generator makes, beside references that it makes of other
seeds, so that the script needs no data. Two images in turn are called a person's: the cost is that of an
audit, what it would find means nothing. Both auditors, copies planted, membership not asked for.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import syper_data
from timing import Parts, machine

CALIBRATION = 1000  # images of other people


def write_people(dataset: Path, path: Path, start: int, stop: int) -> None:
    """Rows start..stop of a dataset as labelled crops, two of a person."""
    shards = sorted((dataset / "data").glob("*.parquet"))
    images = pa.concat_tables([pq.read_table(shard, columns=["image"]) for shard in shards]).slice(
        start, stop - start
    )
    names = pa.array([f"person {(start + row) // 2}" for row in range(len(images))])
    pq.write_table(images.append_column("subject", names), path, row_group_size=256)


def main(images: int, references: int) -> None:
    """Print the seconds of each part, the whole, and the peak memory of this process and of its largest worker."""
    with tempfile.TemporaryDirectory() as folder:
        eyes, others = Path(folder) / "eyes", Path(folder) / "others"
        syper_data.sample(n=images, out=eyes)
        syper_data.sample(n=references + CALIBRATION, seed_start=10_000_000, out=others)
        write_people(others, Path(folder) / "reference.parquet", 0, references)
        write_people(others, Path(folder) / "calibration.parquet", references, references + CALIBRATION)
        parts = Parts()
        start = time.perf_counter()
        syper_data.filter(
            eyes,
            reference=Path(folder) / "reference.parquet",
            calibration=Path(folder) / "calibration.parquet",
            report=parts,
        )
        whole = time.perf_counter() - start
    for what, spent in parts.seconds.items():
        print(f"{what}: {spent:.0f} s")
    print(f"the rest: {whole - sum(parts.seconds.values()):.0f} s")
    print(f"{images} images against {references} references: {whole:.0f} s (aim: 900 s for 50,000 and 10,000)")
    own, worker = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"peak memory {own:.0f} MiB, {worker:.0f} MiB in the largest worker")


if __name__ == "__main__":
    print(machine())
    main(*([int(a) for a in sys.argv[1:]] or [50_000, 10_000]))
