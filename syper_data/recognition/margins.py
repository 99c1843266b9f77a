"""Margin heads: a class is a direction, and its images must lie closer to it than to any other, by a margin.

With cos t_j the cosine of a vector and class j, y its own class, s the scale and m the margin, the
loss is the cross-entropy of these logits:

====================  ============================  ========================================
``arcface``           s cos(t_y + m), s cos t_j     Deng et al., CVPR 2019, equation 3
``cosface``           s (cos t_y - m), s cos t_j    Wang et al., CVPR 2018, equation 4
``elasticface-arc``   m ~ N(margin, sigma)          Boutros et al., CVPRW 2022 (ElasticFace)
``elasticface-cos``   m ~ N(margin, sigma)          the same
====================  ============================  ========================================

``contrastive`` has no directions: the other images of the batch take their place, those of the same class
are to lie closer than all others (Khosla et al., NeurIPS 2020, equation 2, with the margin of CosFace). A
direction must be visited often before it means anything; with thousands of people of few images each
a short training never gets there, and this does.

An elastic margin is drawn anew for every image and step. With ``sorted_margins`` (ElasticFace+) the
image that lies farthest from its class gets the largest of the batch's margins, and so on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syper_data.errors import ConfigError
from syper_data.execution.team import Team
from syper_data.gan.config import check_number, check_positive

CONTRASTIVE = "contrastive"
MARGINS = ("arcface", "cosface", "elasticface-arc", "elasticface-cos", CONTRASTIVE)
_PUBLISHED = {"arcface": 0.5, "cosface": 0.35, "elasticface-arc": 0.5, "elasticface-cos": 0.35, CONTRASTIVE: 0.0}
_EDGE = 1e-6  # cosines are kept this far from 1 and -1, where the angle has no finite slope


@dataclass(frozen=True)
class MarginConfig:
    """Which margin; ``margin`` is an angle in radians (arc) or a cosine (cos), None the published one.

    ``sigma`` is the deviation of an elastic margin (published: 0.05; sorted: 0.0175 arc, 0.025 cos).

    Raises:
        ConfigError: a value is out of range, or belongs to another kind.
    """

    kind: str = "cosface"
    scale: float = 64.0
    margin: float | None = None
    sigma: float = 0.0
    sorted_margins: bool = False

    def __post_init__(self) -> None:
        if self.kind not in MARGINS:
            raise ConfigError(f"margin.kind is {self.kind!r}: must be {', '.join(MARGINS[:-1])} or {MARGINS[-1]}")
        check_positive("margin.scale", self.scale)
        if self.margin is None:
            object.__setattr__(self, "margin", _PUBLISHED[self.kind])
        check_number("margin.margin", self.margin, 0, math.pi / 2 if self.angular else 2)
        check_number("margin.sigma", self.sigma, 0, 1)
        if not isinstance(self.sorted_margins, bool):
            raise ConfigError(f"margin.sorted_margins is {self.sorted_margins!r}: must be true or false")
        if self.elastic != (self.sigma > 0):
            must = "> 0" if self.elastic else "0"
            raise ConfigError(f"margin.sigma is {self.sigma!r}: must be {must} for {self.kind}")
        if self.sorted_margins and not self.elastic:
            raise ConfigError(f"margin.sorted_margins is true: {self.kind} has one margin")

    @property
    def angular(self) -> bool:
        """Whether the margin is added to the angle."""
        return self.kind in ("arcface", "elasticface-arc")

    @property
    def elastic(self) -> bool:
        """Whether the margin is drawn for every image."""
        return self.kind.startswith("elastic")


def draw_margins(config: MarginConfig, count: int, rng: torch.Generator, share: float = 1.0) -> Tensor:
    """The margins of ``count`` images times ``share`` (below 1 while they warm up).  # float32 [count]"""
    assert config.margin is not None
    margins = torch.full((count,), float(config.margin))
    if config.elastic:
        margins = torch.normal(margins, config.sigma, generator=rng)
    return margins * share


def sort_margins(margins: Tensor, cosines: Tensor) -> Tensor:
    """The same margins, the largest for the smallest cosine to the own class (ElasticFace+).  # [n]"""
    out = torch.empty_like(margins)
    out[cosines.argsort(stable=True)] = margins.sort(descending=True).values
    return out


