"""What a StyleGAN2 network is, apart from its weights: one frozen, self-validating record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from syper_data.errors import ConfigError


@dataclass(frozen=True)
class GeneratorConfig:
    """Architecture of a StyleGAN2 skip generator (Karras et al. 2020a, Fig. 7; 2020b, appendix B).

    ``resolution`` is the side of the square image in pixels, a power of two in 4..1024. A layer at
    resolution ``r`` has ``min(channel_base / r, channel_max)`` channels. ``c_dim`` is the number of
    classes, 0 for an unconditional network. ``num_fp16_res`` records how many of the finest
    resolutions the network was trained at in half precision, and ``conv_clamp`` the bound that such
    networks put on every convolution's output. ``resample_filter`` holds the taps of the separable
    up-sampling filter.

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
        r = self.resolution
        if not 4 <= r <= 1024 or r & (r - 1):
            raise ConfigError(f"resolution is {r}: must be a power of two in 4..1024")
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
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"{name} is {value!r}: must be a whole number in {low}..{high}")
        clamp = self.conv_clamp
        if clamp is not None and not 0 < clamp < float("inf"):
            raise ConfigError(f"conv_clamp is {clamp!r}: must be a positive number or null")
        taps = self.resample_filter
        if len(taps) != 4 or any(t < 0 for t in taps) or sum(taps) <= 0 or taps != taps[::-1]:
            raise ConfigError(f"resample_filter is {list(taps)}: must be four symmetric taps >= 0")
        if self.channels(r) < 1:
            raise ConfigError(f"channel_base {self.channel_base} leaves no channel at {r} px")

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """4, 8, 16, ... up to ``resolution``."""
        return tuple(4 << i for i in range(self.resolution.bit_length() - 2))

    @property
    def num_ws(self) -> int:
        """How many style vectors the synthesis network takes: two a block, and one for the first."""
        return 2 * len(self.block_resolutions)

    def channels(self, resolution: int) -> int:
        """Channels of the layers at ``resolution``."""
        return min(self.channel_base // resolution, self.channel_max)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; :meth:`from_dict` reads it back."""
        return {**asdict(self), "resample_filter": list(self.resample_filter)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GeneratorConfig:
        """Read what :meth:`to_dict` wrote; an unknown or missing key is a :class:`ConfigError`."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"unknown architecture field {unknown[0]!r}")
        if "resolution" not in values:
            raise ConfigError("the architecture names no resolution")
        try:
            taps = tuple(int(t) for t in values.get("resample_filter", (1, 3, 3, 1)))
            return cls(**{**values, "resample_filter": taps})
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the architecture is not readable: {error}") from error
