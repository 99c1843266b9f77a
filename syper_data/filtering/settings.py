"""What an audit was asked for: one record for command line, API and ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from syper_data.errors import ConfigError, UsageError

DEFAULT_FPIR = 0.01
DEFAULT_RATE = 0.005
BUNDLED = "bundled"


@dataclass(frozen=True)
class FilterSettings:
    """The options of ``filter``, as given; the ledger records them, ``top-up`` filters with them.

    ``fpir`` is the share of people outside of the reference who may be flagged; ``false_rejection_rate``
    the share of real crops that each side of each quality measure may reject. ``duplicates`` says whether
    an image that repeats an earlier one is only reported, or rejected.
    """

    reference: str | None = None
    calibration: str | None = None
    embedder: tuple[str, ...] = ()
    fpir: float = DEFAULT_FPIR
    neighbours: int = 5
    duplicates: str = "report"
    typicality: bool = False
    membership: bool = False
    allow_seen_identities: bool = False
    quality_only: bool = False
    quality_thresholds: str | None = None
    false_rejection_rate: float = DEFAULT_RATE
    iris_diameters: float | None = None
    utility: bool = False
    measure: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, high in (("fpir", 0.5), ("false_rejection_rate", 0.5)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < high:
                raise UsageError(f"--{name.replace('_', '-')} is {value!r}: must lie between 0 and {high}")
        if isinstance(self.neighbours, bool) or not isinstance(self.neighbours, int) or self.neighbours < 1:
            raise UsageError(f"--neighbours is {self.neighbours!r}: must be at least 1")
        if self.duplicates not in ("report", "reject"):
            raise UsageError(f"--duplicates is {self.duplicates!r}: must be report or reject")
        for name in ("typicality", "membership"):
            if self.quality_only and getattr(self, name):
                raise UsageError(f"--quality-only and --{name} exclude each other")
        if self.membership and self.calibration is None:
            raise UsageError(
                "--membership compares --reference, what the generator was trained on, with crops that it was not "
                "trained on; give those: --calibration SOURCE"
            )
        if self.quality_only:
            for name in ("calibration", "embedder"):
                if getattr(self, name):
                    raise UsageError(f"--quality-only and --{name} exclude each other")
        elif self.reference is None:
            raise UsageError("say whom to compare with: --reference SOURCE, or --quality-only for no comparison")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        lists = {"measure": list(self.measure), "embedder": list(self.embedder)}
        return asdict(self) | lists | {"columns": dict(self.columns)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FilterSettings:
        """What :meth:`to_dict` gave; :class:`ConfigError` on anything else."""
        ours = {f.name for f in fields(cls)}
        for name in sorted(ours ^ set(values)):
            raise ConfigError(f"filter settings: {name!r} is {'missing' if name in ours else 'unknown'}")
        return cls(**{**values, "measure": tuple(values["measure"]), "embedder": tuple(values["embedder"])})
