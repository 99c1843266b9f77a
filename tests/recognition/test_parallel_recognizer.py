"""Two processes take the steps that one process takes with the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from parallel_recognizer import MARGINS, train

SCRIPT = Path(__file__).resolve().parent.parent / "parallel_recognizer.py"


def way(result: dict[str, Any], part: str) -> Tensor:
    """How far all weights of a part went, as one vector."""
    after, before = result["state"][part], result["start"][part]
    names = [name for name in after if after[name].is_floating_point() and "running" not in name]
    return torch.cat([(after[name] - before[name]).flatten() for name in names])


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT)]
    done = subprocess.run(
        [*launch, str(tmp_path / "result.pt")],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    results = torch.load(tmp_path / "result.pt", weights_only=True)
    for margin in MARGINS:
        compare(results[margin], train(margin))


def compare(together: dict[str, Any], alone: dict[str, Any]) -> None:
    """Two processes went the way of one."""
    assert set(together["state"]) == set(alone["state"])
    for part in ("backbone", "head"):
        if alone["state"][part]:
            ours, theirs = way(together, part), way(alone, part)
            assert float(theirs.norm()) > 0
            assert float((ours - theirs).norm() / theirs.norm()) < 1e-2, part
    running = [name for name in alone["state"]["backbone"] if "running" in name]
    for name in running:
        a, b = (x["state"]["backbone"][name] for x in (together, alone))
        assert torch.allclose(a, b, rtol=1e-2, atol=1e-2), name
    for ours, theirs in zip(together["figures"], alone["figures"], strict=True):
        for name in ours:
            assert abs(ours[name] - theirs[name]) < 1e-2 * max(1, abs(theirs[name])), name
