"""How far images of the bundled generator differ on another kind of processor."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from syper_data.sampling.environment import drift_tolerance

SAVE = (
    "import sys, numpy as np, syper_data\n"
    "batches = syper_data.generate(seeds=range(24), precision=sys.argv[2])\n"
    "np.save(sys.argv[1], np.concatenate(list(batches)))"
)


def images(path: Path, precision: str, **environment: str) -> np.ndarray:
    subprocess.run(
        [sys.executable, "-c", SAVE, str(path), precision], check=True, env={**os.environ, **environment}
    )
    return np.load(path).astype(np.int16)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="older instruction sets of x86 stand in")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_older_instruction_set_stays_within_the_stated_tolerance(tmp_path: Path, precision: str) -> None:
    here = images(tmp_path / "here.npy", precision)
    again = images(tmp_path / "again.npy", precision)
    old = images(tmp_path / "old.npy", precision, ATEN_CPU_CAPABILITY="default", ONEDNN_MAX_CPU_ISA="SSE41")
    assert np.array_equal(here, again)
    difference = np.abs(here - old)
    assert difference.max() <= drift_tolerance(precision)
    assert difference.mean() < 0.25 if precision == "fp32" else difference.mean() < 2
