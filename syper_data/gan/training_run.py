"""The state of a training run and one step of it: a generator against a projected discriminator.

Every random draw of step ``i`` comes from a generator seeded with (recipe seed, i), and the order
of the images from (recipe seed, epoch), so a resumed run continues exactly where it was killed.
One batch of fakes serves both players of a step: the discriminator learns on the detached feature
pyramid, then the generator is judged by the updated discriminator through the same pyramid, which
saves a generator pass and a feature-net pass.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from syper_data.gan.augment import augment
from syper_data.gan.feature_net import load_feature_net
from syper_data.gan.generator import Generator
from syper_data.gan.projected import (
    ProjectedDiscriminator,
    hinge_discriminator_loss,
    hinge_generator_loss,
)
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.synthesis import latents
from syper_data.rendering.sheet import contact_sheet

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_SHEET_COLUMNS, _SHEET_ROWS = 10, 6


class TrainingRun:
    """The state of a run: networks, optimisers, step; ``advance`` makes one step."""

    def __init__(self, recipe: TrainingRecipe, crops: Pixels, data_sha256: str) -> None:
        self.recipe = recipe
        self.crops = crops
        self.data_sha256 = data_sha256
        self.dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(recipe.seed)
        self.generator = Generator(recipe.generator).to(self.device)
        _lower_contrast(self.generator)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.adversary = ProjectedDiscriminator(
            load_feature_net(self.dtype),
            resolution=recipe.generator.resolution,
            width=recipe.adversary_width,
            seed=recipe.seed,
            dtype=self.dtype,
        ).to(self.device)
        self.adversary.calibrate(self._to_float(self.crops[: 2 * recipe.batch]))
        betas = (0.0, 0.99)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), recipe.generator_lr, betas)
        self.adversary_optimiser = torch.optim.Adam(
            self.adversary.trained_parameters(), recipe.discriminator_lr, betas
        )
        self.step = 0

    @property
    def kimg(self) -> float:
        """Thousands of real images shown so far."""
        return self.step * self.recipe.batch / 1000

    @property
    def done(self) -> bool:
        """Whether the recipe's length is reached."""
        return self.kimg >= self.recipe.total_kimg

    def advance(self) -> dict[str, float]:
        """One step of both players; returns the losses and mean logits."""
        recipe, n = self.recipe, self.recipe.batch
        state = np.random.SeedSequence((recipe.seed, self.step)).generate_state(1)  # torch takes 32 bits
        rng = torch.Generator().manual_seed(int(state[0]))
        rate = self._learning_rate_factor()
        for optimiser, lr in (
            (self.generator_optimiser, recipe.generator_lr),
            (self.adversary_optimiser, recipe.discriminator_lr),
        ):
            for group in optimiser.param_groups:
                group["lr"] = lr * rate

        z = torch.randn(n, recipe.generator.z_dim, generator=rng).to(self.device)
        noise = [
            torch.randn(n, 1, layer.resolution, layer.resolution, generator=rng).to(self.device)
            for layer in self.generator.synthesis.layers()
        ]
        w = self.generator.mapping(z)
        self.generator.mapping.track_average(w)
        fakes = self.generator.synthesis(w, noise_mode="random", noise=noise, dtype=self.dtype)
        fake_pyramid = self.adversary.project(augment(fakes, recipe.augment, rng))
        with torch.no_grad():
            reals = augment(self._real_batch(rng), recipe.augment, rng)
            real_pyramid = self.adversary.project(reals)

        self.adversary.requires_grad_(False)
        self.adversary.heads.requires_grad_(True)
        self.adversary_optimiser.zero_grad(set_to_none=True)
        real_logits = self.adversary.judge(real_pyramid)
        fake_logits = self.adversary.judge([p.detach() for p in fake_pyramid])
        adversary_loss = hinge_discriminator_loss(real_logits, fake_logits)
        adversary_loss.backward()  # type: ignore[no-untyped-call]
        self.adversary_optimiser.step()

        self.adversary.heads.requires_grad_(False)
        self.generator_optimiser.zero_grad(set_to_none=True)
        generator_loss = hinge_generator_loss(self.adversary.judge(fake_pyramid))
        excess = F.relu(fakes.abs() - 1).square().mean()
        (generator_loss + recipe.range_penalty * excess).backward()  # type: ignore[no-untyped-call]
        self.generator_optimiser.step()

        self.step += 1
        self._update_average()
        return {
            "loss_d": float(adversary_loss.detach()),
            "loss_g": float(generator_loss.detach()),
            "excess": float(excess.detach()),
            "real": float(torch.stack([r.detach().mean() for r in real_logits]).mean()),
            "fake": float(torch.stack([f.detach().mean() for f in fake_logits]).mean()),
        }

    def _real_batch(self, rng: torch.Generator) -> Tensor:
        n, total = self.recipe.batch, len(self.crops)
        first = self.step * n
        rows = [self._order((first + i) // total)[(first + i) % total] for i in range(n)]
        x = self._to_float(self.crops[rows])
        if self.recipe.mirror:
            flip = torch.rand(n, generator=rng) < 0.5
            x[flip] = x[flip].flip(3)
        return x

    def _to_float(self, crops: Pixels) -> Tensor:
        return torch.from_numpy(crops).permute(0, 3, 1, 2).to(self.device).float() / 127.5 - 1

    def _order(self, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        if getattr(self, "_order_epoch", None) != epoch:
            self._order_epoch = epoch
            self._order_rows = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(self.crops))
        return self._order_rows

    def _learning_rate_factor(self) -> float:
        decay = self.recipe.decay_kimg
        return min(1.0, max(self.recipe.total_kimg - self.kimg, 0.0) / decay) if decay else 1.0

    @torch.no_grad()
    def _update_average(self) -> None:
        half_life = min(self.recipe.ema_kimg, self.kimg * self.recipe.ema_rampup)
        beta = 0.5 ** (self.recipe.batch / 1000 / max(half_life, 1e-8))
        mine: list[Tensor] = list(self.average.parameters())
        theirs: list[Tensor] = list(self.generator.parameters())
        torch._foreach_lerp_(mine, theirs, 1 - beta)
        for buffer, source in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            buffer.copy_(source)

    @torch.no_grad()
    def sheet(self) -> Pixels:
        """Images of the averaged generator for seeds 0..59, psi 1, constant noise."""
        count = _SHEET_COLUMNS * _SHEET_ROWS
        z = latents(range(count), self.recipe.generator.z_dim)
        images: list[Pixels] = []
        for part in torch.split(torch.from_numpy(z), 10):
            x = self.average(part.to(self.device), dtype=self.dtype)
            x = (x * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
            images += list(x.permute(0, 2, 3, 1).cpu().numpy())
        return contact_sheet(images, _SHEET_COLUMNS)

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`restore` needs; tensors and plain values only."""
        return {
            "recipe": self.recipe.to_dict(),
            "data_sha256": self.data_sha256,
            "step": self.step,
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "heads": self.adversary.heads.state_dict(),
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "adversary_optimiser": self.adversary_optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same recipe and the same data."""
        self.step = int(state["step"])
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.adversary.heads.load_state_dict(state["heads"])
        self.generator_optimiser.load_state_dict(state["generator_optimiser"])
        self.adversary_optimiser.load_state_dict(state["adversary_optimiser"])


@torch.no_grad()
def _lower_contrast(generator: Generator, factor: float = 0.1) -> None:
    """Start from faint images: the sum of all resolutions at unit variance is several times the
    contrast of a photograph, and unlearning it cost about 10 kimg of saturated colour."""
    for block in generator.synthesis.blocks():
        block.torgb.weight.mul_(factor)
