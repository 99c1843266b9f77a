"""The training recipe: one frozen record for the YAML file, the API and the training record."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from syper_data.errors import ConfigError, InputError
from syper_data.gan.augment import AugmentConfig
from syper_data.gan.config import GeneratorConfig, check_number, check_positive, check_whole

SPECTRA = ("vis", "nir")
_FOLDER_NAME = re.compile(r"[^./\x00-\x1f][^/\x00-\x1f]*")


@dataclass(frozen=True)
class TrainingRecipe:
    """Everything that determines a training run, apart from the images.

    ``total_kimg`` is the length in thousands of real images shown; the learning rates fall
    linearly to zero over the last ``decay_kimg`` of them. ``ema_kimg`` is the half-life of the
    averaged generator, shortened early to ``ema_rampup`` of the images seen so far.
    ``range_penalty`` weighs the mean square by which pixels leave [-1, 1]: the frozen feature net
    saturates there and would give the generator no gradient back (without it, training was seen to
    drift into saturated colours within 3 kimg). ``mirror``
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
    range_penalty: float = 100.0
    mirror: bool = False
    adversary_width: int = 64
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    snapshot_kimg: float = 4.0
    description: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _FOLDER_NAME.fullmatch(self.name):
            raise ConfigError(f"name is {self.name!r}: must be a plain folder name")
        if self.spectrum not in SPECTRA:
            raise ConfigError(f"spectrum is {self.spectrum!r}: must be vis or nir")
        if self.precision not in ("bf16", "fp32"):
            raise ConfigError(f"precision is {self.precision!r}: must be bf16 or fp32")
        for name in ("total_kimg", "generator_lr", "discriminator_lr", "snapshot_kimg"):
            check_positive(name, getattr(self, name))
        for name in ("decay_kimg", "ema_kimg", "ema_rampup", "range_penalty"):
            check_number(name, getattr(self, name))
        check_whole("batch", self.batch, 2, 4096)
        check_whole("seed", self.seed, 0, 2**31 - 1)
        check_whole("adversary_width", self.adversary_width, 1, 1024)
        if not isinstance(self.mirror, bool):
            raise ConfigError(f"mirror is {self.mirror!r}: must be true or false")
        if not isinstance(self.description, str):
            raise ConfigError(f"description is {self.description!r}: must be a text")
        if self.generator.resolution < 128:
            raise ConfigError(
                f"generator.resolution is {self.generator.resolution}: the projected discriminator "
                "needs at least 128 px"
            )
        if self.generator.c_dim or self.generator.img_channels != 3:
            raise ConfigError("training makes unconditional generators of 3 channels: c_dim 0, img_channels 3")

    def to_dict(self) -> dict[str, Any]:
        """A YAML-ready dictionary."""
        return {**asdict(self), "generator": self.generator.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingRecipe:
        """Read a dictionary; an unknown or missing key is a :class:`ConfigError`."""
        _refuse_unknown(values, cls, "")
        missing = [n for n in ("name", "spectrum", "generator", "total_kimg") if n not in values]
        if missing:
            raise ConfigError(f"the recipe has no {missing[0]!r}")
        parts = {"generator": values["generator"], "augment": values.get("augment", {})}
        for part, content in parts.items():
            if not isinstance(content, dict):
                raise ConfigError(f"{part} is {content!r}: must be a mapping")
        _refuse_unknown(parts["augment"], AugmentConfig, "augment.")
        generator = GeneratorConfig.from_dict(parts["generator"])
        return cls(**{**values, "generator": generator, "augment": AugmentConfig(**parts["augment"])})

    @classmethod
    def read(cls, path: Path) -> TrainingRecipe:
        """Read a YAML recipe file."""
        try:
            values = yaml.safe_load(Path(path).read_text("utf-8"))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
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


def _refuse_unknown(values: dict[str, Any], record: type, prefix: str) -> None:
    unknown = sorted(set(values) - {f.name for f in fields(record)}, key=str)
    if unknown:
        raise ConfigError(f"unknown recipe field {prefix + str(unknown[0])!r}")
