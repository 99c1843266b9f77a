"""What is asked of ``protocol make``: one validated record for command line, API and descriptor."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from syper_data.errors import UsageError
from syper_data.protocols.labels import KEY_FIELDS
from syper_data.protocols.splitting import KINDS
from syper_data.protocols.table import ACROSS, Rule

DEFAULT_FOLDS = 3


@dataclass(frozen=True)
class MakingSettings:
    """The options of :func:`syper_data.protocols.making.make_protocol`; see there."""

    kind: str = "open_world"
    folds: int | None = None
    seed: int = 0
    validation: float = 0.25
    split: str | None = None
    across: str | None = None
    probe: str | None = None
    mated: int | None = None
    non_mated: int | None = None
    enrol: int = 1
    unenrolled: float = 0.0
    key: tuple[str, ...] = ()
    spectrum: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"--kind is {self.kind!r}: must be {', '.join(KINDS)}")
        _whole("seed", self.seed, 0)
        _whole("enrol", self.enrol, 0)
        for name, value in (("folds", self.folds), ("mated", self.mated), ("non-mated", self.non_mated)):
            if value is not None:
                _whole(name, value, 1)
        _share("validation", self.validation)
        _share("unenrolled", self.unenrolled)
        if self.split is not None and self.folds is not None:
            raise UsageError("--split and --folds exclude each other: the file says how many folds there are")
        if self.split is not None and self.kind == "closed_world":
            raise UsageError("--split lists who is tested: a closed world tests everybody")
        if self.unenrolled and not self.enrol:
            raise UsageError("--unenrolled belongs to --enrol: without a gallery nobody is enrolled")
        for name in self.key:
            if name not in KEY_FIELDS:
                raise UsageError(f"--key names {name!r}: must be of {', '.join(KEY_FIELDS)}")
        if self.spectrum not in (None, "vis", "nir"):
            raise UsageError(f"--spectrum is {self.spectrum!r}: must be vis or nir")
        self.rule()

    def rule(self) -> Rule:
        """Which images are compared."""
        probe = ACROSS[self.across][0] if self.across in ACROSS and self.probe is None else self.probe
        listed = self.mated is not None or self.non_mated is not None
        return Rule(self.across != "side", self.across, probe, listed)

    def record(self) -> dict[str, Any]:
        """As the descriptor holds it, without what a split file decides; paths by their last part."""
        kept = asdict(self) | {"key": list(self.key), "probe": self.rule().probe}
        if self.split is not None:
            kept |= {"split": Path(self.split).name, "validation": None, "unenrolled": None}
        elif self.folds is None:
            kept["folds"] = DEFAULT_FOLDS
        return kept


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"--{name} is {value!r}: must be a whole number of at least {least}")


def _share(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"--{name} is {value!r}: must be a number")
    if not 0 <= value < 1:
        raise UsageError(f"--{name} is {value:g}: must be at least 0 and below 1")
