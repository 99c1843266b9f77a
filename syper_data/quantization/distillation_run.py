"""A recognizer's training in which a teacher takes part: one more term of the loss, and perhaps occluded images.

Everything else is :class:`~syper_data.recognition.training_run.RecognizerRun`. The teacher's weights never move,
and it sees what the student sees: the same shifts, light and noise, at the size and in the orientation that it
knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syper_data.errors import InputError
from syper_data.quantization.images import Feed, Pixels
from syper_data.recognition.augment import augment
from syper_data.recognition.batches import Labels, Lessons
from syper_data.recognition.distillation import DistillConfig
from syper_data.recognition.folding import fold_batch_norms
from syper_data.recognition.initialisation import check_start
from syper_data.recognition.occlusion.config import OcclusionConfig
from syper_data.recognition.occlusion.image import occlude_image
from syper_data.recognition.recipe import RecognizerRecipe
from syper_data.recognition.recognizer_file import RecognizerFile
from syper_data.recognition.training_run import Batch, RecognizerRun

_BLOCK = 16  # images that are compared together
_TRAINED, _WATCHED = 5, 6  # what a seed of occlusions is for


class UnlabelledLessons:
    """Images of a feed, of nobody; see :class:`Lessons`."""

    classes = 0

    def __init__(self, feed: Feed) -> None:
        self._feed, self.count, self.sha256 = feed, feed.count, feed.sha256

    def images(self, step: int, rows: Sequence[int]) -> list[Pixels]:
        """See :class:`Lessons`."""
        return self._feed.images(step, rows)

    def labels(self, step: int, rows: Sequence[int]) -> Labels:
        """See :class:`Lessons`."""
        return np.zeros(len(rows), np.int64)


class DistillationRun(RecognizerRun):
    """Student, teacher, optimiser and step.

    Raises:
        InputError: the teacher's vectors have another length than the student's, or ``start`` has another
            architecture.
        ConfigError: the batch does not divide over the processes.
    """

    def __init__(
        self,
        recipe: RecognizerRecipe,
        lessons: Lessons,
        teacher: RecognizerFile | None,
        start: RecognizerFile | None = None,
    ) -> None:
        assert recipe.distill is not None
        self.distill: DistillConfig = recipe.distill
        check_alike(recipe, teacher, start)
        super().__init__(recipe, lessons, start)
        self.teacher_sha256 = None if teacher is None else teacher.sha256
        self.teacher: nn.Module | None = None
        if teacher is not None:
            self._teacher_size, self._teacher_mirrored = (
                teacher.config.input_size,
                teacher.orientation == "opposite",
            )
            self.teacher = fold_batch_norms(teacher.backbone).to(self.device).eval()

    def _batch(self, rng: torch.Generator) -> Batch:
        """Clean and occluded images are changed alike: the same draws."""
        recipe, rows = self.recipe, self.team.mine(range(self.recipe.sampling.batch))
        count, size = recipe.sampling.batch, self._size()
        largest = size if self.teacher is None else max(size, self._teacher_size)
        pixels = self.lessons.images(self.step, rows)
        state = rng.get_state()
        clean = augment(self._stacked(pixels), largest, count, recipe.augment, rng, self.team)
        shown = clean
        if self.distill.occludes:
            occlusion = self.distill.occlusion
            seeds = [(recipe.seed, _TRAINED, self.step, row) for row in rows]
            over = [occlude_image(p, occlusion, seed)[0] for p, seed in zip(pixels, seeds, strict=True)]
            rng.set_state(state)
            shown = augment(self._stacked(over), largest, count, recipe.augment, rng, self.team)
        return Batch(self._turned(_resized(shown, size)), self._labels(rows), self._taught(clean))

    @torch.no_grad()
    def _taught(self, images: Tensor) -> Tensor | None:
        """The teacher's vectors, of length 1."""
        if self.teacher is None:
            return None
        images = _resized(images, self._teacher_size)
        return F.normalize(self.teacher(images.flip(3) if self._teacher_mirrored else images).float())

    def _judge(self, vectors: Tensor, batch: Batch, margins: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss, figures = torch.zeros((), device=self.device), dict[str, Tensor]()
        if self.distill.labelled:
            loss, figures = super()._judge(vectors, batch, margins)
        if batch.taught is not None:
            ours = F.normalize(vectors.float())
            loss = loss + self.distill.guidance_at(self.share) * F.mse_loss(ours, batch.taught)
            figures["teacher_cosine"] = (ours.detach() * batch.taught).sum(1).mean()
        return loss, figures

    @torch.no_grad()
    def agreement(self, pixels: Sequence[Pixels]) -> dict[str, float]:
        """The mean cosine of student and teacher on images; for maskinv also where all of the student's are
        occluded."""
        if self.teacher is None or not pixels:
            return {}
        kinds = {"agreement": list(pixels)}
        if self.distill.occludes:
            config: OcclusionConfig = replace(self.distill.occlusion, share=1.0)
            seeds = [(self.recipe.seed, _WATCHED, i) for i in range(len(pixels))]
            over = [occlude_image(p, config, seed)[0] for p, seed in zip(pixels, seeds, strict=True)]
            kinds["occluded_agreement"] = over
        network, size, found = self.averaged.eval(), self.recipe.backbone.input_size, dict[str, list[Tensor]]()
        for start in range(0, len(pixels), _BLOCK):
            taught = self._taught(_signed(self._stacked(list(pixels[start : start + _BLOCK]))))
            assert taught is not None
            for name, shown in kinds.items():
                x = self._turned(_resized(_signed(self._stacked(shown[start : start + _BLOCK])), size))
                found.setdefault(name, []).append(F.cosine_similarity(network(x).float(), taught))
        return {name: float(torch.cat(cosines).mean()) for name, cosines in found.items()}

    def state(self) -> dict[str, Any]:
        """See :class:`RecognizerRun`; with the teacher's digest."""
        return {**super().state(), "teacher_sha256": self.teacher_sha256}


def check_alike(recipe: RecognizerRecipe, teacher: RecognizerFile | None, start: RecognizerFile | None) -> None:
    """Raise :class:`InputError` where teacher or start don't fit the student."""
    ours = recipe.backbone
    if teacher is not None and teacher.config.embedding_dim != ours.embedding_dim:
        raise InputError(
            f"{teacher.path}: vectors of length {teacher.config.embedding_dim}, the student's have "
            f"{ours.embedding_dim}; set backbone.embedding_dim in the recipe"
        )
    if start is not None:
        check_start(start, ours)


def _resized(images: Tensor, size: int) -> Tensor:
    """float32 [n, 3, h, h] -> [n, 3, size, size], antialiased."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", antialias=True)


def _signed(images: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1], channels last in memory."""
    return images.float().sub_(127.5).div_(127.5)
