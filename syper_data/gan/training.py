"""Training: a StyleGAN2 generator against a projected discriminator, resumable to the step.

Every random draw of step ``i`` comes from a generator seeded with (recipe seed, i), and the order
of the images from (recipe seed, epoch), so a resumed run continues exactly where it was killed.
One batch of fakes serves both players of a step: the discriminator learns on the detached feature
pyramid, then the generator is judged by the updated discriminator through the same pyramid, which
saves a generator pass and a feature-net pass.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from syper_data.dataset.atomic import remove_leftovers, write_atomically
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, SyperError
from syper_data.gan.augment import augment
from syper_data.gan.feature_net import FEATURE_NET, load_feature_net
from syper_data.gan.generator import Generator
from syper_data.gan.generator_file import save_generator
from syper_data.gan.projected import (
    ProjectedDiscriminator,
    hinge_discriminator_loss,
    hinge_generator_loss,
)
from syper_data.gan.recipe import TrainingRecipe
from syper_data.imaging.pixels import resize
from syper_data.imaging.source import SourceImage, canonical
from syper_data.rendering.sheet import contact_sheet, encode_sheet

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Report = Callable[[dict[str, Any]], None]

_CHECKPOINT = "checkpoint.pt"
_SHEET_COLUMNS, _SHEET_ROWS = 10, 6


def load_crops(images: Iterable[SourceImage], resolution: int) -> tuple[Pixels, str]:
    """All crops in canonical orientation as one array uint8 [n, r, r, 3], and a digest of it.

    Square images of another size are resized (Lanczos, antialiased).

    Raises:
        InputError: an image is not square, or there are fewer than two.
    """
    crops: list[Pixels] = []
    for image in images:
        h, w = image.pixels.shape[:2]
        if h != w:
            raise InputError(f"{image.where}: {w}x{h} pixels, a crop is square")
        crops.append(resize(canonical(image), resolution, "lanczos"))
    if len(crops) < 2:
        raise InputError("training needs at least two crops")
    array = np.stack(crops)
    return array, hashlib.sha256(array.tobytes()).hexdigest()


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
        z_dim = self.recipe.generator.z_dim
        z = np.stack([np.random.RandomState(seed).randn(z_dim) for seed in range(count)]).astype(np.float32)
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


def train_generator(
    recipe: TrainingRecipe, images: Iterable[SourceImage], out: Path, report: Report | None = None
) -> Path:
    """Train until the recipe's length is reached; the same call again resumes.

    Writes ``recipe.yaml``, ``training.jsonl``, ``checkpoint.pt``, ``generator.safetensors`` (the
    averaged weights) and ``sheets/KIMG.png`` into ``out``; returns the generator file.

    Raises:
        InputError: unusable crops, or ``out`` holds a run of another recipe or other data.
        LockedError: another process is training into ``out``.
    """
    out = Path(out)
    with folder_lock(out):
        remove_leftovers(out)
        crops, digest = load_crops(images, recipe.generator.resolution)
        run = TrainingRun(recipe, crops, digest)
        _resume(run, out)
        write_atomically(out / "recipe.yaml", recipe.write_text())
        log = out / "training.jsonl"
        started, first_step = time.monotonic(), run.step
        totals: dict[str, float] = {}
        count = 0
        next_snapshot = run.kimg + recipe.snapshot_kimg
        while not run.done:
            figures = run.advance()
            if not all(math.isfinite(value) for value in figures.values()):
                raise SyperError(f"{out}: training diverged at {run.kimg:.1f} kimg; lower the learning rates")
            for name, value in figures.items():
                totals[name] = totals.get(name, 0.0) + value
            count += 1
            if run.kimg >= next_snapshot or run.done:
                next_snapshot = run.kimg + recipe.snapshot_kimg
                seconds = time.monotonic() - started
                line = {
                    "kimg": round(run.kimg, 3),
                    "of_kimg": recipe.total_kimg,
                    "seconds": round(seconds, 1),
                    "kimg_per_hour": round((run.step - first_step) * recipe.batch * 3.6 / seconds, 1),
                    **{name: round(total / count, 4) for name, total in totals.items()},
                }
                totals, count = {}, 0
                _snapshot(run, out)
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                if report is not None:
                    report(line)
        return out / "generator.safetensors"


@torch.no_grad()
def _lower_contrast(generator: Generator, factor: float = 0.1) -> None:
    """Start from faint images: the sum of all resolutions at unit variance is several times the
    contrast of a photograph, and unlearning it cost about 10 kimg of saturated colour."""
    for block in generator.synthesis.blocks():
        block.torgb.weight.mul_(factor)


def _resume(run: TrainingRun, out: Path) -> None:
    path = out / _CHECKPOINT
    if not path.exists():
        return
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["recipe"] != run.recipe.to_dict():
            raise InputError(f"{out}: holds a run of another recipe; choose another --out")
        if state["data_sha256"] != run.data_sha256:
            raise InputError(f"{out}: holds a run on other images; choose another --out")
        run.restore(state)
    except InputError:
        raise
    except Exception as error:  # torch.load and load_state_dict raise many types on damaged files
        name = type(error).__name__
        raise InputError(f"{path}: not a readable checkpoint ({name}); remove it to start over") from error


def _snapshot(run: TrainingRun, out: Path) -> None:
    write_atomically(out / "sheets" / f"{run.kimg:08.3f}.png", encode_sheet(run.sheet()))
    summary = {
        "kimg": round(run.kimg, 3),
        "recipe": run.recipe.name,
        "images": len(run.crops),
        "data_sha256": run.data_sha256,
        "adversary": f"projected discriminator on {FEATURE_NET}",
        "seed": run.recipe.seed,
    }
    save_generator(run.average, out / "generator.safetensors", spectrum=run.recipe.spectrum, summary=summary)
    buffer = io.BytesIO()  # torch.save itself hides a full disk behind a RuntimeError
    torch.save(run.state(), buffer)
    write_atomically(out / _CHECKPOINT, buffer.getvalue())
