"""Students small enough for a test: random MobileFaceNets on images of 32 px, or IResNets."""

from __future__ import annotations

import copy
from functools import lru_cache

import torch
from torch import Tensor

from small_recognizers import SMALL, random_backbone
from syper_data.quantization.bits import BitsConfig
from syper_data.quantization.calibration import calibrate
from syper_data.quantization.student import Student
from syper_data.recognition.config import BackboneConfig

IRESNET = BackboneConfig("iresnet18", 112, 128, "pooling")


def some_images(count: int = 4, side: int = 32, seed: int = 0) -> Tensor:
    """Pixels as a network takes them.  # float32 [n, 3, s, s] in [-1, 1], multiples of 1 / 127.5 apart"""
    levels = torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed))
    return levels.float().sub_(127.5).div_(127.5).contiguous(memory_format=torch.channels_last)


def small_student(bits: BitsConfig | None = None, config: BackboneConfig = SMALL) -> Student:
    """A calibrated student of a random network, the caller's own."""
    return copy.deepcopy(_made(bits or BitsConfig(), config))


@lru_cache(maxsize=8)
def _made(bits: BitsConfig, config: BackboneConfig) -> Student:
    student = Student(random_backbone(config), bits)
    calibrate(student, [some_images()])
    return student