def with_margin(cosine: Tensor, margin: Tensor, angular: bool) -> Tensor:
    """The cosine to the own class after its margin, [n] and [n] -> [n].

    cos(t + m) rises again beyond t = pi - m; there it is continued by cos t - m sin m, as in the
    published ArcFace code, so that a farther vector never has a smaller loss.
    """
    if not angular:
        return cosine - margin
    cosine = cosine.clamp(-1 + _EDGE, 1 - _EDGE)
    turned = torch.cos(torch.acos(cosine) + margin)
    return torch.where(cosine > torch.cos(math.pi - margin), turned, cosine - margin * torch.sin(margin))


@dataclass(frozen=True)
class Judged:
    """The loss of a batch's vectors; the share nearest to their own class, and the mean cosine to it."""

    loss: Tensor
    accuracy: Tensor
    cosine: Tensor


def build_head(config: MarginConfig, classes: int, dim: int) -> MarginHead | ContrastiveHead:
    """What judges vectors of ``dim`` values while they are trained; dropped afterwards."""
    return ContrastiveHead(config) if config.kind == CONTRASTIVE else MarginHead(config, classes, dim)


class MarginHead(nn.Module):
    """One direction a class, and the loss of vectors against them."""

    def __init__(self, config: MarginConfig, classes: int, dim: int) -> None:
        super().__init__()
        self.config = config
        # of about length 1: a shorter direction gets longer gradients, and clipping takes them from the network
        self.weight = nn.Parameter(torch.empty(classes, dim).normal_(std=dim**-0.5))

    def cosines(self, vectors: Tensor) -> Tensor:
        """Vectors float [n, d] of any length -> cosines to every class, float32 [n, classes]."""
        return F.linear(F.normalize(vectors.float()), F.normalize(self.weight)).clamp(-1, 1)

    def logits(self, cosines: Tensor, labels: Tensor, margins: Tensor, team: Team | None = None) -> Tensor:
        """Cosines [n, classes], own classes int64 [n], margins [n] -> logits [n, classes].

        ``margins`` are those of the whole batch where several processes share one (``team``).
        """
        team = team or Team()
        own = cosines.gather(1, labels[:, None]).squeeze(1)
        if self.config.sorted_margins:
            margins = sort_margins(margins, team.gather(own))
        target = with_margin(own, team.mine(margins), self.config.angular)
        return self.config.scale * cosines.scatter(1, labels[:, None], target[:, None])

    def forward(self, vectors: Tensor, labels: Tensor, margins: Tensor, team: Team | None = None) -> Judged:
        """Vectors float [n, d], classes int64 [n], margins [n of the whole batch]."""
        cosines = self.cosines(vectors)
        loss = F.cross_entropy(self.logits(cosines, labels, margins, team), labels)
        own = cosines.detach().gather(1, labels[:, None])
        return Judged(loss, (cosines.argmax(1) == labels).float().mean(), own.mean())


class ContrastiveHead(nn.Module):
    """The images of a batch against each other; it has no weights."""

    def __init__(self, config: MarginConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, vectors: Tensor, labels: Tensor, margins: Tensor, team: Team | None = None) -> Judged:
        """Vectors float [n, d], classes int64 [n], margins [n of the whole batch].

        Every image has another of its class in the batch, or counts for nothing. The classes and
        vectors of all processes are compared.
        """
        team = team or Team()
        vectors = F.normalize(vectors.float())
        everyone, classes = team.gather_with_gradients(vectors), team.gather(labels)
        cosines = vectors @ everyone.T
        itself = team.mine(torch.eye(len(everyone), dtype=torch.bool, device=vectors.device))
        same = (labels[:, None] == classes[None]) & ~itself
        moved = self.config.scale * (cosines - same * team.mine(margins)[:, None])
        chances = moved.masked_fill(itself, -math.inf).log_softmax(dim=1).masked_fill(itself, 0)
        paired = same.any(dim=1)
        count = same.sum(dim=1).clamp(min=1)
        loss = -((chances * same).sum(dim=1) / count)[paired].sum() / max(len(vectors), 1)
        with torch.no_grad():
            nearest = cosines.masked_fill(itself, -2).argmax(dim=1)
            right = same.gather(1, nearest[:, None]).float().mean()
            own = ((cosines * same).sum(dim=1) / count).mean()
        return Judged(loss, right, own)
