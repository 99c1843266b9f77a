"""Data-parallel training: several processes take one step as if they were one.

Every process makes the same random draws for the whole batch and takes every ``size``-th row of
them, so that groups of images (``minibatch_std``) never straddle processes; gradients are averaged;
batch norms see the whole batch. Process groups are opened by the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Rows = TypeVar("Rows", bound=Sequence[Any] | Tensor)


@dataclass(frozen=True)
class Team:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> Team:
        """The open process group, or this process alone."""
        if not dist.is_available() or not dist.is_initialized():
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def mine(self, batch: Rows) -> Rows:
        """This process's rows of what was drawn for the whole batch."""
        return batch if self.size == 1 else batch[self.rank :: self.size]  # type: ignore[return-value]

    def mean(self, x: Tensor) -> Tensor:
        """The mean of a tensor over the processes, without gradients."""
        if self.size == 1:
            return x.detach()
        y = x.detach().clone()
        dist.all_reduce(y)
        return y / self.size

    def gather(self, x: Tensor) -> Tensor:
        """The whole batch's rows in their order, of which each process has :meth:`mine`; no gradients."""
        if self.size == 1:
            return x.detach()
        parts = [torch.empty_like(x) for _ in range(self.size)]
        dist.all_gather(parts, x.detach().contiguous())
        return torch.stack(parts, dim=1).flatten(0, 1)

    def gather_with_gradients(self, x: Tensor) -> Tensor:
        """:meth:`gather`, through which the gradients of every process come back to the rows' owner."""
        if self.size == 1:
            return x
        y: Tensor = _Gathered.apply(x, self)  # type: ignore[no-untyped-call]
        return y

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes; one message for all of them."""
        if self.size == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        if not grads:
            return
        joined = self.mean(torch.cat([g.flatten() for g in grads]))
        for grad, part in zip(grads, torch.split(joined, [g.numel() for g in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.clone()
        dist.all_reduce(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        y = grads[0].contiguous().clone()
        dist.all_reduce(y)
        return y


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, team: Team) -> Tensor:
        ctx.team = team
        return team.gather(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        y = grads[0].contiguous().clone()
        dist.all_reduce(y)
        return ctx.team.mine(y), None


class _OverProcesses(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the batch of all processes; alone it is the ordinary one.

    (``SyncBatchNorm`` does this on GPUs only.) Two passes, the mean first, in float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        size = Team.current().size
        if size == 1 or not self.training:
            return super().forward(x)
        y = x.float()
        axes = [axis for axis in range(y.ndim) if axis != 1]
        channels = (-1, *(1 for _ in axes[1:]))
        count = y.numel() // y.shape[1] * size  # every process has as many rows
        mean: Tensor = _SumOverProcesses.apply(y.sum(axes)) / count  # type: ignore[no-untyped-call]
        y = y - mean.view(channels)
        squares: Tensor = _SumOverProcesses.apply(y.square().sum(axes))  # type: ignore[no-untyped-call]
        self._track(mean.detach(), squares.detach() / max(count - 1, 1))
        y = y * torch.rsqrt(squares / count + self.eps).view(channels)
        if self.weight is not None:
            y = torch.addcmul(self.bias.view(channels), y, self.weight.view(channels))
        return y.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        share = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
        self.num_batches_tracked.add_(1)


class WholeBatchNorm(_OverProcesses, nn.BatchNorm2d):
    """:class:`torch.nn.BatchNorm2d` over the batch of all processes."""


class WholeBatchNorm1d(_OverProcesses, nn.BatchNorm1d):
    """:class:`torch.nn.BatchNorm1d` over the batch of all processes."""


def join_batch_norms(network: nn.Module) -> None:
    """Let every ordinary batch norm of a network see the batch of all processes from now on; names
    and values of its weights stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = WholeBatchNorm
        elif type(module) is nn.BatchNorm1d:
            module.__class__ = WholeBatchNorm1d
