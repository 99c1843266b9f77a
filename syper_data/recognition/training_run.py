"""The state of a recognizer's training and one step of it.

All random draws of step i come from (seed, i) and are made for the whole batch; a process takes its rows
of them. So a resumed run goes on as if it had never stopped, and several processes train as one. Loss
and gradients are checked before they change a weight.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from syper_data.errors import ConfigError, DivergedError
from syper_data.execution.team import Team, join_batch_norms
from syper_data.recognition.augment import augment
from syper_data.recognition.backbones import build_backbone
from syper_data.recognition.batches import Lessons, Pixels
from syper_data.recognition.initialisation import check_start, start_record
from syper_data.recognition.margins import Judged, build_head, draw_margins
from syper_data.recognition.prelu import quicken_prelus
from syper_data.recognition.recipe import RecognizerRecipe, ScheduleConfig
from syper_data.recognition.recognizer_file import RecognizerFile


@dataclass(frozen=True)
class Batch:
    """This process's images float32 [n, 3, s, s] in [-1, 1] of a step, their classes int64 [n] and, where a
    teacher takes part, its vectors float32 [n, d]."""

    images: Tensor
    labels: Tensor
    taught: Tensor | None = None


class RecognizerRun:
    """Backbone, margin head, optimiser and step; :meth:`advance` makes one step.

    ``averaged`` is the network to write and to validate: the running mean of the backbone's weights, where the
    recipe asks for one (Tarvainen and Valpola, NeurIPS 2017), or the backbone itself. The backbone begins with the
    weights of ``start``, where one is given, and goes on to see images in its orientation.

    Raises:
        ConfigError: the batch does not divide over the processes.
        InputError: ``start`` has another architecture.
    """

    def __init__(self, recipe: RecognizerRecipe, lessons: Lessons, start: RecognizerFile | None = None) -> None:
        self.recipe, self.lessons = recipe, lessons
        self.team = Team.current()
        if recipe.sampling.batch % self.team.size:
            raise ConfigError(
                f"sampling: the batch of {recipe.sampling.batch} does not divide over {self.team.size} processes"
            )
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(recipe.seed)
        self.backbone: nn.Module = build_backbone(recipe.backbone)
        if start is not None:
            check_start(start, recipe.backbone)
            self.backbone.load_state_dict(start.backbone.state_dict())
        self.start = start_record(start)
        self.mirrored = start is not None and start.orientation == "opposite"
        self.head: nn.Module = nn.Identity()
        if lessons.classes:
            self.head = build_head(recipe.margin, lessons.classes, recipe.backbone.embedding_dim)
        self.backbone.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head.to(self.device)
        join_batch_norms(self.backbone)
        if self.device.type == "cpu":
            quicken_prelus(self.backbone)
        self.averaged = copy.deepcopy(self.backbone).eval() if recipe.averaging else self.backbone
        self.optimiser = _optimiser(recipe, [*self.backbone.parameters(), *self.head.parameters()])
        self.steps = recipe.length(lessons.count or 0)
        self.step = 0

    @property
    def done(self) -> bool:
        """Whether the recipe's length is reached."""
        return self.step >= self.steps

    @property
    def share(self) -> float:
        """How much of the length is done, 0..1."""
        return self.step / self.steps

    def advance(self) -> dict[str, float]:
        """One step; returns its figures: loss, share of images nearest to their own class, cosine to it.

        Raises:
            DivergedError: the loss or the gradient is not finite; no weight was changed by it.
        """
        recipe, n = self.recipe, self.recipe.sampling.batch
        state = np.random.SeedSequence((recipe.seed, self.step)).generate_state(2)
        rng = torch.Generator().manual_seed(int(state[0]))  # torch takes 32 bits
        torch.manual_seed(int(state[1]) + self.team.rank)  # for dropout
        rate = recipe.optimiser.lr * rate_at(recipe.schedule, self.share, self.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        warm = recipe.schedule.margin_warmup
        margins = draw_margins(recipe.margin, n, rng, min(1.0, self.share / warm) if warm else 1.0).to(self.device)
        batch = self._batch(rng)

        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            vectors = self.backbone.train()(batch.images)
        loss, figures = self._judge(vectors, batch, margins)
        self._descend(loss)
        self._average()
        found = self.team.mean(torch.stack([loss.detach(), *figures.values()])).tolist()
        self.step += 1
        return {**dict(zip(("loss", *figures), found, strict=True)), "lr": rate}

    def _batch(self, rng: torch.Generator) -> Batch:
        recipe, rows = self.recipe, self.team.mine(range(self.recipe.sampling.batch))
        pixels = self._stacked(self.lessons.images(self.step, rows))
        images = augment(pixels, self._size(), recipe.sampling.batch, recipe.augment, rng, self.team)
        return Batch(self._turned(images), self._labels(rows))

    def _turned(self, images: Tensor) -> Tensor:
        """Canonical images in the orientation that the network sees."""
        return images.flip(3) if self.mirrored else images

    def _size(self) -> int:
        """Side in pixels of what the network sees at this step."""
        return self.recipe.size_at(self.share)

    def _stacked(self, pixels: list[Pixels]) -> Tensor:
        return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).to(self.device)

    def _labels(self, rows: Sequence[int]) -> Tensor:
        return torch.from_numpy(self.lessons.labels(self.step, rows)).to(self.device)

    def _judge(self, vectors: Tensor, batch: Batch, margins: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the step, and the figures that the log holds beside it."""
        judged: Judged = self.head(vectors, batch.labels, margins, self.team)
        return judged.loss, {"accuracy": judged.accuracy, "cosine": judged.cosine}

    def _descend(self, loss: Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
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

    @torch.no_grad()
    def _average(self) -> None:
        """Take the weights and running statistics into their mean; early steps count as much as late ones
        until there are enough of them."""
        if self.averaged is self.backbone:
            return
        pace = 1 - min(self.recipe.averaging, (self.step + 1) / (self.step + 10))
        mine = self.averaged.state_dict()
        for name, value in self.backbone.state_dict().items():
            if value.is_floating_point():
                mine[name].lerp_(value, pace)
            else:
                mine[name].copy_(value)

    def finite(self) -> bool:
        """Whether every weight and every running statistic is a number."""
        tensors = [*self.backbone.state_dict().values(), *self.head.state_dict().values()]
        return all(bool(torch.isfinite(t).all()) for t in tensors)

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`restore` needs; tensors and plain values only."""
        state = {
            "recipe": self.recipe.to_dict(),
            "data_sha256": self.lessons.sha256,
            "start_sha256": self.start["start_sha256"],
            "step": self.step,
            "backbone": self.backbone.state_dict(),
            "head": self.head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        return state if self.averaged is self.backbone else {**state, "averaged": self.averaged.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same recipe and the same data."""
        self.step = int(state["step"])
        self.backbone.load_state_dict(state["backbone"])
        self.head.load_state_dict(state["head"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.averaged is not self.backbone:
            self.averaged.load_state_dict(state["averaged"])


def rate_at(config: ScheduleConfig, share: float, steps: int) -> float:
    """The factor of the learning rate after ``share`` of the length; the first step is not 0."""
    if share < config.warmup:
        return (share + 1 / steps) / (config.warmup + 1 / steps)
    if config.decay == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (share - config.warmup) / (1 - config.warmup)))
    if config.decay == "step":
        return config.factor ** sum(share >= stone for stone in config.milestones)
    return 1.0


def _optimiser(recipe: RecognizerRecipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    config = recipe.optimiser
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.kind == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)
