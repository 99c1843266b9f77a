"""What a recognition backbone is, apart from its weights: one frozen, self-validating record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from syper_data.errors import ConfigError

KINDS = ("mobilefacenet", "iresnet18", "iresnet34", "iresnet50", "iresnet100")
INPUT_SIZES = (112, 128, 224)
EMBEDDING_DIMS = (128, 512)
HEADS = ("flatten", "pooling")
STRIDE = 16  # input pixels a position of the last feature map, in every kind


@dataclass(frozen=True)
class BackboneConfig:
    """A network that turns a square image into a vector.

    ``input_size`` is the side of the image in pixels, ``embedding_dim`` the length of the vector.
    ``head``: ``flatten`` is the published one (MobileFaceNet: a depthwise convolution as large as the map;
    IResNet: a linear layer on the flattened map), ``pooling`` averages the map first, so that it takes
    images of any size and, for IResNet-18, a fifth of the parameters. ``dropout`` is the probability
    with which training drops the values that enter the last linear layer.

    Raises:
        ConfigError: a value is not among those named, with the value and the choices.
    """

    kind: str
    input_size: int = 112
    embedding_dim: int = 512
    head: str = "flatten"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        choices: dict[str, tuple[object, ...]] = {
            "kind": KINDS,
            "input_size": INPUT_SIZES,
            "embedding_dim": EMBEDDING_DIMS,
            "head": HEADS,
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if not isinstance(value, type(allowed[0])) or value not in allowed:
                listed = ", ".join(str(a) for a in allowed[:-1])
                raise ConfigError(f"{name} is {value!r}: must be {listed} or {allowed[-1]}")
        number = isinstance(self.dropout, int | float) and not isinstance(self.dropout, bool)
        if not number or not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout!r}: must be a number in 0..1, below 1")

    @property
    def map_size(self) -> int:
        """Side of the last feature map, in positions."""
        return self.input_size // STRIDE

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; :meth:`from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BackboneConfig:
        """Read what :meth:`to_dict` wrote; an unknown key or none for the kind is a :class:`ConfigError`."""
        unknown = sorted(set(values) - {f.name for f in fields(cls)}, key=str)
        if unknown:
            raise ConfigError(f"unknown backbone field {unknown[0]!r}")
        if "kind" not in values:
            raise ConfigError("the backbone names no kind")
        return cls(**values)
