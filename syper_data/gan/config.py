"""What a StyleGAN2 generator is, apart from its weights: one frozen, self-validating record."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeGuard

from syper_data.errors import ConfigError


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Refuse anything but a whole number in ``low..high`` with a :class:`ConfigError`."""
    if not _is_whole(value) or not low <= value <= high:
        raise ConfigError(f"{name} is {value!r}: must be a whole number in {low}..{high}")


def check_number(name: str, value: object, low: float = 0, high: float = sys.float_info.max) -> None:
    """Refuse anything but a finite number in ``low..high``."""
    if not (_is_whole(value) or isinstance(value, float)) or not low <= value <= high:
        bound = f">= {low:g}" if high == sys.float_info.max else f"in {low:g}..{high:g}"
        raise ConfigError(f"{name} is {value!r}: must be a number {bound}")


def check_positive(name: str, value: object) -> None:
    """Refuse anything but a finite number > 0."""
    if not (_is_whole(value) or isinstance(value, float)) or not 0 < value <= sys.float_info.max:
        raise ConfigError(f"{name} is {value!r}: must be a positive number")


def check_resolution(name: str, value: object, low: int, high: int) -> None:
    """Refuse anything but a power of two in ``low..high``."""
    if not _is_whole(value) or not low <= value <= high or value & (value - 1):
        raise ConfigError(f"{name} is {value!r}: must be a power of two in {low}..{high}")


def check_taps(name: str, value: object) -> None:
    """Refuse anything but four symmetric whole numbers >= 0 that are not all 0."""
    taps = value if isinstance(value, tuple) else ()
    whole = all(_is_whole(t) and t >= 0 for t in taps)
    if len(taps) != 4 or not whole or not sum(taps) or taps != taps[::-1]:
        raise ConfigError(f"{name} is {value!r}: must be four symmetric taps >= 0")


class NetworkConfig:
    """What the generator's and the discriminator's configurations share: a pyramid of resolutions,
    with ``min(channel_base / r, channel_max)`` channels at resolution ``r``."""

    resolution: int
    channel_base: int
    channel_max: int
    conv_clamp: float | None
    resample_filter: tuple[int, ...]

    def channels(self, resolution: int) -> int:
        """Channels of the layers at ``resolution``."""
        return min(self.channel_base // resolution, self.channel_max)

    def _check(self, smallest: int, bounds: dict[str, tuple[int, int]]) -> None:
        """Raise :class:`ConfigError` unless the shared fields and those in ``bounds`` are in range."""
        check_resolution("resolution", self.resolution, smallest, 1024)
        for name, (low, high) in bounds.items():
            check_whole(name, getattr(self, name), low, high)
        if self.conv_clamp is not None:
            check_positive("conv_clamp", self.conv_clamp)
        check_taps("resample_filter", self.resample_filter)
        if self.channels(self.resolution) < 1:
            raise ConfigError(f"channel_base is {self.channel_base}: leaves no channel at {self.resolution} px")


@dataclass(frozen=True)
class GeneratorConfig(NetworkConfig):
    """Architecture of a StyleGAN2 skip generator (Karras et al. 2020a, Fig. 7; 2020b, appendix B).

    ``resolution`` is the side of the square image in pixels, a power of two in 4..1024. A layer at
    resolution ``r`` has ``min(channel_base / r, channel_max)`` channels. ``c_dim`` is the number of
    classes, 0 for an unconditional network. ``num_fp16_res`` records how many of the finest
    resolutions the network was trained at in half precision, and ``conv_clamp`` the bound that such
    networks put on every layer's output, after the activation and its gain. ``resample_filter``
    holds the taps of the separable up-sampling filter.

    Raises:
        ConfigError: a value is out of range, with the value and the bound.
    """

    resolution: int
    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    mapping_layers: int = 8
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    num_fp16_res: int = 0
    conv_clamp: float | None = None
    resample_filter: tuple[int, ...] = (1, 3, 3, 1)

    def __post_init__(self) -> None:
        bounds = {
            "z_dim": (1, 4096),
            "c_dim": (0, 1_000_000),
            "w_dim": (1, 4096),
            "mapping_layers": (1, 32),
            "img_channels": (1, 4),
            "channel_base": (4, 1 << 20),
            "channel_max": (1, 4096),
            "num_fp16_res": (0, 9),
        }
        self._check(4, bounds)

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """4, 8, 16, ... up to ``resolution``."""
        return tuple(4 << i for i in range(self.resolution.bit_length() - 2))

    @property
    def num_ws(self) -> int:
        """How many style vectors the synthesis network takes: two a block, and one for the first."""
        return 2 * len(self.block_resolutions)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; :meth:`from_dict` reads it back."""
        return {**asdict(self), "resample_filter": list(self.resample_filter)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GeneratorConfig:
        """Read what :meth:`to_dict` wrote; an unknown or missing key is a :class:`ConfigError`."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known, key=str)
        if unknown:
            raise ConfigError(f"unknown architecture field {unknown[0]!r}")
        if "resolution" not in values:
            raise ConfigError("the architecture names no resolution")
        taps = values.get("resample_filter", (1, 3, 3, 1))
        return cls(**{**values, "resample_filter": tuple(taps) if isinstance(taps, list) else taps})
