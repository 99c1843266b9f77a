"""What the processes of test_parallel_quantization.py run: some steps, saved by the first of them."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parent))

from small_quantization import RECIPE
from small_recognizer_training import people
from small_recognizers import save_random_recognizer
from syper_data.quantization.bits import BitsConfig
from syper_data.quantization.images import StoredImages
from syper_data.quantization.quantization_run import QuantizationRun
from syper_data.quantization.recipe import LossConfig
from syper_data.recognition.recipe import OptimiserConfig
from syper_data.recognition.recognizer_file import read_recognizer

STEPS = 2
CASE = replace(
    RECIPE,
    bits=BitsConfig(8, 8),
    batch=4,
    loss=LossConfig("mse", features=0.5),
    optimiser=OptimiserConfig("sgd", 1e-3, 0.0, 0.0, 0.0),
)


def saved_teacher(path: Path) -> Path:
    """The recognizer that is copied."""
    return save_random_recognizer(path)


def train(teacher: Path) -> dict[str, Any]:
    """Figures, and the state before and after a few steps."""
    torch.set_num_threads(1)
    feed = StoredImages([people(2)], 32, held_out=2, batch=4, seed=0)
    run = QuantizationRun(CASE, read_recognizer(teacher), feed)
    run.calibrate()
    start = copy.deepcopy(run.state())
    figures = [run.advance() for _ in range(STEPS)]
    return {"figures": figures, "start": start, "state": run.state()}


if __name__ == "__main__":
    dist.init_process_group("gloo")
    results = train(Path(sys.argv[2]))
    if dist.get_rank() == 0:
        torch.save(results, sys.argv[1])
    dist.destroy_process_group()
