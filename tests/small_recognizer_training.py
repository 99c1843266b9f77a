"""Recognizer training small enough for a test: a recipe of four steps, drawn eyes of a few people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drawn_crops import drawn_eye
from syper_data.imaging.source import SourceImage
from syper_data.recognition.batches import LabelledLessons
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.eyes import TrainingData, load_eyes
from syper_data.recognition.margins import MarginConfig
from syper_data.recognition.recipe import (
    RecognizerRecipe,
    SamplingConfig,
    ScheduleConfig,
    Stage,
)
from syper_data.recognition.training_run import RecognizerRun

RECIPE = RecognizerRecipe(
    "tiny",
    "nir",
    BackboneConfig("mobilefacenet", embedding_dim=128, head="pooling", dropout=0.1),
    "two_classes",
    steps=4,
    margin=MarginConfig("elasticface-arc", 16.0, sigma=0.05),
    sampling=SamplingConfig(identities=3, images=2),
    schedule=ScheduleConfig(warmup=0.25, margin_warmup=0.5),
    stages=(Stage(0.99, 32), Stage(1, 112)),
    snapshot_steps=2,
    seed=3,
)
SMALL = replace(RECIPE, name="small", stages=(Stage(0.999, 32), Stage(1, 112)), steps=1000)


def people(count: int = 4, samples: int = 3, seed: int = 0, side: int = 32) -> list[SourceImage]:
    """Drawn eyes: two a person, each with a few images that differ by noise; right ones are mirrored."""
    rng = np.random.default_rng(seed)
    images = []
    for person in range(count):
        for eye, where in enumerate(("image_left", "image_right")):
            drawn = drawn_eye(1000 * seed + 2 * person + eye, side).astype(np.int16)
            for sample in range(samples):
                noisy = np.clip(drawn + rng.integers(-12, 13, drawn.shape), 0, 255).astype(np.uint8)
                pixels = noisy[:, ::-1].copy() if eye else noisy
                place = f"eyes.parquet, row {len(images)}"
                images.append(
                    SourceImage(pixels, place, subject=f"person-{person}", side=where, sample=str(sample))
                )
    return images


def load(recipe: RecognizerRecipe = RECIPE, **changes: int) -> TrainingData:
    return load_eyes([people(**changes)], recipe.backbone.input_size, recipe.both_eyes)


def make_run(recipe: RecognizerRecipe = RECIPE, **changes: int) -> RecognizerRun:
    return RecognizerRun(recipe, LabelledLessons(load(recipe, **changes).training, recipe))
