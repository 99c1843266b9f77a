"""Rounding against its definition, written with plain operations, and gradients against autograd's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from syper_data.quantization.rounding import (
    activation_levels,
    as_half,
    quantise,
    quantise_prelu,
    quantise_weights,
    step_of,
    weight_codes,
    weight_levels,
    zero_of,
)


def passed(x: Tensor) -> Tensor:
    """Rounded, the gradient passed on."""
    return x + (x.round() - x).detach()


def defined(x: Tensor, step: Tensor, zero: Tensor, levels: int) -> Tensor:
    """LSQ+ with a whole zero point, one operation after the other; ``zero`` in levels."""
    z = passed(zero)
    return (passed((x / step + z).clamp(0, levels)) - z) * step


@pytest.mark.parametrize("bits", range(2, 9))
def test_activations_lie_on_the_levels_and_zero_stays_zero(bits: int) -> None:
    x = torch.randn(3, 5, 7, 7, generator=torch.Generator().manual_seed(bits)) * 3
    x[0, 0, 0, :3] = 0
    log_range, zero = torch.tensor(2.3), torch.tensor(0.3)
    y = quantise(x, log_range, zero, bits)
    step, z = step_of(log_range, activation_levels(bits)), zero_of(zero, activation_levels(bits))
    codes = y / step + z
    assert torch.equal(codes, codes.round())
    assert codes.min() >= 0
    assert codes.max() <= 2**bits - 1
    assert (y[0, 0, 0, :3] == 0).all()
    assert torch.equal(y, quantise(y, log_range, zero, bits))
    wanted = defined(x, step, torch.tensor(float(z)), 2**bits - 1)
    assert (y - wanted).abs().max() <= 1e-5 * float(step) or (y != wanted).float().mean() < 0.01  # ties


@pytest.mark.parametrize(
    ("shape", "slope"),
    [((2, 6, 5, 5), False), ((4, 8), False), ((2, 6, 5, 5), True), ((1, 200, 30, 30), True)],
    ids=["map", "vector", "behind a prelu", "several pieces"],
)
def test_gradients_are_those_of_the_definition(shape: tuple[int, ...], slope: bool) -> None:
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=rng).mul_(2)
    g = torch.randn(shape, generator=rng)
    slopes = torch.rand(shape[1], generator=rng) - 0.2
    bits, levels = 4, 15
    ours = [t.clone().requires_grad_() for t in (x, slopes, torch.tensor(2.1), torch.tensor(0.4))]
    theirs = [t.clone().double().requires_grad_() for t in (x, slopes)]
    step = step_of(torch.tensor(2.1), levels).double().requires_grad_()
    zero = torch.tensor(0.4 * levels, dtype=torch.float64).requires_grad_()
    if slope:
        quantise_prelu(*ours, bits).backward(g)
        defined(torch.prelu(*theirs), step, zero, levels).backward(g.double())
    else:
        quantise(ours[0], ours[2], ours[3], bits).backward(g)
        defined(theirs[0], step, zero, levels).backward(g.double())
    assert torch.allclose(ours[0].grad.double(), theirs[0].grad, atol=1e-6)
    if slope:
        assert torch.allclose(ours[1].grad.double(), theirs[1].grad, rtol=1e-4, atol=1e-3)
    log_step = float(step.grad * step.detach()) * 0.6931471805599453
    assert float(ours[2].grad) == pytest.approx(log_step, rel=1e-3, abs=2e-2)
    assert float(ours[3].grad) == pytest.approx(float(zero.grad) * levels, rel=1e-3, abs=1e-2)


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_are_rounded_a_row_and_their_codes_survive_a_second_rounding(bits: int) -> None:
    w = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(bits))
    log_range = w.flatten(1).abs().amax(1).log2() - 0.3
    rounded = quantise_weights(w, log_range, bits)
    codes = weight_codes(w, log_range, bits)
    assert codes.abs().max() <= weight_levels(bits)
    assert torch.equal(rounded, codes * step_of(log_range, weight_levels(bits))[:, None, None, None])
    assert torch.equal(weight_codes(rounded, log_range, bits), codes)


def test_weights_learn_where_they_are_inside_and_ranges_what_the_definition_says() -> None:
    w = torch.randn(5, 9, generator=torch.Generator().manual_seed(2)).requires_grad_()
    log_range = torch.full((5,), 0.2).requires_grad_()
    g = torch.randn(5, 9, generator=torch.Generator().manual_seed(3))
    quantise_weights(w, log_range, 4).backward(g)
    plain = w.detach().double().requires_grad_()
    step = step_of(log_range, 7).double()[:, None].requires_grad_()
    (passed((plain / step).clamp(-7, 7)) * step).backward(g.double())
    outside = plain.detach().abs() > 7 * step.detach()
    assert outside.any()
    assert (w.grad[outside] == 0).all()
    inside = plain.detach().abs() < 6.9 * step.detach()
    assert torch.equal(w.grad[inside], g[inside])
    assert torch.allclose(
        log_range.grad.double(), (step.grad * step.detach())[:, 0] * 0.693147, rtol=1e-3, atol=1e-4
    )


def test_a_slope_is_used_as_the_file_holds_it_and_still_learns() -> None:
    x = torch.tensor([0.1234567, 3.0], requires_grad=True)
    y = as_half(x)
    y.sum().backward()
    assert torch.equal(y, x.detach().half().float())
    assert torch.equal(x.grad, torch.ones(2))
