"""PNG size and time by compression level, on generated images: what the encoder's level is set from."""

from __future__ import annotations

import numpy as np

import syper_data
from syper_data.imaging.codec import encode, encoder_identity
from timing import alternate, machine

if __name__ == "__main__":
    print(machine())
    print(encoder_identity("png")["codec"])
    images = list(np.concatenate(list(syper_data.generate(seeds=range(64)))))
    for level in range(10):
        sizes: list[int] = []

        def run(level: int = level, sizes: list[int] = sizes) -> None:
            sizes[:] = [len(encode(image, "png", {"compress_level": level})) for image in images]

        seconds = alternate({"encode": run}, rounds=3)["encode"]
        print(f"level {level}: {np.mean(sizes) / 1000:.2f} kB, {seconds / len(images) * 1000:.2f} ms an image")
