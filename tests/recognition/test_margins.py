"""Margin heads: each as its paper writes it, finite everywhere, elastic ones from a seed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from syper_data.errors import ConfigError
from syper_data.recognition.margins import (
    ContrastiveHead,
    MarginConfig,
    MarginHead,
    build_head,
    draw_margins,
    sort_margins,
    with_margin,
)

N, CLASSES, DIM = 6, 5, 8
ELASTIC = MarginConfig("elasticface-arc", sigma=0.05)


def literal_loss(kind: str, s: float, m: np.ndarray[Any, Any], x: Any, w: Any, y: Any) -> float:
    """The papers' loss, image by image, in float64."""
    total = 0.0
    for i in range(len(x)):
        cos = [float(x[i] @ w[j] / np.linalg.norm(x[i]) / np.linalg.norm(w[j])) for j in range(len(w))]
        own = cos[y[i]]
        target = math.cos(math.acos(own) + m[i]) if kind.endswith(("arcface", "arc")) else own - m[i]
        others = sum(math.exp(s * cos[j]) for j in range(len(w)) if j != y[i])
        total -= math.log(math.exp(s * target) / (math.exp(s * target) + others))
    return total / len(x)


@pytest.fixture(scope="module")
def case() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(3)
    return torch.randn(N, DIM, generator=rng), torch.randint(CLASSES, (N,), generator=rng)


@pytest.mark.parametrize(
    "config",
    [
        MarginConfig("arcface", 16.0),
        MarginConfig("cosface", 16.0),
        MarginConfig("elasticface-arc", 16.0, sigma=0.05),
        MarginConfig("elasticface-cos", 16.0, sigma=0.05),
    ],
    ids=lambda c: c.kind,
)
def test_the_loss_is_the_papers_formula(config: MarginConfig, case: tuple[torch.Tensor, torch.Tensor]) -> None:
    vectors, labels = case
    torch.manual_seed(0)
    head = MarginHead(config, CLASSES, DIM)
    margins = draw_margins(config, N, torch.Generator().manual_seed(5))
    judged = head(vectors, labels, margins)
    loss = judged.loss
    assert torch.equal(loss, F.cross_entropy(head.logits(head.cosines(vectors), labels, margins), labels))
    arrays = (margins.double().numpy(), vectors.double().numpy(), head.weight.detach().double().numpy())
    expected = literal_loss(config.kind, config.scale, *arrays, labels.numpy())
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert (margins.std() > 0) == config.elastic


def test_the_contrastive_loss_is_the_papers_formula() -> None:
    """Khosla et al. 2020, equation 2, image by image in float64; the margin is taken from pairs of a class."""
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(7, DIM, generator=rng), [0, 1, 0, 2, 1, 0, 3]  # the last two classes have one image each
    s, m = 8.0, 0.2
    unit = [v / np.linalg.norm(v) for v in x.double().numpy()]
    total = nearest = 0.0
    for i in range(7):
        others = [a for a in range(7) if a != i]
        moved = {a: s * (float(unit[i] @ unit[a]) - (m if y[a] == y[i] else 0.0)) for a in others}
        positives = [a for a in others if y[a] == y[i]]
        whole = sum(math.exp(v) for v in moved.values())
        if positives:
            total -= sum(math.log(math.exp(moved[p]) / whole) for p in positives) / len(positives)
        nearest += y[max(others, key=lambda a: float(unit[i] @ unit[a]))] == y[i]
    head = build_head(MarginConfig("contrastive", s, m), 4, DIM)
    assert isinstance(head, ContrastiveHead)
    judged = head(3 * x, torch.tensor(y), torch.full((7,), m))
    assert float(judged.loss) == pytest.approx(total / 7, rel=1e-5)
    assert float(judged.accuracy) == pytest.approx(nearest / 7)
    assert not list(head.parameters())


def test_published_margins_are_the_defaults() -> None:
    assert [MarginConfig(k).margin for k in ("arcface", "cosface")] == [0.5, 0.35]
    assert ELASTIC.margin == 0.5


def test_elastic_margins_come_from_the_seed_around_the_margin() -> None:
    drawn = [draw_margins(ELASTIC, 4000, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert float(drawn[0].mean()) == pytest.approx(0.5, abs=0.004)
    assert float(drawn[0].std()) == pytest.approx(0.05, abs=0.003)


def test_margins_warm_up_from_nothing() -> None:
    rng = torch.Generator()
    assert draw_margins(MarginConfig("arcface"), 2, rng, 0.0).tolist() == [0, 0]
    assert draw_margins(MarginConfig("arcface"), 2, rng, 0.5).tolist() == [0.25, 0.25]


def test_sorted_margins_give_the_largest_to_the_farthest_image() -> None:
    margins, cosines = torch.tensor([0.1, 0.4, 0.2, 0.3]), torch.tensor([0.9, -0.5, 0.1, 0.6])
    assert sort_margins(margins, cosines).tolist() == pytest.approx([0.1, 0.4, 0.3, 0.2])


def test_a_sorted_head_uses_them(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    vectors, labels = case
    head = MarginHead(MarginConfig("elasticface-cos", 10.0, sigma=0.05, sorted_margins=True), CLASSES, DIM)
    cosines = head.cosines(vectors)
    margins = torch.linspace(0.1, 0.6, N)
    taken = cosines - head.logits(cosines, labels, margins) / 10
    own = cosines.gather(1, labels[:, None])[:, 0]
    assert torch.allclose(taken.gather(1, labels[:, None])[:, 0], sort_margins(margins, own), atol=1e-5)


@pytest.mark.parametrize("kind", ["arcface", "cosface"])
def test_loss_and_gradient_are_finite_where_a_vector_lies_on_or_opposite_its_class(kind: str) -> None:
    head = MarginHead(MarginConfig(kind), 2, DIM)
    direction = head.weight.detach()[0]
    vectors = torch.stack([direction, -direction, 1e-20 * direction, 0 * direction]).requires_grad_()
    labels = torch.zeros(4, dtype=torch.int64)
    loss = F.cross_entropy(head.logits(head.cosines(vectors), labels, torch.full((4,), 0.5)), labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert head.weight.grad is not None
    assert vectors.grad is not None
    assert torch.isfinite(head.weight.grad).all()
    assert torch.isfinite(vectors.grad).all()


def test_a_farther_vector_never_has_a_larger_target() -> None:
    angles = torch.linspace(0, math.pi, 1000, dtype=torch.float64)
    target = with_margin(torch.cos(angles), torch.full((1000,), 0.5, dtype=torch.float64), angular=True)
    assert bool((target.diff() <= 1e-12).all())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "softmax"}, "margin.kind is 'softmax'"),
        ({"scale": 0}, "margin.scale is 0"),
        ({"margin": -0.1}, "margin.margin is -0.1"),
        ({"kind": "arcface", "margin": 2.0}, "margin.margin is 2.0"),
        ({"margin": float("nan")}, "margin.margin is nan"),
        ({"sigma": 0.1}, "margin.sigma is 0.1: must be 0 for cosface"),
        ({"kind": "elasticface-arc"}, "margin.sigma is 0.0: must be > 0"),
        ({"sorted_margins": True}, "cosface has one margin"),
        ({"sorted_margins": 1}, "must be true or false"),
    ],
)
def test_a_margin_that_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MarginConfig(**values)
