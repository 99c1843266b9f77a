"""Which occlusions are drawn, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from syper_data.errors import ConfigError
from syper_data.gan.config import check_number, check_whole

EYE_KINDS = ("glasses", "lashes", "hair", "lid", "glare", "patch")
KINDS = (*EYE_KINDS, "mask")


@dataclass(frozen=True)
class OcclusionConfig:
    """``share`` of the images get 1..``most`` different ``kinds``, one over the other, in their order below.

    For eye crops: ``glasses``, ``lashes``, ``hair``, ``lid``, ``glare``, ``patch`` (any shape and texture).
    For aligned faces: ``mask``.

    Raises:
        ConfigError: a value is out of range, or a kind is unknown.
    """

    kinds: tuple[str, ...] = EYE_KINDS
    share: float = 0.5
    most: int = 2

    def __post_init__(self) -> None:
        given: Any = self.kinds
        if not isinstance(given, list | tuple) or not given or len(set(map(str, given))) != len(given):
            raise ConfigError(f"occlusion.kinds is {given!r}: must be a list of different kinds")
        for kind in given:
            if kind not in KINDS:
                raise ConfigError(f"occlusion.kinds names {kind!r}: must be of {', '.join(KINDS)}")
        object.__setattr__(self, "kinds", tuple(k for k in ORDER if k in given))
        check_number("occlusion.share", self.share, 0, 1)
        check_whole("occlusion.most", self.most, 1, len(KINDS))


ORDER = ("lid", "lashes", "patch", "hair", "glare", "mask", "glasses")  # from the eye outwards
