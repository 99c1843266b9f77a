"""The recipe of a quantization: one frozen record for the YAML file, the API and the training record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from syper_data.dataset.manifest import MAX_SEED
from syper_data.errors import ConfigError
from syper_data.execution.run_files import read_recipe_values
from syper_data.gan.config import check_number, check_positive, check_whole
from syper_data.quantization.bits import LEAST, MOST, BitsConfig
from syper_data.recognition.augment import AugmentConfig
from syper_data.recognition.distillation import refuse_unknown
from syper_data.recognition.recipe import OptimiserConfig, ScheduleConfig, check_choice, mapping, read_part

LOSSES = ("mse", "cosine")
RANGES = ("learned", "observed")


@dataclass(frozen=True)
class LossConfig:
    """What the student is asked for, of vectors of length 1.

    ``mse`` is the mean square of their difference to the teacher's, ``cosine`` is 1 - their cosine (d / 2 times
    as large for vectors of length d). ``features`` is the weight of another term: the squared difference of the
    sums on the skip path, as a share of the teacher's variance, averaged over the sums.
    """

    kind: str = "cosine"
    features: float = 0.0

    def __post_init__(self) -> None:
        check_choice("loss.kind", self.kind, LOSSES)
        check_number("loss.features", self.features)


@dataclass(frozen=True)
class RangesConfig:
    """Where the ranges of weights and activations come from.

    ``learned``: fitted to weights and ``calibration`` images, then learned with a rate of ``rate`` times the
    optimiser's. ``observed``: the extremes, of weights as they are, of activations a running average.
    They stay as they are beyond the share ``until`` of the length, or beyond ``steps``.
    """

    kind: str = "learned"
    rate: float = 1.0
    until: float = 1.0
    steps: int | None = None
    calibration: int = 64

    def __post_init__(self) -> None:
        check_choice("ranges.kind", self.kind, RANGES)
        check_number("ranges.rate", self.rate)
        check_number("ranges.until", self.until, 0, 1)
        if self.steps is not None:
            check_whole("ranges.steps", self.steps, 0, 10**9)
        check_whole("ranges.calibration", self.calibration, 1, 100_000)


@dataclass(frozen=True)
class BitStage:
    """At least so many ``bits`` everywhere until this share of the length."""

    until: float
    bits: int

    def __post_init__(self) -> None:
        check_number("stages.until", self.until, 0, 1)
        check_whole("stages.bits", self.bits, LEAST, MOST)


@dataclass(frozen=True)
class QuantizationRecipe:
    """Everything that determines a quantization, apart from teacher and images.

    The length is ``steps`` of ``batch`` images, or ``epochs`` (as many images as the data have, each; a generator
    has no end). ``stages`` lower the bits on the way: each holds until a share of the length, the last bits, at
    least those of the last step, are ``bits``. A generator's images are those of the seeds from ``seed_start`` on,
    at truncation ``psi``. The log gets a line, and the run a checkpoint, every ``snapshot_steps``;
    ``validation_images`` are kept out of training; the log says how near student and teacher are on them.
    """

    name: str = "quantized"
    bits: BitsConfig = field(default_factory=BitsConfig)
    steps: int | None = None
    epochs: float | None = None
    batch: int = 32
    loss: LossConfig = field(default_factory=LossConfig)
    ranges: RangesConfig = field(default_factory=RangesConfig)
    stages: tuple[BitStage, ...] = ()
    augment: AugmentConfig = field(default_factory=AugmentConfig.none)
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig("adamw", 5e-4, 0.0))
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    seed: int = 0
    seed_start: int = 0
    psi: float = 1.0
    snapshot_steps: int = 50
    validation_images: int = 64
    description: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "description"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"{name} is {getattr(self, name)!r}: must be a text")
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError("give the length as steps or as epochs, one of them")
        if self.steps is not None:
            check_whole("steps", self.steps, 1, 100_000_000)
        else:
            check_positive("epochs", self.epochs)
        check_whole("batch", self.batch, 1, 4096)
        check_whole("seed", self.seed, 0, 2**31 - 1)
        check_whole("seed_start", self.seed_start, 0, MAX_SEED)
        check_number("psi", self.psi, 0, 10)
        check_whole("snapshot_steps", self.snapshot_steps, 1, 10_000_000)
        check_whole("validation_images", self.validation_images, 1, 1_000_000)
        if self.schedule.margin_warmup:
            raise ConfigError("schedule.margin_warmup: a quantization has no margin")
        shares, widths = [s.until for s in self.stages], [s.bits for s in self.stages]
        if shares != sorted(set(shares)) or widths != sorted(set(widths), reverse=True):
            raise ConfigError("stages: until must rise and bits fall")

    def length(self, images: int) -> int:
        """Steps of a run on so many images."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * images / self.batch))

    def bits_at(self, share: float) -> BitsConfig:
        """The bits after this share of the length: ``bits``, none below the stage's."""
        least = next((stage.bits for stage in self.stages if share < stage.until), LEAST)
        raised = {
            name: max(least, value)
            for name in ("weights", "activations", "first", "last", "residual")
            if (value := getattr(self.bits, name)) is not None
        }
        others = tuple(
            replace(other, **{n: max(least, v) for n in ("weights", "activations") if (v := getattr(other, n))})
            for other in self.bits.other
        )
        return replace(self.bits, **raised, other=others)

    def ranges_move(self, step: int, steps: int) -> bool:
        """Whether this step changes the ranges."""
        if self.ranges.steps is not None:
            return step < self.ranges.steps
        return step < self.ranges.until * steps

    def to_dict(self) -> dict[str, Any]:
        """A YAML-ready dictionary; :meth:`from_dict` reads it back."""
        values = {**asdict(self), "bits": self.bits.to_dict(), "stages": [asdict(stage) for stage in self.stages]}
        values["schedule"]["milestones"] = list(self.schedule.milestones)
        return {k: v for k, v in values.items() if k not in ("steps", "epochs") or v is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> QuantizationRecipe:
        """Read a dictionary; an unknown key is a :class:`ConfigError`."""
        refuse_unknown(values, cls, "")
        parts: dict[str, Any] = {
            name: read_part(name, kind, values[name]) for name, kind in _PARTS.items() if name in values
        }
        if "bits" in values:
            parts["bits"] = BitsConfig.from_dict(mapping("bits", values["bits"]))
        stages = values.get("stages", ())
        if not isinstance(stages, list | tuple):
            raise ConfigError(f"stages is {stages!r}: must be a list")
        for stage in stages:
            if set(mapping("stages", stage)) != {"until", "bits"}:
                raise ConfigError("each of the stages has until and bits")
        parts["stages"] = tuple(BitStage(**stage) for stage in stages)
        return cls(**{**values, **parts})

    @classmethod
    def read(cls, path: Path) -> QuantizationRecipe:
        """Read a YAML recipe file.

        Raises:
            InputError: the file is unreadable or no YAML mapping.
            ConfigError: a setting is unknown or out of range.
        """
        values = read_recipe_values(path, "--preset syper, --preset quantface")
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def write_text(self) -> str:
        """The recipe as YAML text."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


_PARTS: dict[str, type] = {
    "loss": LossConfig,
    "ranges": RangesConfig,
    "augment": AugmentConfig,
    "optimiser": OptimiserConfig,
    "schedule": ScheduleConfig,
}
