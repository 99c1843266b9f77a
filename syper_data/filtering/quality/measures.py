"""The measures that a spectrum uses, with the user's own beside them."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.dataset.manifest import sha256_hex
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError, SyperError, UsageError
from syper_data.filtering.quality.colour import Tint, Warmth
from syper_data.filtering.quality.detail import Sharpness
from syper_data.filtering.quality.eye import IRIS_DIAMETERS, EyeContrast, EyeOffset
from syper_data.filtering.quality.light import Contrast, Exposure, Glare
from syper_data.filtering.quality.measure import SIDE, Measure, Pixels
from syper_data.imaging.pixels import resize

VERSION = 1  # raised when a measure changes, so that no old score or threshold is used for it

_RESERVED = {"seed", "label", "keep", "reasons"}


@dataclass(frozen=True)
class MeasureSet:
    """The measures of one audit: ours for the spectrum, then ``extra`` (``"module:Class"``).

    ``iris_diameters`` is the side of a crop in iris diameters, as ``crop`` uses the word: 5.4 for
    crops of faces, 2.4 for eye images; None takes 5.4 in visible light and 2.4 in near infrared.
    ``utility`` is a recognizer file: also measure how steady its embeddings are.
    """

    spectrum: str
    iris_diameters: float | None = None
    extra: tuple[str, ...] = ()
    utility: str | None = None

    def __post_init__(self) -> None:
        if self.spectrum not in IRIS_DIAMETERS:
            raise UsageError(f"spectrum is {self.spectrum!r}: must be vis or nir")
        side = self.side_in_irises
        if isinstance(side, bool) or not isinstance(side, int | float) or not 1 <= side <= 12:
            raise UsageError(f"--iris-diameters is {side!r}: must lie in 1..12")

    @property
    def side_in_irises(self) -> float:
        """``iris_diameters``, the default resolved."""
        return IRIS_DIAMETERS[self.spectrum] if self.iris_diameters is None else self.iris_diameters

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """Ours, then the user's; a user's measure must not take a name that is taken."""
        eye = (self.spectrum, float(self.side_in_irises))
        colour: list[Measure] = [Warmth(), Tint()] if self.spectrum == "vis" else []
        found = [EyeContrast(*eye), EyeOffset(*eye), Sharpness(), Exposure(), Contrast(), *colour, Glare()]
        if self.utility is not None:
            from syper_data.filtering.quality.utility import Utility

            found.append(Utility(self.utility))
        for spec in self.extra:
            measure = load_measure(spec)
            if measure.name in {m.name for m in found} | _RESERVED:
                raise UsageError(f"--measure {spec}: the name {measure.name!r} is taken")
            found.append(measure)
        return tuple(found)

    def measure(self, pixels: Pixels, where: str) -> dict[str, float]:
        """Every measure of one crop, uint8 [s, s, 3] in canonical orientation, any s.

        Raises:
            InputError: the crop is not square.
            SyperError: a measure failed, or gave what is no finite number.
        """
        h, w = pixels.shape[:2]
        if h != w:
            raise InputError(f"{where}: {w}x{h} pixels, a crop is square (syper-data crop makes such)")
        sized = np.ascontiguousarray(resize(pixels, SIDE, "lanczos"))
        return {m.name: _measured(m, sized, where) for m in self.measures}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; what scores depend on besides the pixels."""
        return {
            "version": VERSION,
            "spectrum": self.spectrum,
            "iris_diameters": float(self.side_in_irises),
            "extra": list(self.extra),
            "utility": self.utility,
        }

    def digest(self) -> str:
        """What scores are filed under: changes with the measures, and with the source of the user's."""
        sources = {spec: _source_sha256(spec) for spec in self.extra}
        network = None if self.utility is None else file_sha256(Path(self.utility))
        content = [self.to_dict() | {"utility": network}, sources]
        return sha256_hex(json.dumps(content, sort_keys=True).encode("utf-8"))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MeasureSet:
        """What :meth:`to_dict` gave."""
        return cls(values["spectrum"], values["iris_diameters"], tuple(values["extra"]), values["utility"])


def load_measure(spec: str) -> Measure:
    """The user's measure ``"module:Class"``, from what is installed. Only the command line or the
    caller names one; no file that the toolkit reads can.

    Raises:
        UsageError: no such module or class, or a class that is no :class:`Measure` as documented.
    """
    module, _, name = spec.partition(":")
    if not module or not name:
        raise UsageError(f"--measure is {spec!r}: must look like module:Class")
    try:
        cls = getattr(import_module(module), name)
    except Exception as error:  # whatever the user's module raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"--measure {spec}: cannot be imported ({reason}); is its package installed?") from error
    if not (isinstance(cls, type) and issubclass(cls, Measure)) or inspect.isabstract(cls):
        raise UsageError(f"--measure {spec}: must be a subclass of Measure with a method measure")
    given = getattr(cls, "name", None)
    if not isinstance(given, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", given):
        raise UsageError(f"--measure {spec}: its name must be lower case, such as lash_length, not {given!r}")
    if not isinstance(getattr(cls, "unit", None), str) or (cls.low is None and cls.high is None):
        raise UsageError(f"--measure {spec}: it needs a unit, and a reason low or high")
    return cls()


def _source_sha256(spec: str) -> str | None:
    try:
        file = inspect.getsourcefile(import_module(spec.partition(":")[0]))
        return None if file is None else sha256_hex(Path(file).read_bytes())
    except (OSError, TypeError):  # a compiled module
        return None


def columns_of(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, Any]:
    """One float64 array [n] a measure, from one dictionary an image."""
    return {name: np.array([row[name] for row in rows], np.float64) for name in names}


def _measured(measure: Measure, pixels: Pixels, where: str) -> float:
    try:
        value = float(measure.measure(pixels))
    except Exception as error:  # a user's measure may raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SyperError(
            f"{where}: the measure {measure.name} failed ({type(error).__name__}: {reason})"
        ) from error
    if not math.isfinite(value):
        raise SyperError(f"{where}: the measure {measure.name} gave {value}, no finite number")
    return value
