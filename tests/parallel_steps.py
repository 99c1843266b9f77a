"""What the processes of test_parallel.py run: some steps, and the state saved by the first of them."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parent))

from small_training import PROJECTED, RECIPE, VARIETY, make_run
from syper_data.gan.recipe import TrainingRecipe

STEPS = 3
# half of the batch must hold a group of two for the minibatch deviation
CASES: dict[str, TrainingRecipe] = {
    "stylegan2": replace(RECIPE, batch=8, auto_classes=True, mirror=True),
    "projected": replace(PROJECTED, batch=8, auto_classes=True),
    "variety": replace(VARIETY, batch=8),
}


def train(case: str) -> dict[str, Any]:
    """Figures, and the state before and after a few steps."""
    torch.set_num_threads(1)
    run = make_run(CASES[case], subjects=3)
    start = copy.deepcopy(run.state())
    figures = [run.advance() for _ in range(STEPS)]
    return {"figures": figures, "start": start, "state": run.state()}


if __name__ == "__main__":
    dist.init_process_group("gloo")
    results = {case: train(case) for case in sys.argv[2].split(",")}
    if dist.get_rank() == 0:
        torch.save(results, sys.argv[1])
    dist.destroy_process_group()
