"""Do both spectra show irises of one size? Generated VIS crops above, NIR crops below.

    python benchmarks/one_scale.py VIS.safetensors NIR.safetensors OUT.png [COUNT]

A VIS crop of one inter-eye distance spans about 5.4 iris diameters, a NIR crop 2.4: of the VIS crops
the central 2.4 / 5.4 is shown. Names of bundled generators are taken, too. Seeds 0, 1, ..., not
selected; the classes of a conditional generator take turns.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from syper_data import generate
from syper_data.gan.bundled import open_generator
from syper_data.rendering.one_scale import rows_at_one_scale
from syper_data.rendering.sheet import encode_sheet

VIS_DIAMETERS, NIR_DIAMETERS = 5.4, 2.4

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def images(reference: str, count: int) -> list[Pixels]:
    loaded = open_generator(reference)
    classes = loaded.config.c_dim
    if not classes:
        return list(np.concatenate(list(generate(loaded, range(count)))))
    return [next(iter(generate(loaded, [seed], label=seed % classes)))[0] for seed in range(count)]


def main(vis: str, nir: str, out: str, count: str = "8") -> None:
    rows = [images(reference, int(count)) for reference in (vis, nir)]
    sheet = rows_at_one_scale(rows, (VIS_DIAMETERS, NIR_DIAMETERS))
    Path(out).write_bytes(encode_sheet(sheet))
    print(f"{out}: above {vis}, the central {NIR_DIAMETERS / VIS_DIAMETERS:.0%}; below {nir}, whole")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    main(*sys.argv[1:])
