"""Two processes take the steps that one process takes with the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from parallel_quantization import saved_teacher, train

SCRIPT = Path(__file__).resolve().parent.parent / "parallel_quantization.py"


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    teacher = saved_teacher(tmp_path / "teacher.safetensors")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT)]
    done = subprocess.run(
        [*launch, str(tmp_path / "result.pt"), str(teacher)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    together, alone = torch.load(tmp_path / "result.pt", weights_only=True), train(teacher)
    ways = []
    for result in (together, alone):
        after, before = result["state"]["student"], result["start"]["student"]
        ways.append(torch.cat([(after[name] - before[name]).flatten() for name in after]))
    assert float(ways[1].norm()) > 0
    assert float((ways[0] - ways[1]).norm() / ways[1].norm()) < 0.1  # a code that falls otherwise shifts many
    for ours, theirs in zip(together["figures"], alone["figures"], strict=True):
        for name in ours:
            assert abs(ours[name] - theirs[name]) < 2e-2 * max(1, abs(theirs[name])), name
