"""The training recipe: one frozen record for the YAML file, the API and the training record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from syper_data.errors import ConfigError, InputError
from syper_data.gan.augment import AugmentConfig
from syper_data.gan.config import GeneratorConfig

SPECTRA = ("vis", "nir")


@dataclass(frozen=True)
class TrainingRecipe:
    """Everything that determines a training run, apart from the images.

    ``total_kimg`` is the length in thousands of real images shown; the learning rates fall
    linearly to zero over the last ``decay_kimg`` of them. ``ema_kimg`` is the half-life of the
    averaged generator, shortened early to ``ema_rampup`` of the images seen so far. ``mirror``
    flips images at random (never with a canonical orientation).
    """

    name: str
    spectrum: str
    generator: GeneratorConfig
    total_kimg: float
    batch: int = 32
    seed: int = 0
    precision: str = "bf16"
    generator_lr: float = 2e-3
    discriminator_lr: float = 2e-4
    decay_kimg: float = 0.0
    ema_kimg: float = 5.0
    ema_rampup: float = 0.1
    mirror: bool = False
    adversary_width: int = 64
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    snapshot_kimg: float = 4.0
    description: str = ""

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise ConfigError(f"name is {self.name!r}: must be a plain folder name")
        if self.spectrum not in SPECTRA:
            raise ConfigError(f"spectrum is {self.spectrum!r}: must be vis or nir")
        if self.precision not in ("bf16", "fp32"):
            raise ConfigError(f"precision is {self.precision!r}: must be bf16 or fp32")
        for name, low in (
            ("total_kimg", 0),
            ("generator_lr", 0),
            ("discriminator_lr", 0),
            ("snapshot_kimg", 0),
        ):
            value = getattr(self, name)
            if not low < value < float("inf"):
                raise ConfigError(f"{name} is {value!r}: must be a positive number")
        for name in ("decay_kimg", "ema_kimg", "ema_rampup"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)!r}: must be >= 0")
        if self.batch < 2:
            raise ConfigError(f"batch is {self.batch}: must be at least 2")
        if self.generator.resolution < 128:
            raise ConfigError(
                f"generator.resolution is {self.generator.resolution}: the projected discriminator "
                "needs at least 128 px"
            )
        if self.generator.c_dim or self.generator.img_channels != 3:
            raise ConfigError(
                "training makes unconditional generators of 3 channels: c_dim 0, img_channels 3"
            )

    def to_dict(self) -> dict[str, Any]:
        """A YAML-ready dictionary."""
        return {**asdict(self), "generator": self.generator.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingRecipe:
        """Read a dictionary; an unknown or missing key is a :class:`ConfigError`."""
        known = {f.name: f for f in fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f"unknown recipe field {unknown[0]!r}")
        missing = [n for n in ("name", "spectrum", "generator", "total_kimg") if n not in values]
        if missing:
            raise ConfigError(f"the recipe has no {missing[0]!r}")
        values = dict(values)
        try:
            values["generator"] = GeneratorConfig.from_dict(dict(values["generator"]))
            values["augment"] = AugmentConfig(**dict(values.get("augment", {})))
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the recipe is not readable: {error}") from error

    @classmethod
    def read(cls, path: Path) -> TrainingRecipe:
        """Read a YAML recipe file."""
        try:
            values = yaml.safe_load(Path(path).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            line = (str(error).splitlines() or [""])[0]
            raise InputError(f"{path}: not a readable recipe ({line})") from error
        if not isinstance(values, dict):
            raise InputError(f"{path}: a recipe is a YAML mapping")
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def write_text(self) -> str:
        """The recipe as YAML text."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
