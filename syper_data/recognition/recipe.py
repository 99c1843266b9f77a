"""The recipe of a recognizer: one frozen record for the YAML file, the API and the training record."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from syper_data.errors import ConfigError
from syper_data.execution.run_files import read_recipe_values
from syper_data.gan.config import check_number, check_positive, check_whole
from syper_data.imaging.spectrum import SPECTRA
from syper_data.recognition.augment import AugmentConfig
from syper_data.recognition.config import STRIDE, BackboneConfig
from syper_data.recognition.distillation import DistillConfig, refuse_unknown
from syper_data.recognition.margins import CONTRASTIVE, MarginConfig

BOTH_EYES = ("one_class", "two_classes")
ORDERS = ("balanced", "shuffled")
OPTIMISERS = ("sgd", "adamw")
DECAYS = ("cosine", "step", "constant")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # what a recognizer file may be called


@dataclass(frozen=True)
class SamplingConfig:
    """Which images a batch holds.

    ``balanced``: ``identities`` classes with ``images`` of each, so that a class with many images counts no
    more than one with few (one with fewer than ``images`` shows some twice). ``shuffled``: a batch of
    the same size, every image once an epoch. Classes with fewer than ``at_least`` images are left out.

    ``copies`` is the share of a balanced batch's classes that show *one* image ``images`` times, each time
    changed anew: so a network learns to find a changed copy among look-alikes, which an auditor must.
    """

    kind: str = "balanced"
    identities: int = 32
    images: int = 2
    at_least: int = 2
    copies: float = 0.0

    def __post_init__(self) -> None:
        check_choice("sampling.kind", self.kind, ORDERS)
        check_number("sampling.copies", self.copies, 0, 1)
        if self.copies and self.kind != "balanced":
            raise ConfigError(f"sampling.copies is {self.copies!r}: must be 0 where sampling.kind is {self.kind}")
        check_whole("sampling.identities", self.identities, 2, 4096)
        check_whole("sampling.images", self.images, 1, 256)
        check_whole("sampling.at_least", self.at_least, 1, 1000)

    @property
    def batch(self) -> int:
        """Images a batch."""
        return self.identities * self.images


@dataclass(frozen=True)
class OptimiserConfig:
    """SGD with Nesterov momentum, or AdamW (which ignores ``momentum``).

    ``weight_decay`` reaches matrices and filters, not biases, batch norms and PReLU slopes. Gradients
    are scaled to a norm of at most ``clip`` (0: as they are).
    """

    kind: str = "sgd"
    lr: float = 0.1
    weight_decay: float = 5e-4
    momentum: float = 0.9
    clip: float = 5.0

    def __post_init__(self) -> None:
        check_choice("optimiser.kind", self.kind, OPTIMISERS)
        check_positive("optimiser.lr", self.lr)
        check_number("optimiser.weight_decay", self.weight_decay)
        check_number("optimiser.momentum", self.momentum, 0, 0.9999)
        check_number("optimiser.clip", self.clip)


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate runs; all positions are shares of the whole length.

    It rises linearly over the first ``warmup``, then falls with a half cosine to 0 (``cosine``), by
    ``factor`` at each of ``milestones`` (``step``), or not (``constant``). The margin rises from 0 over the
    first ``margin_warmup``.
    """

    decay: str = "cosine"
    warmup: float = 0.05
    margin_warmup: float = 0.0
    milestones: tuple[float, ...] = (0.6, 0.85)
    factor: float = 0.1

    def __post_init__(self) -> None:
        check_choice("schedule.decay", self.decay, DECAYS)
        check_number("schedule.warmup", self.warmup, 0, 0.9)
        check_number("schedule.margin_warmup", self.margin_warmup, 0, 1)
        check_number("schedule.factor", self.factor, 0, 1)
        stones = self.milestones
        if not isinstance(stones, list | tuple):
            raise ConfigError(f"schedule.milestones is {stones!r}: must be a list of shares")
        for stone in stones:
            check_number("schedule.milestones", stone, 0, 1)
        object.__setattr__(self, "milestones", tuple(stones))


@dataclass(frozen=True)
class Stage:
    """Train at ``size`` pixels until this share of the length."""

    until: float
    size: int


