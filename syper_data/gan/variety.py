"""A term that asks for variety: the energy distance between fakes and reals in feature space.

An adversary rewards every fake that looks real, also when all look alike. The energy distance
(Szekely & Rizzo 2013) between two distributions X (real) and Y (fake),

    D = 2 E|X - Y| - E|X - X'| - E|Y - Y'|,

is zero only where they are equal: its gradient draws every fake towards the reals and away from the
other fakes. It needs no network of its own and no step of its own, since the projected adversary
has the features of both batches already.

Each space is reduced to its leading principal components, whitened, and the distance is taken in
random slices of a few of them, where the shape of the distribution shows and not only its spread. The
leading ones only: over 64 components, fakes were seen to make up for the missing spread of the first
eight (half of the reals') with that of the last, which hold what the eye does not see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from syper_data.errors import InputError
from syper_data.execution.team import Team

COMPONENTS = 24  # principal components kept of each space
SLICES, SLICE_WIDTH = 16, 4
REAL_STEPS, FAKE_STEPS = 8, 4  # earlier batches that this step's fakes are compared with
_SMALLEST_VARIANCE = 1e-8


class VarietyTerm:
    """The energy distance over several spaces, with a memory of the last steps' batches.

    ``fit`` must be called once, with the spaces of real images. Features are float32 [n, d], one
    tensor a space, of this process's share of the batch. With ``keep_reals`` the fakes are compared
    with all images of ``fit`` at every step and not with the last batches: many more reals, where
    their features do not change from step to step.
    """

    def __init__(self, seed: int, *, keep_reals: bool = False) -> None:
        self.seed = seed
        self.keep_reals = keep_reals
        self.kept: list[Tensor] = []
        self.count = 0
        self.bases: list[tuple[Tensor, Tensor]] = []
        self.reals: list[list[Tensor]] = []  # newest first, one list of spaces a step
        self.fakes: list[list[Tensor]] = []

    @torch.no_grad()
    def fit(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Find each space's mean and whitened principal components from batches of real features.

        Raises:
            InputError: the images do not differ in one of the spaces.
        """
        spaces = [torch.cat(list(parts)) for parts in zip(*batches, strict=True)]
        self.bases, self.kept = [], []
        for i, x in enumerate(spaces):
            mean = x.mean(dim=0)
            centred = x - mean
            variances, axes = torch.linalg.eigh(centred.T @ centred / max(len(x) - 1, 1))
            variances, axes = variances.flip(0)[:COMPONENTS], axes.flip(1)[:, :COMPONENTS]
            kept = variances > max(float(variances[0]) * 1e-6, _SMALLEST_VARIANCE)
            if not bool(kept.any()):
                raise InputError("the training images are all alike: there is no variety to learn")
            variances = variances[kept]
            self.bases.append((mean, axes[:, kept] * variances.rsqrt()))
            if self.keep_reals:
                self.kept.append(self._reduce(i, x))

    def value(self, fakes: Sequence[Tensor], reals: Sequence[Tensor], team: Team) -> Tensor:
        """The part of the distance that the fakes can change, ``E|X - Y| - E|Y - Y'| / 2``, summed over
        the spaces; differentiable in ``fakes``. Remembers both batches; with ``keep_reals``, ``reals`` is
        empty and only the fakes are.

        Fakes of other processes and of earlier steps are constants here. Holding one argument of
        ``E|Y - Y'|`` constant takes half of its gradient, which is the half in the formula.
        """
        mine = [self._reduce(i, x) for i, x in enumerate(fakes)]
        with torch.no_grad():
            real_now = [team.gather(self._reduce(i, x)) for i, x in enumerate(reals)]
            fake_now = [team.gather(x.detach()) for x in mine]
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 % 2**31 + self.count)
        values: list[Tensor] = []
        for i, y in enumerate(mine):
            x = self.kept[i] if self.keep_reals else torch.cat([real_now[i], *(step[i] for step in self.reals)])
            others = torch.cat([fake_now[i], *(step[i] for step in self.fakes)])
            width = min(SLICE_WIDTH, y.shape[1])
            axes = [torch.randperm(y.shape[1], generator=rng)[:width].to(y.device) for _ in range(SLICES)]
            values.append(_energy(*(torch.stack([t[:, a] for a in axes]) for t in (y, x, others))))
        self.count += 1
        self.reals = [] if self.keep_reals else [real_now, *self.reals][:REAL_STEPS]
        self.fakes = [fake_now, *self.fakes][:FAKE_STEPS]
        return torch.stack(values).sum()

    def _reduce(self, i: int, x: Tensor) -> Tensor:
        mean, axes = self.bases[i]
        y: Tensor = (x.float() - mean) @ axes
        return y

    def state(self) -> dict[str, Any]:
        """What a resumed run needs besides :meth:`fit`."""
        return {"count": self.count, "reals": self.reals, "fakes": self.fakes}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.count = int(state["count"])
        self.reals, self.fakes = list(state["reals"]), list(state["fakes"])


def _energy(y: Tensor, x: Tensor, others: Tensor) -> Tensor:
    """``E|X - Y| - E|Y - Y'| / 2`` a root of a dimension, averaged over slices.  # [s, n, d] each

    ``others`` begins with the rows of ``y`` (of all processes): each row's distance to itself is 0
    and is not counted among the pairs. The second mean's gradient is whole, see ``value``.
    """
    pulled = torch.cdist(y, x).mean()
    pushed = torch.cdist(y, others).sum() / (y.shape[0] * y.shape[1] * max(others.shape[1] - 1, 1))
    half: Tensor = pushed - pushed.detach() / 2  # the value of one half, the gradient of one whole
    value: Tensor = (pulled - half) / float(y.shape[-1]) ** 0.5
    return value
