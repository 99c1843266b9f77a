"""What does one evaluation cost? Seconds of its parts, for N images a side (default 5,000).

The real side are images of the bundled generator itself, so that the script needs no data.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from syper_data import evaluate, sample
from syper_data.execution.memory import keep_freed_memory
from timing import Parts, machine


def main(count: int) -> None:
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        real = Path(folder) / "real"
        sample(n=count, out=real, seed_start=1_000_000)
        parts = Parts()
        start = time.perf_counter()
        evaluate(real=real, n=count, out=Path(folder) / "out", report=parts)
        whole = time.perf_counter() - start
    for what, spent in parts.seconds.items():
        print(f"{what}: {spent:.0f} s, {count / spent:.0f} images/s")
    print(f"figures, floor, page: {whole - sum(parts.seconds.values()):.0f} s")
    print(f"one evaluation of {count} images a side: {whole:.0f} s (aim: 300 s for 5,000)")


if __name__ == "__main__":
    print(machine())
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
