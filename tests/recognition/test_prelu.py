"""The quicker PReLU is torch's: the same values, the same gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from syper_data.recognition.prelu import QuickPReLU, quicken_prelus


@pytest.mark.parametrize("shape", [(3, 5, 7, 4), (2, 64, 40, 40), (1, 3, 1, 1)])
@pytest.mark.parametrize("last", [True, False], ids=["channels last", "contiguous"])
def test_values_and_gradients_are_torchs(shape: tuple[int, ...], last: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    plain = nn.PReLU(shape[1])
    plain.weight.data.uniform_(-0.5, 1.5, generator=rng)
    quick = nn.Sequential(nn.PReLU(shape[1]))
    quick[0].load_state_dict(plain.state_dict())
    quicken_prelus(quick)
    assert type(quick[0]) is QuickPReLU
    x, g = (torch.randn(shape, generator=rng) for _ in range(2))
    x[:, :, 0] = 0.0
    gradients = []
    for network in (plain, quick):
        values = x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        values = values.clone().requires_grad_()
        y = network(values)
        y.backward(g)
        gradients.append((y.detach(), values.grad, next(network.parameters()).grad))
    (y, dx, da), (y2, dx2, da2) = gradients
    assert dx is not None
    assert dx2 is not None
    assert torch.equal(y, y2)
    assert torch.equal(dx, dx2)
    assert torch.allclose(da, da2, rtol=1e-4, atol=1e-4)


def test_vectors_half_precision_and_a_shared_slope_take_torchs_own_way() -> None:
    quick = nn.Sequential(nn.PReLU())
    quicken_prelus(quick)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    assert torch.equal(quick(x), nn.PReLU()(x))
    assert quick(torch.randn(2, 5)).shape == (2, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(quick(x.bfloat16())).all()
