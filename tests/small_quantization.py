"""Quantizations small enough for a test: a recipe of four steps, drawn eyes, a network that sees 32 px.

A recognizer's input is at least 112 px, so the teacher here is a plain MobileFaceNet of that size."""

from __future__ import annotations

from syper_data.quantization.bits import BitsConfig
from syper_data.quantization.recipe import LossConfig, QuantizationRecipe, RangesConfig
from syper_data.recognition.augment import AugmentConfig
from syper_data.recognition.recipe import OptimiserConfig, ScheduleConfig

RECIPE = QuantizationRecipe(
    "tiny",
    bits=BitsConfig(4, 4),
    steps=4,
    batch=2,
    loss=LossConfig("cosine", features=0.1),
    ranges=RangesConfig(calibration=2),
    augment=AugmentConfig(),
    optimiser=OptimiserConfig("adamw", 1e-3, 0.0),
    schedule=ScheduleConfig(warmup=0.25),
    seed=3,
    snapshot_steps=2,
    validation_images=2,
)
