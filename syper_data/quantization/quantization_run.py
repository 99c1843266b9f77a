"""The state of a quantization and one step of it: teacher and student see the same images.

All random draws of step i come from (seed, i) and are made for the whole batch; a process takes its rows of
them. So a resumed run goes on as if it had never stopped, and several processes train as one. Loss
and gradients are checked before they change a number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syper_data.errors import ConfigError, DivergedError, InputError
from syper_data.execution.team import Team
from syper_data.quantization.bits import BitsConfig
from syper_data.quantization.calibration import calibrate
from syper_data.quantization.images import Feed, Pixels
from syper_data.quantization.recipe import QuantizationRecipe
from syper_data.quantization.student import Student
from syper_data.recognition.augment import AugmentConfig, augment
from syper_data.recognition.embedder import NetworkEmbedder
from syper_data.recognition.recognizer_file import RecognizerFile
from syper_data.recognition.training_run import rate_at

_BLOCK = 16  # images that are calibrated or checked with together


class QuantizationRun:
    """Teacher, student, optimiser and step; :meth:`advance` makes one step.

    The student begins as a copy of the teacher, or of ``start``. Its ranges are not set before :meth:`calibrate`
    or :meth:`restore`.

    Raises:
        InputError: ``start`` gives vectors of another length, or looks at other images.
        ConfigError: the batch does not divide over the processes.
    """

    def __init__(
        self, recipe: QuantizationRecipe, teacher: RecognizerFile, feed: Feed, start: RecognizerFile | None = None
    ) -> None:
        self.recipe, self.feed, self.team = recipe, feed, Team.current()
        if recipe.batch % self.team.size:
            raise ConfigError(f"batch: {recipe.batch} images do not divide over {self.team.size} processes")
        start = teacher if start is None else start
        _check_alike(teacher, start)
        self.mirrored = teacher.orientation == "opposite"
        self.teacher_sha256 = teacher.sha256
        self.teacher = Student(teacher.backbone, recipe.bits, rounded=False).eval().requires_grad_(False)
        self.student = Student(start.backbone, recipe.bits)
        self.sums = [n.name for n in self.student.nodes if n.operation == "add"] if recipe.loss.features else []
        if recipe.loss.features and start.config != teacher.config:
            raise ConfigError("loss.features needs a start of the teacher's own architecture")
        self.optimiser = _optimiser(recipe, self.student)
        self.steps = recipe.length(feed.count or 0)
        self.step = 0

    @property
    def done(self) -> bool:
        """Whether the recipe's length is reached."""
        return self.step >= self.steps

    @property
    def share(self) -> float:
        """How much of the length is done, 0..1."""
        return self.step / self.steps

    def calibrate(self) -> None:
        """Fit the first ranges: activations on the first images of the training, weights to themselves."""
        wanted = self.recipe.ranges.calibration
        pixels: list[Pixels] = []
        for step in range(self.steps):
            rows = range(min(self.recipe.batch, wanted - len(pixels)))
            pixels += self.feed.images(step, rows)
            if len(pixels) >= wanted:
                break
        blocks = (self._prepare(pixels[i : i + _BLOCK]) for i in range(0, len(pixels), _BLOCK))
        self._set_bits()
        calibrate(self.student, blocks, extremes=self.recipe.ranges.kind == "observed")

    def advance(self) -> dict[str, float]:
        """One step; returns the loss, the cosine of student and teacher and, if matched, the features' term.

        Raises:
            DivergedError: the loss or the gradient is not finite; no number was changed by it.
        """
        recipe = self.recipe
        state = np.random.SeedSequence((recipe.seed, self.step)).generate_state(1)
        rng = torch.Generator().manual_seed(int(state[0]))
        self._set_bits()
        moving = recipe.ranges_move(self.step, self.steps)
        observing = moving and recipe.ranges.kind == "observed"
        rate = recipe.optimiser.lr * rate_at(recipe.schedule, self.share, self.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        for parameter in self.student.range_parameters():
            parameter.requires_grad_(moving and not observing)
        if observing:
            for _, layer in self.student.layers():
                layer.cover()

        images = self._batch(rng)
        self.student.observing = observing
        try:
            found = self.student.train().run(images, self.sums)
        finally:
            self.student.observing = False
        with torch.no_grad():
            wanted = self.teacher.run(images, self.sums)
        loss, figures = self._loss(found, wanted)
        self._descend(loss)
        self.step += 1
        means = self.team.mean(torch.stack(list(figures.values()))).tolist()
        return {**dict(zip(figures, means, strict=True)), "lr": rate}

    def _batch(self, rng: torch.Generator) -> Tensor:
        """This process's images of the step.  # float32 [n, 3, s, s] in [-1, 1]"""
        recipe = self.recipe
        pixels = self.feed.images(self.step, self.team.mine(range(recipe.batch)))
        if recipe.augment == AugmentConfig.none():
            return self._prepare(pixels)
        stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
        x = augment(stacked, stacked.shape[-1], recipe.batch, recipe.augment, rng, self.team)
        return x.flip(3) if self.mirrored else x

    def _prepare(self, pixels: list[Pixels]) -> Tensor:
        block = np.stack(pixels)
        return NetworkEmbedder.prepare(np.ascontiguousarray(block[:, :, ::-1]) if self.mirrored else block)

    def _loss(self, found: dict[str, Tensor], wanted: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.recipe.loss
        ours, theirs = (F.normalize(run[self.student.nodes[-1].name]) for run in (found, wanted))
        cosine = (ours * theirs).sum(1).mean()
        loss = F.mse_loss(ours, theirs) if config.kind == "mse" else 1 - cosine
        figures = {"cosine": cosine.detach()}
        if self.sums:
            terms = [
                (found[n] - wanted[n]).square().mean() / self.team.mean(wanted[n].var()).clamp_min(1e-12)
                for n in self.sums
            ]
            features = torch.stack(terms).mean()
            loss = loss + config.features * features
            figures["features"] = features.detach()
        return loss, {"loss": loss.detach(), **figures}

    def _descend(self, loss: Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for p in self.student.parameters() if p.requires_grad]
        self.team.average_gradients(parameters)
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not torch.isfinite(loss) or not torch.isfinite(norm):
            raise DivergedError(
                f"training diverged at step {self.step} (loss {float(loss.detach()):.3g}, "
                f"gradient norm {float(norm):.3g})"
            )
        if self.recipe.optimiser.clip:
            nn.utils.clip_grads_with_norm_(parameters, self.recipe.optimiser.clip, norm)
        self.optimiser.step()

    def _bits_of(self, step: int) -> BitsConfig:
        """The bits of a step; the last step always has the recipe's, however short the run is."""
        return self.recipe.bits if step + 1 >= self.steps else self.recipe.bits_at(step / self.steps)

    def _set_bits(self, *, fit: bool = True) -> None:
        bits = self._bits_of(self.step)
        if bits != self.student.bits:
            self.student.set_bits(bits, fit=fit)

    @torch.no_grad()
    def agreement(self) -> dict[str, float]:
        """Mean and smallest cosine of student and teacher on the held-out images, at the bits of the moment."""
        pixels = self.feed.held_out(self.recipe.validation_images)
        found = []
        for start in range(0, len(pixels), _BLOCK):
            images = self._prepare(pixels[start : start + _BLOCK])
            found.append(F.cosine_similarity(self.student.eval()(images), self.teacher(images)))
        cosines = torch.cat(found)
        return {"agreement": float(cosines.mean()), "least_agreement": float(cosines.min())}

    def finite(self) -> bool:
        """Whether every number of the student is one."""
        return all(bool(torch.isfinite(p).all()) for p in self.student.parameters())

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`restore` needs; tensors and plain values only."""
        return {
            "recipe": self.recipe.to_dict(),
            "teacher_sha256": self.teacher_sha256,
            "data_sha256": self.feed.sha256,
            "step": self.step,
            "student": self.student.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same recipe, teacher and images."""
        self.step = int(state["step"])
        self.student.load_state_dict(state["student"])
        self.optimiser.load_state_dict(state["optimiser"])
        last = max(self.step - 1, 0)  # the bits that the state had; the next step lowers them
        self.student.set_bits(self._bits_of(last), fit=False)


def _check_alike(teacher: RecognizerFile, start: RecognizerFile) -> None:
    for what, ours, theirs in (
        ("vectors of length", start.config.embedding_dim, teacher.config.embedding_dim),
        ("images of side", start.config.input_size, teacher.config.input_size),
        ("orientation", start.orientation, teacher.orientation),
    ):
        if ours != theirs:
            raise InputError(f"{start.path}: {what} {ours}, the teacher {teacher.path} has {theirs}")


def _optimiser(recipe: QuantizationRecipe, student: Student) -> torch.optim.Optimizer:
    config, ranges = recipe.optimiser, list(student.range_parameters())
    known = {id(p) for p in ranges}
    rest = [p for p in student.parameters() if id(p) not in known]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": config.weight_decay, "share": 1.0},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0, "share": 1.0},
        {"params": ranges, "weight_decay": 0.0, "share": recipe.ranges.rate},
    ]
    if config.kind == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)
