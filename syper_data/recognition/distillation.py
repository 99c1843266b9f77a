"""How a teacher takes part in a recognizer's training: the ``distill`` section of its recipe.

=============  ================================================================================================
``kt``         vectors like the teacher's, no labels (SFace-KT)
``cls``        a margin loss on synthetic identities, no teacher (SFace-CLS)
``cl``         both (SFace-CL)
``maskinv``    both; the teacher sees the clean image, the student an occluded one, and late in training the
               teacher weighs more (MaskInv)
=============  ================================================================================================

SFace: Boutros et al., IJCB 2022. MaskInv: Huber et al., FG 2021. With x and t the vectors of student and teacher,
both of length 1 and of d values, the loss is margin loss + guidance x mean((x - t)^2), the mean over images and
values, so that the same guidance weighs less the longer the vectors are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from syper_data.dataset.manifest import MAX_SEED
from syper_data.errors import ConfigError
from syper_data.gan.config import check_number, check_whole
from syper_data.recognition.occlusion.config import OcclusionConfig

METHODS = ("kt", "cls", "cl", "maskinv")
_HIGH_FROM = 0.75


@dataclass(frozen=True)
class DistillConfig:
    """``guidance`` weighs the teacher's vectors, ``high_guidance`` from the share ``high_from`` of the length on.

    100, then 3000 are the published weights of MaskInv, with vectors of 512 values. ``high_from`` is 0.75 for
    maskinv and 1 (never) for the others, unless given. ``occlusion`` is maskinv's. A generator's images are those
    of the seeds from ``seed_start`` on, at truncation ``psi``.

    Raises:
        ConfigError: a value is out of range, or the method is unknown.
    """

    method: str = "kt"
    guidance: float = 100.0
    high_guidance: float = 3000.0
    high_from: float | None = None
    occlusion: OcclusionConfig = field(default_factory=OcclusionConfig)
    seed_start: int = 0
    psi: float = 1.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(
                f"distill.method is {self.method!r}: must be {', '.join(METHODS[:-1])} or {METHODS[-1]}"
            )
        if self.high_from is None:
            object.__setattr__(self, "high_from", _HIGH_FROM if self.method == "maskinv" else 1.0)
        check_number("distill.guidance", self.guidance)
        check_number("distill.high_guidance", self.high_guidance)
        check_number("distill.high_from", self.high_from, 0, 1)
        check_whole("distill.seed_start", self.seed_start, 0, MAX_SEED)
        check_number("distill.psi", self.psi, 0, 10)

    @property
    def guided(self) -> bool:
        """Whether there is a teacher."""
        return self.method != "cls"

    @property
    def labelled(self) -> bool:
        """Whether classes are learned."""
        return self.method != "kt"

    @property
    def occludes(self) -> bool:
        """Whether the student sees occluded images."""
        return self.method == "maskinv"

    def guidance_at(self, share: float) -> float:
        """The teacher's weight after this share of the length."""
        assert self.high_from is not None
        return self.guidance if share < self.high_from else self.high_guidance

    def to_dict(self) -> dict[str, Any]:
        """A YAML-ready dictionary; :meth:`from_dict` reads it back."""
        values = asdict(self)
        values["occlusion"]["kinds"] = list(self.occlusion.kinds)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DistillConfig:
        """Read a dictionary; an unknown key is a :class:`ConfigError`."""
        given = dict(values)
        refuse_unknown(given, cls, "distill.")
        if "occlusion" in given:
            if not isinstance(given["occlusion"], dict):
                raise ConfigError(f"distill.occlusion is {given['occlusion']!r}: must be a mapping")
            refuse_unknown(given["occlusion"], OcclusionConfig, "distill.occlusion.")
            given["occlusion"] = OcclusionConfig(**given["occlusion"])
        return cls(**given)


def refuse_unknown(values: Mapping[str, Any], kind: type, prefix: str) -> None:
    """Raise :class:`ConfigError` where a mapping holds what is no field of the dataclass ``kind``."""
    unknown = sorted(set(values) - {f.name for f in fields(kind)}, key=str)
    if unknown:
        raise ConfigError(f"unknown recipe field {prefix + str(unknown[0])!r}")
