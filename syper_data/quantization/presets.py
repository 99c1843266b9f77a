"""Recipes by name: the default, and the published schedules as far as they are known.

``syper`` (Kolf et al., "SyPer", Image and Vision Computing 2023, and its published settings): squared difference
of vectors of length 1, SGD with Nesterov momentum 0.9, rate 0.01 x batch / 512, weight decay 5e-4, ten epochs, a
tenth of the rate from the ninth on, gradients clipped at 5, batches of 16, ranges fixed after five epochs.
``quantface`` (Boutros et al., "QuantFace", ICPR 2022, and its published settings): the same loss, optimiser, decay
and clipping, rate 0.1 x batch / 512, eleven epochs, a tenth of the rate in the last one, batches of 128, ranges
fixed after 300 steps. The numbers are theirs, the rounding is ours: ranges are the extremes, as there, of every
row of the weights, and of activations a running average whose pace is our choice.
"""

from __future__ import annotations

from syper_data.errors import UsageError
from syper_data.quantization.bits import BitsConfig
from syper_data.quantization.recipe import LossConfig, QuantizationRecipe, RangesConfig
from syper_data.recognition.augment import AugmentConfig
from syper_data.recognition.recipe import OptimiserConfig, ScheduleConfig

PRESETS = ("syper", "quantface")


def default_recipe() -> QuantizationRecipe:
    """Sized for two CPU cores and half an hour with MobileFaceNet, sampling included."""
    return QuantizationRecipe(
        "default",
        steps=500,
        loss=LossConfig("cosine", features=0.5),
        augment=_LIGHT,
        description="Learned ranges, vectors and skip path matched, images shifted and relit a little.",
    )


def preset(name: str) -> QuantizationRecipe:
    """The recipe of this name.

    Raises:
        UsageError: there is none.
    """
    if name == "syper":
        return _published(
            name, batch=16, rate=0.01, epochs=10, decay=0.8, ranges=RangesConfig("observed", until=0.5)
        )
    if name == "quantface":
        ranges = RangesConfig("observed", steps=300)
        return _published(name, batch=128, rate=0.1, epochs=11, decay=10 / 11, ranges=ranges)
    raise UsageError(f"--preset {name}: must be {' or '.join(PRESETS)}")


_LIGHT = AugmentConfig(
    shift=0.04, scale=0.05, rotation=5.0, brightness=0.1, contrast=0.15, gamma=0.2, colour=0.0, blur=0.1, jpeg=0.0,
    low_resolution=0.0, smallest_resolution=1.0, noise=0.0, noise_deviation=0.0, cutout=0.0,
)  # fmt: skip


def _published(
    name: str, *, batch: int, rate: float, epochs: int, decay: float, ranges: RangesConfig
) -> QuantizationRecipe:
    return QuantizationRecipe(
        name,
        bits=BitsConfig(first=None, last=None, residual=None),
        epochs=epochs,
        batch=batch,
        loss=LossConfig("mse"),
        ranges=ranges,
        optimiser=OptimiserConfig("sgd", rate * batch / 512, 5e-4, 0.9, 5.0),
        schedule=ScheduleConfig("step", warmup=0.0, milestones=(decay,), factor=0.1),
    )
