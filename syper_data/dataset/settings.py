"""The settings that decide what an image's bytes are: one record for command line, API and file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from syper_data.errors import ConfigError

NOISE_MODES = ("const", "random", "none")
PRECISIONS = ("fp32", "bf16")
IMAGE_FORMATS = ("png", "jpeg", "webp")
RESIZE_FILTERS = ("none", "nearest", "box", "bilinear", "bicubic", "lanczos")
RANGES = ("clamp", "minmax_per_image")
ROUNDING = "nearest_half_up"
_FILE_NAMES = {"value_range": "range"}


@dataclass(frozen=True)
class SamplingSettings:
    """How images are made from keys.

    ``psi`` is the truncation (1 = none). ``block_size`` consecutive manifest entries are computed
    together, by ``threads_per_worker`` threads. ``value_range`` maps the generator's output to
    0..255: ``clamp`` takes [-1, 1], ``minmax_per_image`` stretches each image to its own extremes;
    then ``rounding`` to uint8, then the resize to ``output_size`` (pixels a side) by
    ``resize_filter``. ``encoder`` records library, version and options.
    """

    psi: float = 1.0
    noise_mode: str = "const"
    precision: str = "fp32"
    block_size: int = 8
    threads_per_worker: int = 1
    device: str = "cpu"
    output_size: int = 128
    resize_filter: str = "none"
    value_range: str = "clamp"
    rounding: str = ROUNDING
    colour_mode: str = "RGB"
    image_format: str = "png"
    encoder: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.psi, bool) or not isinstance(self.psi, int | float) or not math.isfinite(self.psi):
            raise ConfigError(f"psi is {self.psi!r}: must be a finite number")
        if not -2 <= self.psi <= 2:
            raise ConfigError(f"psi is {self.psi!r}: must lie in -2..2")
        choices = {
            "noise_mode": NOISE_MODES,
            "precision": PRECISIONS,
            "device": ("cpu", "cuda"),
            "resize_filter": RESIZE_FILTERS,
            "value_range": RANGES,
            "rounding": (ROUNDING,),
            "colour_mode": ("RGB", "L"),
            "image_format": IMAGE_FORMATS,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: must be {' or '.join(allowed)}")
        for name, high in (("block_size", 100), ("threads_per_worker", 1024), ("output_size", 4096)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
                raise ConfigError(f"{name} is {value!r}: must be a whole number in 1..{high}")
        if not isinstance(self.encoder, Mapping):
            raise ConfigError("encoder is not a mapping")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; ``value_range`` is called ``range`` in the file."""
        values = asdict(self)
        return {_FILE_NAMES.get(name, name): value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SamplingSettings:
        """Read a dictionary that holds exactly the fields; otherwise :class:`ConfigError`."""
        ours = {_FILE_NAMES.get(f.name, f.name): f.name for f in fields(cls)}
        for name in sorted(set(ours) ^ set(values)):
            raise ConfigError(f"settings: {name!r} is {'missing' if name in ours else 'unknown'}")
        return cls(**{ours[name]: value for name, value in values.items()})
