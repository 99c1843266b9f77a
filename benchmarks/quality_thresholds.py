"""Make the bundled quality thresholds, and measure them on people who did not set them.

    python benchmarks/quality_thresholds.py CROPS --spectrum vis --out protocols/quality/vis.json

A tenth of the subjects is held out; prints what share of their crops each reason rejects, and the
speed of all measures together on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections import Counter
from pathlib import Path

import numpy as np

from syper_data.filtering.quality.measures import MeasureSet, columns_of
from syper_data.filtering.quality.thresholds import RATE, calibrate
from syper_data.imaging.holdout import is_held_out
from syper_data.imaging.source import canonical, read_images


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("crops", type=Path)
    parser.add_argument("--spectrum", choices=["vis", "nir"], required=True)
    parser.add_argument("--holdout", type=float, default=0.1)
    parser.add_argument("--what", default="real crops", help="What the crops are, in words.")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    measures = MeasureSet(options.spectrum)
    names = [m.name for m in measures.measures]
    rows: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    digests, spent = [], 0.0
    for image in read_images(options.crops):
        assert image.subject is not None
        held_out = is_held_out(image.subject, options.holdout)
        pixels = canonical(image)
        begun = time.process_time()
        rows[held_out].append(measures.measure(pixels, image.where))
        spent += time.process_time() - begun
        if not held_out:
            digests.append(hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest())
    crops = {
        "source": options.crops.name,
        "what": options.what,
        "images": len(rows[False]),
        "sha256": hashlib.sha256("\n".join(digests).encode("ascii")).hexdigest(),
    }
    found = calibrate(columns_of(rows[False], names), measures, crops, RATE)
    found.write(options.out)
    reasons = found.reasons(columns_of(rows[True], names))
    rejected = sum(bool(r) for r in reasons)
    print(f"{options.spectrum}: {len(rows[False])} crops set the thresholds")
    print(f"all together reject {found.rejected:.2%} of them")
    print(f"held out: {rejected} of {len(reasons)} rejected ({rejected / len(reasons):.2%})")
    for reason, count in Counter(reason for row in reasons for reason in row).most_common():
        print(f"  {reason}: {count} ({count / len(reasons):.2%})")
    speed = (len(digests) + len(reasons)) / spent
    print(f"{speed:.0f} images a second of processor time, all measures together, without decoding")


if __name__ == "__main__":
    main()
