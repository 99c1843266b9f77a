"""A training step at the bundled configuration: the product's against the reference formulation.

The reference modulates weights per image and applies them by one grouped convolution, makes a batch of
fakes of its own for each player, and runs with torch's allocator as it is. Both play the same losses and
augmentation against the same projected discriminator, in float32, on random crops. Each contestant runs
in a process of its own, in turns; ``reference, tuned`` has the product's allocator setting, so that the
formulation's own share shows. ``python benchmarks/training.py [rounds]``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from syper_data.artifacts import artifact_folder
from syper_data.execution.memory import keep_freed_memory
from syper_data.gan.adversary import Fakes, total
from syper_data.gan.crops import Crops
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.training_run import TrainingRun
from timing import cpu_count, machine

CONTESTANTS = ("reference", "reference, tuned", "product")
STEPS, WARM_UP = 4, 1


class ReferenceRun(TrainingRun):
    """The same networks and losses; another way to compute a step."""

    def advance(self) -> dict[str, float]:
        """One step of both players, each on fakes of its own."""
        n, rng = self.recipe.batch, torch.Generator().manual_seed(self.step)
        with torch.no_grad():
            fakes = self._reference_fakes(rng)
            fake = self.adversary.look(self.augmenter(fakes.images, n, rng))
            real = self.adversary.look(self.augmenter(self._reals(rng).images, n, rng))
        self.adversary.trained.requires_grad_(True)
        terms = self.adversary.discriminator_terms(
            self.adversary.judge(real, None), self.adversary.judge(fake, None)
        )
        self.adversary_optimiser.zero_grad()
        total(terms).backward()
        self.adversary_optimiser.step()

        self.adversary.trained.requires_grad_(False)
        fakes = self._reference_fakes(rng)
        seen = self.adversary.look(self.augmenter(fakes.images, n, rng))
        terms |= self.adversary.generator_terms(self.adversary.judge(seen, None), seen, fakes, real)
        self.generator_optimiser.zero_grad()
        (terms["loss_g"].value + terms["excess"].weight * terms["excess"].value).backward()
        self.generator_optimiser.step()
        self.step += 1
        self._update_average()
        return {name: float(term.value.detach()) for name, term in terms.items()}

    def _reference_fakes(self, rng: torch.Generator) -> Fakes:
        from stylegan2_reference import reference_synthesis  # beside the tests; timing knows where

        z = self._normal(rng, self.recipe.batch, self.recipe.generator.z_dim)
        w = self.generator.mapping(z)
        self.generator.mapping.track_average(w)
        noise = self._noise(rng, self.recipe.batch)
        return Fakes(reference_synthesis(self.generator, w, "random", noise, transposed=True), z, None)


def run(contestant: str) -> None:
    """The child: print the median seconds a step, and the losses of the last one."""
    torch.set_num_threads(cpu_count())
    if contestant != "reference":
        keep_freed_memory()
    recipe = TrainingRecipe.read(artifact_folder("generator") / "recipes" / "syper-vis-128-v1.yaml")
    pixels = np.random.default_rng(0).integers(0, 256, (256, 16, 16, 3), dtype=np.uint8)
    side = recipe.generator.resolution
    smooth = F.interpolate(torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), (side, side), mode="bilinear")
    pixels = smooth.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()
    crops = Crops(pixels, "", (None,) * len(pixels), {side: len(pixels)}, np.zeros(0, np.int64))
    made = (TrainingRun if contestant == "product" else ReferenceRun)(recipe, crops)
    seconds = []
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        figures = made.advance()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": statistics.median(seconds[WARM_UP:]), **figures}))


def compare(rounds: int) -> None:
    """Print seconds a step, kimg an hour and the ratio to the reference."""
    found: dict[str, list[dict[str, float]]] = {c: [] for c in CONTESTANTS}
    for _ in range(rounds):
        for contestant in CONTESTANTS:
            done = subprocess.run([sys.executable, __file__, "run", contestant], capture_output=True, check=True)
            found[contestant].append(json.loads(done.stdout))
    median = {c: statistics.median(line["seconds"] for line in lines) for c, lines in found.items()}
    for contestant, seconds in median.items():
        last = found[contestant][-1]
        print(
            f"{contestant}: {seconds:.2f} s a step of 32, {32 * 3.6 / seconds:.0f} kimg/h, "
            f"ratio {median['reference'] / seconds:.2f}, loss_d {last['loss_d']:.2f}, loss_g {last['loss_g']:.2f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(sys.argv[2])
    else:
        print(machine())
        compare(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
