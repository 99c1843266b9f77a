"""Thresholds: what real crops allow, at a false-rejection rate that is stated, not by taste."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.artifacts import artifact_folder
from syper_data.dataset.atomic import write_atomically
from syper_data.errors import ConfigError, InputError, UsageError
from syper_data.filtering.quality.measures import VERSION, MeasureSet

Columns = Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]  # one value an image, [n], a measure

SCHEMA = "syper-quality-thresholds/1"
RATE = 0.005  # of the real crops rejected, each side of each measure


@dataclass(frozen=True)
class Limits:
    """What one measure may be: ``low`` and ``high`` in its unit (None: no bound), and the reasons
    given below and above them."""

    unit: str
    low: float | None = None
    high: float | None = None
    low_reason: str | None = None
    high_reason: str | None = None

    def __post_init__(self) -> None:
        for name, value, reason in (("low", self.low, self.low_reason), ("high", self.high, self.high_reason)):
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(f"{name} is {value!r}: must be a finite number or null")
            if not isinstance(reason, str) or not reason:
                raise ConfigError(f"{name} has no {name}_reason")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ConfigError(f"low {self.low} is above high {self.high}")


@dataclass(frozen=True)
class Thresholds:
    """Limits of every measure, and how they were found.

    ``rate`` is the share of the real crops that each side of each measure may reject; ``rejected`` the
    share that all of them together reject. ``crops`` holds count and digest of the crops.
    """

    spectrum: str
    iris_diameters: float
    rate: float
    limits: Mapping[str, Limits]
    crops: Mapping[str, Any]
    rejected: float
    version: int = VERSION
    extra: tuple[str, ...] = field(default=())

    def reasons(self, scores: Columns) -> list[list[str]]:
        """Of every image the reasons to reject it, in the measures' order; empty where there is none."""
        count = len(next(iter(scores.values()))) if scores else 0
        found: list[list[str]] = [[] for _ in range(count)]
        for name, limits in self.limits.items():
            values = scores[name]
            for bound, beyond, reason in (
                (limits.low, np.less, limits.low_reason),
                (limits.high, np.greater, limits.high_reason),
            ):
                if bound is not None and reason is not None:
                    for row in np.flatnonzero(beyond(values, bound)):
                        found[row].append(reason)
        return found

    def require_fit(self, measures: MeasureSet, where: str) -> None:
        """Raise :class:`UsageError` unless these are thresholds of exactly these measures."""
        for name, mine, theirs in (
            ("version of the measures", self.version, VERSION),
            ("spectrum", self.spectrum, measures.spectrum),
            ("iris diameters", self.iris_diameters, float(measures.side_in_irises)),
        ):
            if mine != theirs:
                raise UsageError(f"{where}: {name} is {mine}, this audit's is {theirs}; calibrate again")
        wanted = {m.name for m in measures.measures}
        lacking, needless = sorted(wanted - set(self.limits)), sorted(set(self.limits) - wanted)
        if lacking:
            raise UsageError(
                f"{where}: no threshold for the measure {lacking[0]}; calibrate with real crops: "
                "--reference SOURCE"
            )
        if needless:
            raise UsageError(
                f"{where}: has a threshold for {needless[0]}, which no measure here gives; --measure?"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        values = asdict(self) | {"limits": {name: asdict(limit) for name, limit in self.limits.items()}}
        return {"schema": SCHEMA, **values, "extra": list(self.extra), "crops": dict(self.crops)}

    @classmethod
    def from_dict(cls, content: Any, where: str) -> Thresholds:
        """Read and check; :class:`InputError` on anything unexpected."""
        try:
            if content["schema"] != SCHEMA:
                raise InputError(f"{where}: schema is {content['schema']!r}, this toolkit reads {SCHEMA!r}")
            limits = {str(name): Limits(**values) for name, values in content["limits"].items()}
            found = cls(
                spectrum=str(content["spectrum"]),
                iris_diameters=float(content["iris_diameters"]),
                rate=float(content["rate"]),
                limits=limits,
                crops=dict(content["crops"]),
                rejected=float(content["rejected"]),
                version=int(content["version"]),
                extra=tuple(str(spec) for spec in content["extra"]),
            )
        except ConfigError as error:
            raise InputError(f"{where}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{where}: not a readable threshold file ({type(error).__name__}: {error})"
            ) from error
        return found

    def write(self, path: Path) -> None:
        """Write the file that ``--quality-thresholds`` takes."""
        write_atomically(path, json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Thresholds:
        """Read a file that :meth:`write` made.

        Raises:
            InputError: no such file, or not one of ours.
        """
        try:
            content = json.loads(Path(path).read_bytes())
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not a readable threshold file (not JSON)") from error
        return cls.from_dict(content, str(path))


def calibrate(scores: Columns, measures: MeasureSet, crops: Mapping[str, Any], rate: float = RATE) -> Thresholds:
    """Thresholds that reject at most ``rate`` of these crops on each side of each measure.

    A bound is an order statistic: of n crops, floor(rate n) may lie beyond it. ``crops`` is what the
    file says of them: count, digest, name.

    Raises:
        UsageError: the rate does not lie in 0..0.5, or the crops are too few for it.
    """
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 0.5:
        raise UsageError(f"--false-rejection-rate is {rate!r}: must lie between 0 and 0.5")
    count = len(next(iter(scores.values())))
    beyond = math.floor(rate * count + 1e-9)
    if beyond < 1:
        raise UsageError(
            f"{crops.get('source', 'the real crops')}: {count} crops are too few for a false-rejection rate of "
            f"{rate:g} (at least {math.ceil(1 / rate)}); give more, or a larger --false-rejection-rate"
        )
    limits = {}
    for measure in measures.measures:
        ordered = np.sort(scores[measure.name])
        limits[measure.name] = Limits(
            unit=measure.unit,
            low=None if measure.low is None else float(ordered[beyond]),
            high=None if measure.high is None else float(ordered[-1 - beyond]),
            low_reason=measure.low,
            high_reason=measure.high,
        )
    side = float(measures.side_in_irises)
    found = Thresholds(measures.spectrum, side, rate, limits, dict(crops), 0.0, extra=measures.extra)
    rejected = sum(bool(r) for r in found.reasons(scores)) / count
    return Thresholds(measures.spectrum, side, rate, limits, dict(crops), rejected, extra=measures.extra)


def bundled_thresholds(spectrum: str) -> Path:
    """The file of thresholds that ships with the toolkit."""
    return artifact_folder("protocols") / "quality" / f"{spectrum}.json"
