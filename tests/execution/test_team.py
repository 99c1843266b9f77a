"""Processes that train as one: who has which rows, and batch norms that see the whole batch."""

from __future__ import annotations

import torch
from torch import nn

from syper_data.execution.team import Team, WholeBatchNorm, WholeBatchNorm1d, join_batch_norms


def test_alone_a_batch_norm_is_the_ordinary_one_to_the_bit() -> None:
    torch.manual_seed(0)
    ours, plain = WholeBatchNorm(4), nn.BatchNorm2d(4)
    x = torch.randn(3, 4, 5, 5)
    assert torch.equal(ours(x), plain(x))
    assert torch.equal(ours.running_var, plain.running_var)


def test_a_process_takes_every_second_row() -> None:
    assert Team(1, 2).mine(torch.arange(6)).tolist() == [1, 3, 5]
    assert Team(0, 2).mine([5, 6, 7, 8]) == [5, 7]
    assert Team().mine([5, 6]) == [5, 6]
    assert Team.current() == Team(0, 1)


def test_joining_changes_the_kind_of_the_batch_norms_and_nothing_else() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.BatchNorm1d(16, affine=False))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    join_batch_norms(network)
    assert [type(m) for m in network][1::2] == [WholeBatchNorm, WholeBatchNorm1d]
    after = network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert network(torch.randn(2, 3, 2, 2)).shape == (2, 16)