@dataclass(frozen=True)
class RecognizerRecipe:
    """Everything that determines a training run, apart from the images.

    ``both_eyes``: are a person's two eyes ``one_class`` (the right one of the picture mirrored) or
    ``two_classes``? With ``mirrored_classes`` the mirror image of every class is a further class, since
    nobody's eye is another's mirrored: twice the classes from the same people. ``averaging`` is the decay of a
    running mean of the weights, step by step, which is what is written and validated (0: the weights as they
    are). The length is ``steps``, or ``epochs`` (as many images as the data have, each). ``stages`` train at
    smaller sizes first, which a ``pooling`` head allows; the last is the backbone's ``input_size``. The log
    gets a line, and the run a checkpoint, every ``snapshot_steps``; ``validation_images`` is how many images of
    held-out subjects are compared then. ``distill`` says what part a teacher has, for
    :func:`syper_data.distill`.
    """

    name: str
    spectrum: str
    backbone: BackboneConfig
    both_eyes: str
    mirrored_classes: bool = False
    averaging: float = 0.0
    steps: int | None = None
    epochs: float | None = None
    margin: MarginConfig = field(default_factory=MarginConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    stages: tuple[Stage, ...] = ()
    seed: int = 0
    precision: str = "fp32"
    snapshot_steps: int = 200
    validation_images: int = 600
    description: str = ""
    distill: DistillConfig | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigError(f"name is {self.name!r}: must be letters, digits, dots, dashes and underscores")
        check_choice("spectrum", self.spectrum, SPECTRA)
        check_choice("both_eyes", self.both_eyes, BOTH_EYES)
        if not isinstance(self.mirrored_classes, bool):
            raise ConfigError(f"mirrored_classes is {self.mirrored_classes!r}: must be true or false")
        check_number("averaging", self.averaging, 0, 0.99999)
        check_choice("precision", self.precision, ("fp32", "bf16"))
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError("give the length as steps or as epochs, one of them")
        if self.steps is not None:
            check_whole("steps", self.steps, 1, 100_000_000)
        else:
            check_positive("epochs", self.epochs)
        check_whole("seed", self.seed, 0, 2**31 - 1)
        check_whole("snapshot_steps", self.snapshot_steps, 1, 10_000_000)
        check_whole("validation_images", self.validation_images, 10, 1_000_000)
        if not isinstance(self.description, str):
            raise ConfigError(f"description is {self.description!r}: must be a text")
        if self.margin.kind == CONTRASTIVE and (self.sampling.kind != "balanced" or self.sampling.images < 2):
            raise ConfigError("margin.kind contrastive compares images of a class: sampling balanced, images >= 2")
        self._check_stages()

    def _check_stages(self) -> None:
        shares = [stage.until for stage in self.stages]
        for stage in self.stages:
            check_number("stages.until", stage.until, 0, 1)
            check_whole("stages.size", stage.size, 2 * STRIDE, self.backbone.input_size)
            if stage.size % STRIDE:
                raise ConfigError(f"stages.size is {stage.size}: must be a multiple of {STRIDE}")
        if shares != sorted(set(shares)) or (shares and shares[-1] != 1):
            raise ConfigError("stages.until must rise, and end with 1")
        if self.stages and self.stages[-1].size != self.backbone.input_size:
            raise ConfigError(f"the last of the stages must have the input_size, {self.backbone.input_size}")
        if len({stage.size for stage in self.stages}) > 1 and self.backbone.head != "pooling":
            raise ConfigError(f"stages of other sizes need backbone.head pooling, not {self.backbone.head}")

    def length(self, images: int) -> int:
        """Steps of a run on so many images."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * images / self.sampling.batch))

    def size_at(self, share: float) -> int:
        """Side of the images in pixels after this share of the length."""
        return next((stage.size for stage in self.stages if share < stage.until), self.backbone.input_size)

    def pixels_until(self, share: float) -> float:
        """Pixels of an image, summed over the length up to this share of it."""
        ends = [(min(stage.until, share), stage.size) for stage in self.stages] or [(share, self.size_at(0))]
        begins = [0.0, *(end for end, _ in ends)]
        return sum((end - begin) * size**2 for (end, size), begin in zip(ends, begins, strict=False))

    def to_dict(self) -> dict[str, Any]:
        """A YAML-ready dictionary; :meth:`from_dict` reads it back."""
        values = {**asdict(self), "backbone": self.backbone.to_dict()}
        values["stages"] = [asdict(stage) for stage in self.stages]
        values["schedule"]["milestones"] = list(self.schedule.milestones)
        values["distill"] = None if self.distill is None else self.distill.to_dict()
        optional = ("steps", "epochs", "distill")
        return {name: value for name, value in values.items() if name not in optional or value is not None}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RecognizerRecipe:
        """Read a dictionary; an unknown or missing key is a :class:`ConfigError`."""
        refuse_unknown(values, cls, "")
        for name in ("name", "spectrum", "backbone", "both_eyes"):
            if name not in values:
                raise ConfigError(f"the recipe has no {name!r}")
        parts = {name: read_part(name, kind, values[name]) for name, kind in _PARTS.items() if name in values}
        parts["backbone"] = BackboneConfig.from_dict(mapping("backbone", values["backbone"]))
        if values.get("distill") is not None:
            parts["distill"] = DistillConfig.from_dict(mapping("distill", values["distill"]))
        stages = values.get("stages", ())
        if not isinstance(stages, list | tuple):
            raise ConfigError(f"stages is {stages!r}: must be a list")
        parts["stages"] = tuple(read_part("stages", Stage, stage) for stage in stages)
        return cls(**{**values, **parts})

    @classmethod
    def read(cls, path: Path) -> RecognizerRecipe:
        """Read a YAML recipe file.

        Raises:
            InputError: the file is unreadable or no YAML mapping.
            ConfigError: a setting is unknown, missing or out of range.
        """
        values = read_recipe_values(path, "recognizer/recipes")
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def write_text(self) -> str:
        """The recipe as YAML text."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


_PARTS: dict[str, type] = {
    "margin": MarginConfig,
    "sampling": SamplingConfig,
    "augment": AugmentConfig,
    "optimiser": OptimiserConfig,
    "schedule": ScheduleConfig,
}


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise :class:`ConfigError` unless ``value`` is one of the words."""
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{name} is {value!r}: must be {' or '.join(choices)}")


def mapping(name: str, content: object) -> dict[str, Any]:
    """``content``, which must be a mapping, or :class:`ConfigError`."""
    if not isinstance(content, dict):
        raise ConfigError(f"{name} is {content!r}: must be a mapping")
    return content


def read_part(name: str, kind: type, content: object) -> Any:
    """A section of a recipe as its record; an unknown field is a :class:`ConfigError`."""
    values = mapping(name, content)
    refuse_unknown(values, kind, name + ".")
    if kind is Stage and set(values) != {"until", "size"}:
        raise ConfigError("each of the stages has until and size")
    return kind(**values)
