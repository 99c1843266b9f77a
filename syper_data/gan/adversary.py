"""What the training loop asks of an adversary, whichever it is.

A step of :class:`~syper_data.gan.training_run.TrainingRun` lets the adversary ``look`` at augmented
fakes and reals once, ``judge`` what it saw for either player, and sums the weighted terms that
``discriminator_terms`` and ``generator_terms`` return. A new loss is a new entry in one of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syper_data.gan.config import check_number, check_whole


@dataclass(frozen=True)
class AdversaryConfig:
    """What every kind of adversary has: how the generator is regularised against it.

    ``style_mixing`` is the share of images made from two latents, the second from a random layer on
    (Karras et al. 2019, section 3.1). ``path_length_weight`` (0: off) weighs the path-length
    regularisation, done every ``path_length_interval`` steps with the weight times the interval
    (2020a, section 3.2 and appendix B).
    """

    kind: str
    style_mixing: float = 0.0
    path_length_weight: float = 0.0
    path_length_interval: int = 8

    def __post_init__(self) -> None:
        check_number("adversary.style_mixing", self.style_mixing, 0, 1)
        check_number("adversary.path_length_weight", self.path_length_weight)
        check_whole("adversary.path_length_interval", self.path_length_interval, 1, 1024)

    def to_dict(self) -> dict[str, Any]:
        """A YAML-ready dictionary."""
        return asdict(self)


@dataclass(frozen=True)
class Fakes:
    """A batch of generated images and what they were made from."""

    images: Tensor  # float32 [n, 3, r, r], not augmented
    z: Tensor  # float32 [n, z_dim]
    c: Tensor | None  # one-hot float32 [n, c_dim]


@dataclass(frozen=True)
class Reals:
    """A batch of crops: ``rows`` index the run's crops."""

    images: Tensor  # float32 [n, 3, r, r] in [-1, 1], not augmented
    c: Tensor | None  # one-hot float32 [n, c_dim]
    rows: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """What an adversary saw of augmented images: ``judged`` goes into its trained part, ``features``
    are those of a frozen feature net, where it has one."""

    images: Tensor
    judged: list[Tensor]
    features: list[Tensor] = field(default_factory=list)

    def detach(self) -> Seen:
        """The same without its history."""
        return Seen(self.images.detach(), [x.detach() for x in self.judged], [x.detach() for x in self.features])


@dataclass(frozen=True)
class Term:
    """One summand of a player's loss; the log shows ``value``, the step takes ``weight * value``."""

    value: Tensor
    weight: float = 1.0


Terms = dict[str, Term]


def total(terms: Terms) -> Tensor:
    """The weighted sum."""
    return torch.stack([term.value * term.weight for term in terms.values()]).sum()


class Adversary(nn.Module, ABC):
    """The player against the generator.

    ``trained`` holds its parameters. ``penalty_interval`` is how often ``penalty`` runs (0: never);
    between its steps nothing of it is computed.
    """

    trained: nn.Module
    description: str
    penalty_interval: int = 0

    @abstractmethod
    def look(self, images: Tensor) -> Seen:
        """Augmented images float32 [n, 3, r, r] -> what the trained part judges; no trained weights."""

    @abstractmethod
    def judge(self, seen: Seen, c: Tensor | None) -> list[Tensor]:
        """Logits, high for real: float32 [n, k], one tensor a scale."""

    def judge_both(
        self, real: Seen, real_c: Tensor | None, fake: Seen, fake_c: Tensor | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Logits of reals and fakes, for the adversary's own step."""
        return self.judge(real, real_c), self.judge(fake, fake_c)

    def judge_fakes(self, real: Seen, real_c: Tensor | None, fake: Seen, fake_c: Tensor | None) -> list[Tensor]:
        """Logits of fakes, for the generator's step; ``real`` is there for a judge that compares."""
        return self.judge(fake, fake_c)

    @abstractmethod
    def discriminator_terms(self, real: list[Tensor], fake: list[Tensor]) -> Terms:
        """The adversary's loss from logits; ``loss_d`` is the entry of the adversarial loss."""

    @abstractmethod
    def generator_terms(self, logits: list[Tensor], seen: Seen, fakes: Fakes, real: Seen) -> Terms:
        """The generator's loss; ``loss_g`` is the entry of the adversarial loss. ``seen`` is how the
        adversary saw ``fakes``; ``real`` how it saw the crops of this step (without history)."""

    def penalty(self, reals: Tensor, c: Tensor | None) -> Terms:
        """The lazily computed regulariser of the adversary, from augmented reals; not called where
        ``penalty_interval`` is 0."""
        return {}

    def calibrate(self, images: Tensor) -> None:
        """Called once with real images [n, 3, r, r] before the first step."""

    def survey(self, batches: Iterable[Tensor]) -> None:
        """Called once before the first step, after ``calibrate``, with up to 2,048 real images in batches
        [n, 3, r, r]; read only by what needs them."""

    def spaces(self, images: Tensor) -> list[Tensor]:
        """Images [n, 3, r, r] in [-1, 1] -> float32 [n, d] each: the spaces in which images are compared
        for the log's early warnings. The first is always 16x16 pooled pixels."""
        return [F.adaptive_avg_pool2d(images.float(), 16).flatten(1)]

    def state(self) -> dict[str, Any]:
        """What a resumed run needs; a term that remembers earlier steps adds its memory here."""
        return self.trained.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.trained.load_state_dict(state)
