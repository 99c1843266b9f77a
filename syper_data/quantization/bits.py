"""How many bits each layer gets: one frozen, self-validating record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

from syper_data.errors import ConfigError, UsageError
from syper_data.gan.config import check_whole

LEAST, MOST = 2, 8


@dataclass(frozen=True)
class LayerBits:
    """Other bits for the layers whose name matches ``layers`` (``*`` and ``?`` as in file names)."""

    layers: str
    weights: int | None = None
    activations: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.layers, str) or not self.layers:
            raise ConfigError(f"bits.other.layers is {self.layers!r}: must be a name or a pattern like conv_3.*")
        for name in ("weights", "activations"):
            if getattr(self, name) is not None:
                check_whole(f"bits.other.{name}", getattr(self, name), LEAST, MOST)


@dataclass(frozen=True)
class BitsConfig:
    """Bits of the weights and of the activations that enter a convolution or linear layer, 2..8 each.

    ``first`` are those of the first convolution's weights; what enters it are the image's own 256 levels.
    ``last`` are those of the vector that enters the last linear layer, whose weights have ``weights`` bits.
    ``residual`` are those in which the skip path carries its sums; a convolution that reads one rounds it again,
    to ``activations`` bits. None: the same as elsewhere. ``other`` has the last word; of several that match a
    layer, the last one counts.

    Raises:
        ConfigError: a width is not a whole number in 2..8.
    """

    weights: int = 8
    activations: int = 8
    first: int | None = 8
    last: int | None = 8
    residual: int | None = 8
    other: tuple[LayerBits, ...] = ()

    def __post_init__(self) -> None:
        for name in ("weights", "activations", "first", "last", "residual"):
            value = getattr(self, name)
            if value is not None or name in ("weights", "activations"):
                check_whole(f"bits.{name}", value, LEAST, MOST)

    def of(self, layer: str, *, first: bool = False, last: bool = False) -> tuple[int, int]:
        """(weights, activations) of a layer, which is the first or the last one of its network."""
        weights = self.first if first and self.first is not None else self.weights
        activations = self.last if last and self.last is not None else self.activations
        for other in self.other:
            if fnmatchcase(layer, other.layers):
                weights = other.weights if other.weights is not None else weights
                activations = other.activations if other.activations is not None else activations
        return weights, activations

    @property
    def stream(self) -> int:
        """Bits of the skip path."""
        return self.activations if self.residual is None else self.residual

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; :meth:`from_dict` reads it back."""
        return {**asdict(self), "other": [asdict(other) for other in self.other]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BitsConfig:
        """Read what :meth:`to_dict` wrote; an unknown key is a :class:`ConfigError`."""
        unknown = sorted(set(values) - {f.name for f in fields(cls)}, key=str)
        if unknown:
            raise ConfigError(f"unknown field bits.{unknown[0]}")
        others = values.get("other", ())
        names = {f.name for f in fields(LayerBits)}
        if not isinstance(others, list | tuple) or any(
            not isinstance(o, dict) or not {"layers"} <= set(o) <= names for o in others
        ):
            raise ConfigError("bits.other must be a list, each with layers and weights or activations")
        return cls(**{**values, "other": tuple(LayerBits(**other) for other in others)})


def parse_layer_bits(texts: tuple[str, ...] | list[str]) -> tuple[LayerBits, ...]:
    """``"conv_3.*=8/4"`` -> 8 bits for the weights and 4 for the activations of these layers; ``=8`` is both.

    Raises:
        UsageError: not of that form, or a width out of 2..8.
    """
    found = []
    for text in texts:
        layers, equals, bits = text.partition("=")
        weights, _, activations = bits.partition("/")
        widths = [weights, activations or weights]
        if not layers or not equals or not all(w.isascii() and w.isdigit() for w in widths):
            raise UsageError(f"--layer-bits: {text!r} is not LAYERS=WEIGHTS/ACTIVATIONS, such as conv1.*=8/8")
        try:
            found.append(LayerBits(layers, int(widths[0]), int(widths[1])))
        except ConfigError as error:
            raise UsageError(f"--layer-bits {text}: {error}") from None
    return tuple(found)
