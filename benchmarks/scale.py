"""Peak memory and time of ``sample`` by number of images: ``python benchmarks/scale.py 5000 50000``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from timing import machine

CHILD = """
import resource, sys, syper_data
syper_data.sample(n=int(sys.argv[1]), out=sys.argv[2])
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(own, worker)
"""

if __name__ == "__main__":
    print(machine())
    for count in [int(a) for a in sys.argv[1:]] or [1000, 5000]:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            arguments = [sys.executable, "-c", CHILD, str(count), f"{folder}/syper"]
            done = subprocess.run(arguments, capture_output=True, text=True, check=True)
            seconds = time.perf_counter() - start
            own, worker = (int(x) / 1024 for x in done.stdout.split())
            print(
                f"{count} images: {seconds:.0f} s, {count / seconds:.1f} images/s, "
                f"peak memory {own:.0f} MiB in the parent, {worker:.0f} MiB in the largest worker"
            )
