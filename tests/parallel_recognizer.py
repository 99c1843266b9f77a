"""What the processes of test_parallel_recognizer.py run: some steps, saved by the first of them."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parent))

from small_recognizer_training import SMALL, make_run
from syper_data.recognition.augment import AugmentConfig
from syper_data.recognition.margins import MarginConfig

STEPS = 2
MARGINS = {
    "elastic": MarginConfig("elasticface-arc", 16.0, sigma=0.0175, sorted_margins=True),
    "contrastive": MarginConfig("contrastive", 16.0, 0.1),
}
CASE = replace(
    SMALL,
    backbone=replace(SMALL.backbone, dropout=0.0),  # every process drops values of its own
    augment=AugmentConfig(noise=0.6, jpeg=0.0),  # JPEG's steps would turn rounding into levels
)


def train(margin: str) -> dict[str, Any]:
    """Figures, and the state before and after a few steps."""
    torch.set_num_threads(1)
    run = make_run(replace(CASE, margin=MARGINS[margin]))
    start = copy.deepcopy(run.state())
    figures = [run.advance() for _ in range(STEPS)]
    return {"figures": figures, "start": start, "state": run.state()}


if __name__ == "__main__":
    dist.init_process_group("gloo")
    results = {margin: train(margin) for margin in MARGINS}
    if dist.get_rank() == 0:
        torch.save(results, sys.argv[1])
    dist.destroy_process_group()
