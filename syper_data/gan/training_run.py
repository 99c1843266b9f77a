"""The state of a training run and one step of it: a generator against an adversary.

Every random draw of step ``i`` comes from a generator seeded with (recipe seed, i), and the order
of the images from (recipe seed, epoch), so a resumed run continues exactly where it was killed.
One batch of fakes serves both players of a step: the adversary learns on what it saw of them
(detached), then the generator is judged by the updated adversary through the same graph, which
saves a generator pass and, for the projected adversary, a feature-net pass.

A player's loss is a sum of named terms (:class:`~syper_data.gan.adversary.Term`); a new one is an
entry in the adversary's ``generator_terms`` or ``discriminator_terms``. Losses and gradients are
checked before they change a weight.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from syper_data.errors import DivergedError
from syper_data.execution.team import Team
from syper_data.gan.adversary import Fakes, Reals, Seen, Term, Terms, total
from syper_data.gan.augment import Augmenter
from syper_data.gan.crops import Crops, Pixels
from syper_data.gan.generator import Generator
from syper_data.gan.generator_file import GeneratorFile
from syper_data.gan.initialisation import lower_contrast, start_from
from syper_data.gan.preparation import adam, build_adversary, check_team, settle_classes
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.regularisation import (
    PATH_LENGTH_DECAY,
    PATH_LENGTH_SHRINK,
    draw_crossover,
    mix_styles,
    path_lengths,
)
from syper_data.gan.synthesis import Key, latents, one_hot

_SURVEY = 2048  # crops from which the adversary learns what is usual before the first step
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_BLOCK = 10  # images of the averaged generator made together


class TrainingRun:
    """The state of a run: networks, optimisers, step; ``advance`` makes one step.

    ``initial`` is the generator that both the trained and the averaged network start from.

    Raises:
        ConfigError: the recipe does not fit the data, the initial generator or the processes.
    """

    def __init__(self, recipe: TrainingRecipe, crops: Crops, initial: GeneratorFile | None = None) -> None:
        self.recipe = recipe = settle_classes(recipe, crops)
        self.crops = crops
        self.team = Team.current()
        check_team(recipe, self.team)
        self.dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(recipe.seed)
        self.generator = Generator(recipe.generator).to(self.device)
        lower_contrast(self.generator)
        self.init_from = None if initial is None else initial.sha256
        if initial is not None:
            start_from(self.generator, initial, crops.classes)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.adversary = build_adversary(recipe, self.dtype).to(self.device)
        self.adversary.calibrate(self._to_float(self.crops.pixels[: 2 * recipe.batch]))
        self.adversary.survey(self._survey())
        self.augmenter = Augmenter(recipe.augment)
        self._paths = recipe.adversary.path_length_interval if recipe.adversary.path_length_weight else 0
        self.path_length_mean = torch.zeros((), device=self.device)
        self.generator_optimiser = adam(self.generator, recipe.generator_lr, self._paths)
        self.adversary_optimiser = adam(
            self.adversary.trained, recipe.discriminator_lr, self.adversary.penalty_interval
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
        """One step of both players; returns the values of the losses' terms and the mean logits.

        Raises:
            DivergedError: a loss or a gradient is not finite; no weight was changed by it.
        """
        state = np.random.SeedSequence((self.recipe.seed, self.step)).generate_state(1)
        rng = torch.Generator().manual_seed(int(state[0]))  # torch takes 32 bits
        self._set_learning_rates()
        n = self.recipe.batch

        fakes = self._fakes(rng)
        seen = self.adversary.look(self.augmenter(fakes.images, n, rng, self.team))
        with torch.no_grad():
            reals = self._reals(rng)
            real = self.adversary.look(self.augmenter(reals.images, n, rng, self.team))

        values = self._teach_adversary(real, reals.c, seen.detach(), fakes.c)
        values |= self._teach_generator(fakes, seen, real, reals.c)
        if self.adversary.penalty_interval and self.step % self.adversary.penalty_interval == 0:
            values |= self._penalise_adversary(real.images, reals.c)
        if self._paths and self.step % self._paths == 0:
            values |= self._penalise_paths(rng)

        joined = self.team.mean(torch.stack([v.float() for v in values.values()]))
        figures = dict(zip(values, joined.tolist(), strict=True))
        self.augmenter.observe(figures.pop("sign"), n)
        self.step += 1
        self._update_average()
        return figures

    def _teach_adversary(
        self, real: Seen, real_c: Tensor | None, fake: Seen, fake_c: Tensor | None
    ) -> dict[str, Tensor]:
        self.adversary.trained.requires_grad_(True)
        real_logits, fake_logits = self.adversary.judge_both(real, real_c, fake, fake_c)
        terms = self.adversary.discriminator_terms(real_logits, fake_logits)
        values = self._descend(self.adversary_optimiser, self.adversary.trained, terms)
        with torch.no_grad():
            values["real"] = torch.stack([x.mean() for x in real_logits]).mean()
            values["fake"] = torch.stack([x.mean() for x in fake_logits]).mean()
            values["sign"] = torch.cat([x.flatten() for x in real_logits]).sign().mean()
        return values

    def _teach_generator(self, fakes: Fakes, seen: Seen, real: Seen, real_c: Tensor | None) -> dict[str, Tensor]:
        self.adversary.trained.requires_grad_(False)
        logits = self.adversary.judge_fakes(real, real_c, seen, fakes.c)
        terms = self.adversary.generator_terms(logits, seen, fakes, real)
        return self._descend(self.generator_optimiser, self.generator, terms)

    def _penalise_adversary(self, reals: Tensor, c: Tensor | None) -> dict[str, Tensor]:
        self.adversary.trained.requires_grad_(True)
        return self._descend(self.adversary_optimiser, self.adversary.trained, self.adversary.penalty(reals, c))

    def _penalise_paths(self, rng: torch.Generator) -> dict[str, Tensor]:
        config, n = self.recipe.generator, self.recipe.batch // PATH_LENGTH_SHRINK
        z = self._normal(rng, n, config.z_dim)
        c = self._fake_labels(rng, n)
        noise = self._noise(rng, n)
        directions = self._normal(rng, n, config.img_channels, config.resolution, config.resolution)
        ws = self.generator.mapping(z, c)[:, None].repeat(1, config.num_ws, 1)
        images = self.generator.synthesis(ws, noise_mode="random", noise=noise, dtype=self.dtype)
        lengths = path_lengths(images, ws, directions)
        self.path_length_mean.lerp_(self.team.mean(lengths.mean()), PATH_LENGTH_DECAY)
        penalty = (lengths - self.path_length_mean).square().mean()
        weight = self.recipe.adversary.path_length_weight * self._paths
        return self._descend(self.generator_optimiser, self.generator, {"path": Term(penalty, weight)})

    def _descend(self, optimiser: torch.optim.Optimizer, network: nn.Module, terms: Terms) -> dict[str, Tensor]:
        """One step down the sum of the terms; returns their values."""
        loss = total(terms)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.team.average_gradients(network.parameters())
        norm = torch.nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
        if not torch.isfinite(loss) or not torch.isfinite(norm):
            what = ", ".join(f"{name} {float(term.value.detach()):.3g}" for name, term in terms.items())
            raise DivergedError(
                f"training diverged at {self.kimg:.3f} kimg ({what}, gradient norm {float(norm):.3g})"
            )
        optimiser.step()
        return {name: term.value.detach() for name, term in terms.items()}

    def _fakes(self, rng: torch.Generator) -> Fakes:
        n, config, share = self.recipe.batch, self.recipe.generator, self.recipe.adversary.style_mixing
        z = self._latents(rng)
        noise = self._noise(rng, n)
        c = self._fake_labels(rng, n)
        ws = self.generator.mapping(z, c)
        self.generator.mapping.track_average(self.team.mean(ws.mean(dim=0, keepdim=True)))
        if share:
            other = self.generator.mapping(self._normal(rng, n, config.z_dim), c)
            crossover = self.team.mine(draw_crossover(n, config.num_ws, share, rng))
            ws = mix_styles(ws, other, crossover, config.num_ws)
        images = self.generator.synthesis(ws, noise_mode="random", noise=noise, dtype=self.dtype)
        return Fakes(images.expand(-1, 3, -1, -1), z, c)

    def _latents(self, rng: torch.Generator) -> Tensor:
        """This process's z of the step, float32 [n, z_dim]; ``_rows`` says which crops are shown beside."""
        return self._normal(rng, self.recipe.batch, self.recipe.generator.z_dim)

    def _rows(self) -> list[int]:
        """This process's crops of the step: every crop once an epoch, in the epoch's order."""
        n, count = self.recipe.batch, len(self.crops)
        places = [divmod(self.step * n + i, count) for i in range(n)]
        return self.team.mine([int(self._order(epoch)[i]) for epoch, i in places])

    def _reals(self, rng: torch.Generator) -> Reals:
        rows = self._rows()
        x = self._to_float(self.crops.pixels[rows])
        if self.recipe.mirror:
            flip = self.team.mine(torch.rand(self.recipe.batch, generator=rng) < 0.5)
            x[flip] = x[flip].flip(3)
        return Reals(x, self._one_hot(rows), rows)

    def _normal(self, rng: torch.Generator, *shape: int) -> Tensor:
        """This process's rows of standard normal draws for the whole batch."""
        return self.team.mine(torch.randn(*shape, generator=rng)).to(self.device)

    def _noise(self, rng: torch.Generator, n: int) -> list[Tensor]:
        sides = [layer.resolution for layer in self.generator.synthesis.layers()]
        return [self._normal(rng, n, 1, side, side) for side in sides]

    def _fake_labels(self, rng: torch.Generator, n: int) -> Tensor | None:
        """The classes of ``n`` random crops: fakes have the data's distribution of classes."""
        if not self.recipe.generator.c_dim:
            return None
        return self._one_hot(self.team.mine(torch.randint(len(self.crops), (n,), generator=rng).tolist()))

    def _one_hot(self, rows: list[int]) -> Tensor | None:
        c_dim = self.recipe.generator.c_dim
        c = one_hot(self.crops.labels[rows].tolist(), c_dim) if c_dim else None
        return None if c is None else c.to(self.device)

    def _survey(self) -> Iterator[Tensor]:
        """Up to 2,048 crops, drawn by the recipe's seed, in batches."""
        rows = np.random.default_rng((self.recipe.seed, 2)).permutation(len(self.crops))[:_SURVEY]
        return (self._to_float(self.crops.pixels[rows[i : i + 50]]) for i in range(0, len(rows), 50))

    def _to_float(self, crops: Pixels) -> Tensor:
        x = torch.from_numpy(crops).permute(0, 3, 1, 2).to(self.device).float() / 127.5 - 1
        if self.recipe.generator.img_channels == 1:  # a generator of grey images sees grey crops
            x = torch.tensordot(x.new_tensor(_LUMA), x, dims=([0], [1]))[:, None].expand(-1, 3, -1, -1)
        return x

    def _order(self, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        if getattr(self, "_order_epoch", None) != epoch:
            self._order_epoch = epoch
            self._order_rows = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(self.crops))
        return self._order_rows

    def _set_learning_rates(self) -> None:
        decay = self.recipe.decay_kimg
        factor = min(1.0, max(self.recipe.total_kimg - self.kimg, 0.0) / decay) if decay else 1.0
        for optimiser in (self.generator_optimiser, self.adversary_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * factor

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
    def samples(self, keys: list[Key]) -> Pixels:
        """Images uint8 [n, r, r, 3] of the averaged generator, psi 1, constant noise."""
        images: list[Pixels] = []
        for start in range(0, len(keys), _BLOCK):
            part = keys[start : start + _BLOCK]
            z = torch.from_numpy(latents([seed for seed, _ in part], self.recipe.generator.z_dim))
            c = one_hot([label for _, label in part], self.recipe.generator.c_dim)
            x = self.average(z.to(self.device), None if c is None else c.to(self.device), dtype=self.dtype)
            x = (x.expand(-1, 3, -1, -1) * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
            images += list(x.permute(0, 2, 3, 1).cpu().numpy())
        return np.stack(images)

    @torch.no_grad()
    def spaces(self, images: Pixels) -> list[Tensor]:
        """What the adversary's ``spaces`` makes of images uint8 [n, r, r, 3].  # float32 [n, d] each"""
        parts = [self.adversary.spaces(self._to_float(images[i : i + 50])) for i in range(0, len(images), 50)]
        return [torch.cat(space).cpu() for space in zip(*parts, strict=True)]

    def finite(self) -> bool:
        """Whether every weight of both players and of the average is a number."""
        networks = (self.generator, self.average, self.adversary.trained)
        return all(bool(torch.isfinite(p).all()) for network in networks for p in network.parameters())

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`restore` needs; tensors and plain values only."""
        return {
            "recipe": self.recipe.to_dict(),
            "data_sha256": self.crops.sha256,
            "init_from": self.init_from,
            "step": self.step,
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "adversary": self.adversary.state(),
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "adversary_optimiser": self.adversary_optimiser.state_dict(),
            "path_length_mean": self.path_length_mean.clone(),
            "augment": self.augmenter.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same recipe and the same data."""
        self.step = int(state["step"])
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.adversary.restore(state["adversary"])
        self.generator_optimiser.load_state_dict(state["generator_optimiser"])
        self.adversary_optimiser.load_state_dict(state["adversary_optimiser"])
        self.path_length_mean.copy_(state["path_length_mean"])
        self.augmenter.restore(state["augment"])
