"""What decides which crops are made and how: one record for command line, API and manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from syper_data.errors import ConfigError
from syper_data.imaging.spectrum import SPECTRA

FACE_CHOICES = ("largest", "all", "only")
LANDMARK_SOURCES = ("detector", "file", "fixed", "iris", "iris_ratio")
FORMATS = ("png", "jpeg", "webp")


@dataclass(frozen=True)
class CropSettings:
    """How crops are made from images.

    ``landmarks`` says where eye positions come from: ``detector``, ``file``, ``fixed`` positions
    (``fixed_eyes``: x, y of the image-left and the image-right eye as shares of width and height),
    or, for images of one eye, ``iris`` (measured) and ``iris_ratio`` (the image's side is that many
    iris diameters, its centre the eye). ``faces``: of several faces the ``largest`` (by inter-eye
    distance), ``all``, or ``only`` photos with one. ``score_threshold`` and ``detect_size`` are the
    detector's. An eye is refused where more than ``max_outside`` of its crop lies outside of the
    photo, a face where the inter-eye distance is below ``min_eye_distance`` pixels.
    ``iris_diameters`` is the side of a crop of one eye, in iris diameters; ``iris_pixels`` is about how
    wide the irises are in the images, where that is known.
    """

    landmarks: str = "detector"
    output_size: int = 128
    spectrum: str = "vis"
    faces: str = "largest"
    score_threshold: float = 0.5
    detect_size: int = 640
    max_outside: float = 0.2
    min_eye_distance: float = 16.0
    fixed_eyes: Sequence[float] | None = None
    iris_diameters: float = 2.4
    iris_ratio: float | None = None
    iris_pixels: float | None = None
    image_format: str = "png"
    encoder: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        choices = {
            "landmarks": LANDMARK_SOURCES, "spectrum": SPECTRA, "faces": FACE_CHOICES, "image_format": FORMATS,
        }  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: must be {' or '.join(allowed)}")
        for name, low, high in (("output_size", 8, 4096), ("detect_size", 64, 4096)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"{name} is {value!r}: must be a whole number in {low}..{high}")
        if self.detect_size % 32:
            raise ConfigError(f"detect_size is {self.detect_size}: must be a multiple of 32")
        bounds = (
            ("score_threshold", 0.05, 1.0), ("max_outside", 0.0, 0.5), ("min_eye_distance", 4.0, 10_000.0),
            ("iris_diameters", 1.0, 20.0), ("iris_ratio", 1.0, 50.0),
            ("iris_pixels", 8.0, 10_000.0),
        )  # fmt: skip
        for name, least, most in bounds:
            value = getattr(self, name)
            if value is not None and not (_number(value) and least <= value <= most):
                raise ConfigError(f"{name} is {value!r}: must lie in {least:g}..{most:g}")
        eyes = self.fixed_eyes
        if (eyes is None) == (self.landmarks == "fixed"):
            raise ConfigError("fixed_eyes belongs to fixed landmarks, and to no other")
        if eyes is not None and not (len(eyes) == 4 and all(_number(v) and 0 <= v <= 1 for v in eyes)):
            raise ConfigError(f"fixed_eyes is {list(eyes)}: must be x1,y1,x2,y2 as shares in 0..1")
        if eyes is not None and not eyes[0] < eyes[2]:
            raise ConfigError(f"fixed_eyes is {list(eyes)}: the image-left eye comes first, so x1 < x2")
        if (self.iris_ratio is None) == (self.landmarks == "iris_ratio"):
            raise ConfigError("iris_ratio belongs to images of one eye, and replaces the measurement")
        if self.iris_pixels is not None and self.landmarks != "iris":
            raise ConfigError("iris_pixels belongs to images of one eye whose iris is measured")

    @property
    def one_eye(self) -> bool:
        """Are the images already crops, each showing one eye?"""
        return self.landmarks in ("iris", "iris_ratio")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        values = asdict(self)
        values["fixed_eyes"] = None if self.fixed_eyes is None else list(self.fixed_eyes)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CropSettings:
        """Read a dictionary that holds exactly the fields; otherwise :class:`ConfigError`."""
        for name in sorted({f.name for f in fields(cls)} ^ set(values)):
            raise ConfigError(f"settings: {name!r} is missing or unknown")
        return cls(**values)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
