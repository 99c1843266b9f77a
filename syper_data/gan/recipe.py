"""The training recipe: one frozen record for the YAML file, the API and the training record."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from syper_data.dataset.manifest import CLASSES
from syper_data.errors import ConfigError
from syper_data.execution.run_files import read_recipe_values
from syper_data.gan.ada import AdaConfig
from syper_data.gan.augment import AugmentConfig, DiffAugmentConfig
from syper_data.gan.config import GeneratorConfig, check_number, check_positive, check_whole
from syper_data.gan.projected import ProjectedConfig
from syper_data.gan.stylegan2 import StyleGAN2Config
from syper_data.imaging.spectrum import SPECTRA

_FOLDER_NAME = re.compile(r"[^./\x00-\x1f][^/\x00-\x1f]*")
_KINDS: dict[str, dict[str, type]] = {
    "adversary": {"projected": ProjectedConfig, "stylegan2": StyleGAN2Config},
    "augment": {"diffaugment": DiffAugmentConfig, "ada": AdaConfig},
}
# what the recipe of the release syper-vis-128-v1 says at its top level
_MOVED = {"adversary_width": "width", "range_penalty": "range_penalty"}


@dataclass(frozen=True)
class TrainingRecipe:
    """Everything that determines a training run, apart from the images.

    ``total_kimg`` is the length in thousands of real images shown; the learning rates fall
    linearly to zero over the last ``decay_kimg`` of them. ``ema_kimg`` is the half-life of the
    averaged generator, shortened early to ``ema_rampup`` of the images seen so far. ``mirror``
    flips images at random (never with a canonical orientation).

    ``generator.c_dim`` may be ``auto``: as many classes as the data have. A class is a ``subject``,
    or an ``eye``, that is a subject and a side (``class_of``).

    ``adversary`` and ``augment`` have a ``kind``; without one they are projected and diffaugment.
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
    class_of: str = "subject"
    adversary: ProjectedConfig | StyleGAN2Config = field(default_factory=ProjectedConfig)
    augment: AugmentConfig = field(default_factory=DiffAugmentConfig)
    snapshot_kimg: float = 4.0
    description: str = ""
    auto_classes: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _FOLDER_NAME.fullmatch(self.name):
            raise ConfigError(f"name is {self.name!r}: must be a plain folder name")
        for name, choices in (("spectrum", SPECTRA), ("precision", ("bf16", "fp32")), ("class_of", CLASSES)):
            value = getattr(self, name)
            if value not in choices:
                raise ConfigError(f"{name} is {value!r}: must be {' or '.join(choices)}")
        for name in ("total_kimg", "generator_lr", "discriminator_lr", "snapshot_kimg"):
            check_positive(name, getattr(self, name))
        for name in ("decay_kimg", "ema_kimg", "ema_rampup"):
            check_number(name, getattr(self, name))
        check_whole("batch", self.batch, 2, 4096)
        check_whole("seed", self.seed, 0, 2**31 - 1)
        if not isinstance(self.mirror, bool):
            raise ConfigError(f"mirror is {self.mirror!r}: must be true or false")
        if not isinstance(self.description, str):
            raise ConfigError(f"description is {self.description!r}: must be a text")
        self._check_networks()

    def _check_networks(self) -> None:
        if self.generator.img_channels not in (1, 3):
            raise ConfigError(
                f"generator.img_channels is {self.generator.img_channels}: training makes 1 (grey) or 3 (colour)"
            )
        if isinstance(self.adversary, StyleGAN2Config):
            self.adversary.discriminator(self.generator)
        elif (self.adversary.input_size or self.generator.resolution) < 128:
            raise ConfigError(
                f"generator.resolution is {self.generator.resolution}: the projected discriminator "
                "needs at least 128 px; set adversary.input_size to 128"
            )
        if isinstance(self.augment, AdaConfig) and self.generator.resolution < 16:
            raise ConfigError(f"generator.resolution is {self.generator.resolution}: ada needs at least 16 px")

    @property
    def conditional(self) -> bool:
        """Whether the generator has classes."""
        return self.auto_classes or self.generator.c_dim > 0

    def unfinished(self, kimg: object) -> str | None:
        """How far a generator is that was shown so many thousand images, in words; None at the end of the run, or
        where nobody knows."""
        if isinstance(kimg, int | float) and kimg < self.total_kimg:
            return f"the run stands at {kimg:g} of its recipe's {self.total_kimg:g} thousand images"
        return None

    def with_classes(self, count: int) -> TrainingRecipe:
        """The recipe with ``c_dim`` settled."""
        return replace(self, generator=replace(self.generator, c_dim=count), auto_classes=False)

    def to_dict(self) -> dict[str, Any]:
        """A YAML-ready dictionary."""
        values = {**asdict(self), "generator": self.generator.to_dict()}
        if values.pop("auto_classes"):
            values["generator"]["c_dim"] = "auto"
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingRecipe:
        """Read a dictionary; an unknown or missing key is a :class:`ConfigError`."""
        values = _moved(values)
        _refuse_unknown(values, {f.name for f in fields(cls)} - {"auto_classes"}, "")
        missing = [n for n in ("name", "spectrum", "generator", "total_kimg") if n not in values]
        if missing:
            raise ConfigError(f"the recipe has no {missing[0]!r}")
        generator = values["generator"]
        if not isinstance(generator, dict):
            raise ConfigError(f"generator is {generator!r}: must be a mapping")
        auto = generator.get("c_dim") == "auto"
        parts = {
            "generator": GeneratorConfig.from_dict({**generator, "c_dim": 0} if auto else generator),
            "adversary": _read_part("adversary", values.get("adversary", {}), "projected"),
            "augment": _read_part("augment", values.get("augment", {}), "diffaugment"),
        }
        return cls(**{**values, **parts, "auto_classes": auto})

    @classmethod
    def read(cls, path: Path) -> TrainingRecipe:
        """Read a YAML recipe file."""
        values = read_recipe_values(path, "generator/recipes")
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def write_text(self) -> str:
        """The recipe as YAML text."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def _moved(values: dict[str, Any]) -> dict[str, Any]:
    """Settings of the projected adversary that early recipes have at the top level."""
    old = {new: values[name] for name, new in _MOVED.items() if name in values}
    if not old:
        return values
    if "adversary" in values:
        name = next(name for name in _MOVED if name in values)
        raise ConfigError(f"{name} belongs into the section adversary, as {_MOVED[name]}")
    return {**{k: v for k, v in values.items() if k not in _MOVED}, "adversary": {"kind": "projected", **old}}


def _read_part(name: str, content: object, default: str) -> Any:
    if not isinstance(content, dict):
        raise ConfigError(f"{name} is {content!r}: must be a mapping")
    kind = content.get("kind", default)
    if not isinstance(kind, str) or kind not in _KINDS[name]:
        raise ConfigError(f"{name}.kind is {kind!r}: must be {' or '.join(_KINDS[name])}")
    record = _KINDS[name][kind]
    _refuse_unknown(content, {f.name for f in fields(record)}, name + ".")
    return record(**{**content, "kind": kind})


def _refuse_unknown(values: dict[str, Any], known: set[str], prefix: str) -> None:
    unknown = sorted(set(values) - known, key=str)
    if unknown:
        raise ConfigError(f"unknown recipe field {prefix + str(unknown[0])!r}")
