"""The energy distance: its value, its gradient, and what following it does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from syper_data.errors import InputError
from syper_data.execution.team import Team
from syper_data.gan import variety
from syper_data.gan.variety import VarietyTerm

ALONE = Team()


def points(count: int, width: int, seed: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def fitted(*spaces: Tensor, seed: int = 0) -> VarietyTerm:
    term = VarietyTerm(seed)
    term.fit([[x[:50] for x in spaces], [x[50:] for x in spaces]])
    return term


def mean_distance(a: Tensor, b: Tensor, *, pairs: int) -> float:
    """The sum over all pairs, one at a time, over ``pairs``."""
    return sum(float((x - y).norm()) for x in a for y in b) / pairs


def test_the_value_is_the_energy_distance_without_the_part_of_the_reals() -> None:
    x, y = points(100, 3, 1), points(7, 3, 2) * 2 + 1
    term = fitted(x)
    mean, axes = term.bases[0]
    a, b = (x[:9] - mean) @ axes, (y - mean) @ axes
    expected = mean_distance(b, a, pairs=63) - mean_distance(b, b, pairs=42) / 2
    # three components: a slice of at most four is the whole space
    assert float(term.value([y], [x[:9]], ALONE)) == pytest.approx(expected / 3**0.5, rel=1e-5)


def test_whitened_reals_have_unit_variance_on_every_component() -> None:
    x = points(400, 6, 3) * torch.tensor([100.0, 10, 1, 1, 0.5, 0.01]) + 5
    mean, axes = fitted(x).bases[0]
    assert axes.shape == (6, 5)  # the last has less than a millionth of the first's variance
    white = (x - mean) @ axes
    assert torch.allclose(white.T @ white / 399, torch.eye(5), atol=1e-3)


def test_the_gradient_is_half_of_the_whole_energy_distances() -> None:
    x, y = points(60, 3, 4), points(8, 3, 5).requires_grad_()
    term = fitted(x)
    (mine,) = torch.autograd.grad(term.value([y], [x], ALONE), y)
    mean, axes = term.bases[0]
    a, b = (x - mean) @ axes, (y - mean) @ axes
    pushed = torch.stack([(b[i] - b[j]).norm() for i in range(8) for j in range(8) if i != j]).mean()
    distance = 2 * (b[:, None] - a[None]).norm(dim=2).mean() - pushed
    (theirs,) = torch.autograd.grad(distance / 3**0.5, y)
    assert torch.allclose(mine, theirs / 2, atol=1e-6)


def test_fakes_that_are_all_alike_take_the_place_and_the_spread_of_the_reals() -> None:
    scale, place = torch.tensor([3.0, 2.0]), torch.tensor([10.0, -1.0])
    x = points(200, 2, 6) * scale + place
    y = (points(24, 2, 7) * 0.01 + place + scale).requires_grad_()
    term = fitted(x)
    optimiser = torch.optim.Adam([y], 0.1)
    for step in range(150):
        at = step * 20 % 200
        loss = term.value([y], [x[at : at + 20]], ALONE)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert torch.allclose((y.mean(dim=0) - place) / scale, torch.zeros(2), atol=0.4)
    assert torch.allclose(y.std(dim=0) / scale, torch.ones(2), atol=0.4)


def test_a_term_that_keeps_its_reals_compares_with_all_of_them_at_every_step() -> None:
    x, y = points(100, 3, 14), points(7, 3, 15) * 2 + 1
    term = VarietyTerm(0, keep_reals=True)
    term.fit([[x[:50]], [x[50:]]])
    mean, axes = term.bases[0]
    a, b = (x - mean) @ axes, (y - mean) @ axes
    expected = mean_distance(b, a, pairs=700) - mean_distance(b, b, pairs=42) / 2
    assert float(term.value([y], [], ALONE)) == pytest.approx(expected / 3**0.5, rel=1e-5)
    assert term.reals == [] and len(term.fakes) == 1


def test_earlier_batches_are_remembered_up_to_their_limit() -> None:
    x = points(100, 5, 10)
    term = fitted(x, x[:, :2])
    for step in range(12):
        batch = points(6, 5, 20 + step)
        term.value([batch, batch[:, :2]], [x[:6], x[:6, :2]], ALONE)
    assert len(term.reals) == variety.REAL_STEPS and len(term.fakes) == variety.FAKE_STEPS
    mean, axes = term.bases[1]
    assert torch.equal(term.fakes[0][1], (points(6, 5, 31)[:, :2] - mean) @ axes)


def test_a_restored_memory_gives_the_same_values() -> None:
    x = points(100, 9, 11)
    first, second = fitted(x), fitted(x)
    first.value([points(6, 9, 12)], [x[:6]], ALONE)
    second.restore(first.state())
    assert torch.equal(
        first.value([points(6, 9, 13)], [x[6:12]], ALONE), second.value([points(6, 9, 13)], [x[6:12]], ALONE)
    )
    third = fitted(x)  # without the memory the value is another
    assert third.value([points(6, 9, 13)], [x[6:12]], ALONE) != first.value([points(6, 9, 13)], [x[6:12]], ALONE)


def test_images_that_are_all_alike_are_refused() -> None:
    with pytest.raises(InputError, match="all alike"):
        fitted(torch.ones(100, 4))
