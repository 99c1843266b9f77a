"""Differentiable augmentation for both players of the GAN, at two strengths of machinery.

``DiffAugmentConfig``: three transforms at a fixed probability (Zhao et al. 2020, "DiffAugment").
``AdaConfig`` (:mod:`~syper_data.gan.ada`): the full pipeline with adaptive probability (Karras et al.
2020b). Each transform is applied to an image with a probability, so that the undistorted
distribution stays identifiable (2020b, section 2.2: below about 0.8 nothing leaks).

Drawing and applying are two steps: what is drawn for a whole batch can be applied to a part of it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from syper_data.errors import ConfigError
from syper_data.execution.team import Team
from syper_data.gan.ada import AdaConfig, AdaDraws, apply_ada, draw_ada
from syper_data.gan.config import check_number


@dataclass(frozen=True)
class DiffAugmentConfig:
    """Strengths of the transforms.

    ``colour`` scales brightness (+-0.5), saturation (0..2) and contrast (0.5..1.5); ``shift`` is
    the largest translation and ``cutout`` the side of the erased square, both as a share of the
    image side.
    """

    kind: str = "diffaugment"
    probability: float = 0.5
    colour: float = 1.0
    shift: float = 0.125
    cutout: float = 0.5

    def __post_init__(self) -> None:
        if self.kind != "diffaugment":
            raise ConfigError(f"augment.kind is {self.kind!r}: must be diffaugment")
        for name in ("probability", "colour", "shift", "cutout"):
            check_number(f"augment.{name}", getattr(self, name), 0, 1)


AugmentConfig = DiffAugmentConfig | AdaConfig


@dataclass(frozen=True)
class DiffAugmentDraws:
    """What was drawn for n images: factors of colour, offsets, holes. Absent transforms are None."""

    saturation: Tensor | None = None  # [n, 1, 1, 1], as contrast, brightness and use_cutout
    contrast: Tensor | None = None
    brightness: Tensor | None = None
    offset: Tensor | None = None  # int64 [n, (row, column)]
    first: Tensor | None = None  # int64 [n, (row, column)] of the hole
    use_cutout: Tensor | None = None

    def rows(self, team: Team) -> DiffAugmentDraws:
        """The draws of this process's images."""
        return DiffAugmentDraws(**_rows(self, team))


def draw_diffaugment(config: DiffAugmentConfig, n: int, side: int, rng: torch.Generator) -> DiffAugmentDraws:
    """All random numbers for ``n`` images of ``side`` pixels; at probability 0 nothing is drawn."""
    if config.probability == 0:
        return DiffAugmentDraws()

    def draw() -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=rng)

    def chosen() -> Tensor:
        return (draw() < config.probability).float()

    values: dict[str, Tensor] = {}
    if config.colour:
        strength = chosen() * config.colour
        values["saturation"] = 1 + (draw() * 2 - 1) * strength
        values["contrast"] = 1 + (draw() - 0.5) * strength
        values["brightness"] = (draw() - 0.5) * strength
    if config.shift:
        reach = round(side * config.shift)
        use = chosen().flatten() > 0
        offset = torch.randint(-reach, reach + 1, (n, 2), generator=rng)
        values["offset"] = torch.where(use[:, None], offset, torch.zeros_like(offset))
    if config.cutout:
        size = round(side * config.cutout)
        values["first"] = torch.randint(0, side, (n, 2), generator=rng) - size // 2
        values["use_cutout"] = chosen()
    return DiffAugmentDraws(**values)


def apply_diffaugment(images: Tensor, config: DiffAugmentConfig, draws: DiffAugmentDraws) -> Tensor:
    """``images`` [n, c, r, r] in [-1, 1] -> augmented images."""
    side = images.shape[-1]
    x = images

    def here(values: Tensor) -> Tensor:
        return values.to(images.device, images.dtype)

    if draws.saturation is not None and draws.contrast is not None and draws.brightness is not None:
        grey = x.mean(dim=1, keepdim=True)
        x = (x - grey) * here(draws.saturation) + grey
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        x = (x - mean) * here(draws.contrast) + (mean + here(draws.brightness))
    if draws.offset is not None:
        reach = round(side * config.shift)
        padded = F.pad(x, (reach, reach, reach, reach))
        x = torch.stack(
            [
                padded[i, :, reach + dy : reach + dy + side, reach + dx : reach + dx + side]
                for i, (dy, dx) in enumerate(draws.offset.tolist())
            ]
        )
    if draws.first is not None and draws.use_cutout is not None:
        offset = torch.arange(side) - draws.first[:, :, None]
        inside = (offset >= 0) & (offset < round(side * config.cutout))  # [n, 2, side]
        hole = here((inside[:, 0, :, None] & inside[:, 1, None, :])[:, None])
        x = x * (1 - hole * here(draws.use_cutout))
    return x


class Augmenter:
    """The recipe's augmentation and its adaptive probability, which is part of a run's state."""

    def __init__(self, config: AugmentConfig) -> None:
        self.config = config
        self.probability = float(config.probability)
        self._signs: list[float] = []

    def __call__(self, images: Tensor, n: int, rng: torch.Generator, team: Team | None = None) -> Tensor:
        """``images`` [m, 3, r, r], this process's share of a batch of ``n`` -> augmented images."""
        team = team or Team()
        side = images.shape[-1]
        if isinstance(self.config, DiffAugmentConfig):
            draws = draw_diffaugment(self.config, n, side, rng)
            return apply_diffaugment(images, self.config, draws.rows(team))
        ada = draw_ada(self.config, self.probability, n, side, rng)
        return images if ada is None else apply_ada(images, ada.rows(team))

    def observe(self, sign: float, batch: int) -> None:
        """Adapt the probability to the mean sign of the adversary's logits on real images.

        The overfitting heuristic r_t of Karras et al. 2020b, section 3: averaged over ``interval``
        batches; above ``target`` the probability rises by a step that would take it from 0 to 1 in
        ``speed_kimg``, below it falls by as much.
        """
        config = self.config
        if isinstance(config, DiffAugmentConfig) or config.target is None:
            return
        self._signs.append(sign)
        if len(self._signs) < config.interval:
            return
        mean = sum(self._signs) / len(self._signs)
        step = len(self._signs) * batch / 1000 / config.speed_kimg
        change = step if mean > config.target else -step if mean < config.target else 0.0
        self.probability = min(max(self.probability + change, 0.0), config.limit)
        self._signs = []

    def state(self) -> dict[str, Any]:
        """Probability and the signs since it last moved."""
        return {"probability": self.probability, "signs": list(self._signs)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.probability = float(state["probability"])
        self._signs = [float(s) for s in state["signs"]]


def _rows(draws: DiffAugmentDraws | AdaDraws, team: Team) -> dict[str, Any]:
    values = {f.name: getattr(draws, f.name) for f in fields(draws)}
    return {name: team.mine(v) if isinstance(v, Tensor) else v for name, v in values.items()}
