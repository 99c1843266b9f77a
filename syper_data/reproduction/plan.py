"""What an experiment runs: a YAML file with a table for each budget, read into frozen records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from syper_data.artifacts import artifact_folder
from syper_data.errors import ConfigError, InputError
from syper_data.execution.run_files import read_recipe_values
from syper_data.gan.config import check_whole
from syper_data.quantization.bits import LEAST, MOST
from syper_data.quantization.presets import PRESETS, default_recipe, preset
from syper_data.quantization.recipe import QuantizationRecipe
from syper_data.recognition.distillation import refuse_unknown
from syper_data.recognition.recipe import check_choice, mapping
from syper_data.recognition.recognizer_file import SPECTRA

PLAN = "quantization.yaml"
SEEDS_APART = 100_000_000  # images that a run of one seed may see before it meets those of the next
_BITS = re.compile(r"W([0-9])A([0-9])")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True)
class Cell:
    """One row of the table: students of ``bits`` (``W4A4``) of one ``teacher`` and one kind of ``images``, each
    of the ``seeds`` a run.

    ``steps`` replace the length of the default recipe or of the ``preset``; ``recipe`` are further values of it.
    With ``count`` so many images are made once and repeated. ``protocol`` is one of its own, that needs no data.
    """

    bits: str
    teacher: str
    images: str
    steps: int | None = None
    seeds: tuple[int, ...] = (0,)
    count: int | None = None
    preset: str | None = None
    protocol: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = _BITS.fullmatch(self.bits) if isinstance(self.bits, str) else None
        if found is None or not all(LEAST <= int(width) <= MOST for width in found.groups()):
            raise ConfigError(f"bits is {self.bits!r}: must be like W8A8, each of {LEAST}..{MOST}")
        for name, most in (("steps", 10**8), ("count", 10**7)):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1, most)
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ConfigError(f"seeds are {list(self.seeds)}: must be different whole numbers")
        for seed in self.seeds:
            check_whole("seeds", seed, 0, 40)
        if self.preset is not None:
            check_choice("preset", self.preset, PRESETS)
        if self.protocol is not None and not isinstance(self.protocol, str):
            raise ConfigError(f"protocol is {self.protocol!r}: must be a name")
        self.recipe_of(self.seeds[0])

    @property
    def widths(self) -> tuple[int, int]:
        """Bits of weights and of activations."""
        found = _BITS.fullmatch(self.bits)
        assert found is not None
        return int(found[1]), int(found[2])

    @property
    def name(self) -> str:
        """What the folders of its runs begin with: lower case, no two cells of a budget share it."""
        parts = [self.bits.lower(), self.teacher, self.images]
        parts += [str(self.count)] if self.count is not None else []
        parts += [self.preset] if self.preset is not None else []
        parts += [re.sub(r"[^A-Za-z0-9]+", "-", self.protocol)[-40:]] if self.protocol is not None else []
        return "-".join(parts)

    def recipe_of(self, seed: int) -> QuantizationRecipe:
        """The recipe of a run. Images that are made anew begin at a seed of the run's own.

        Raises:
            ConfigError: the values of ``recipe`` make none.
        """
        base = default_recipe() if self.preset is None else preset(self.preset)
        chosen = QuantizationRecipe.from_dict(_merged(base.to_dict(), mapping("recipe", self.recipe)))
        weights, activations = self.widths
        if self.steps is not None:
            chosen = replace(chosen, steps=self.steps, epochs=None)
        bits = replace(chosen.bits, weights=weights, activations=activations)
        return replace(chosen, bits=bits, seed=seed, seed_start=SEEDS_APART * (1 + seed))


@dataclass(frozen=True)
class Budget:
    """The cells that are run under this name, in this order."""

    name: str
    description: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Published:
    """Figures of a publication: network -> bits (``full``, ``W8A8``, ...) -> value."""

    source: str
    data: str
    figure: str
    networks: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class ExperimentPlan:
    """A plan file. ``teachers``: name -> a spectrum, whose bundled teacher it is, or None for a file that is
    given; ``generators``: name -> a bundled one or a file; ``data``: name -> images, or None for given ones.

    The first of the teachers and of the generators are those that options without a name replace.
    """

    name: str
    protocol: str
    folds: tuple[str, ...]
    repeats: int
    teachers: Mapping[str, str | None]
    generators: Mapping[str, str]
    data: Mapping[str, str | None]
    budgets: tuple[Budget, ...]
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        check_whole("repeats", self.repeats, 1, 100_000)
        for kind in ("teachers", "generators", "data"):
            wrong = [
                name for name in getattr(self, kind) if not isinstance(name, str) or not _NAME.fullmatch(name)
            ]
            if wrong:
                raise ConfigError(f"{kind}: {wrong[0]!r} must be lower-case letters, digits and dashes")
        if not self.teachers or not self.budgets:
            raise ConfigError("a plan has teachers and budgets")
        for spectrum in self.teachers.values():
            if spectrum is not None:
                check_choice("teachers", spectrum, SPECTRA)
        shared = set(self.generators) & set(self.data)
        if shared:
            raise ConfigError(f"{sorted(shared)[0]} is a name of generators and of data")
        for budget in self.budgets:
            self._check(budget)

    def _check(self, budget: Budget) -> None:
        known = {*self.generators, *self.data}
        names = [cell.name for cell in budget.cells]
        for number, cell in enumerate(budget.cells, 1):
            where = f"budget {budget.name}, cell {number}"
            if cell.teacher not in self.teachers:
                raise ConfigError(f"{where}: teacher {cell.teacher!r} is none of {', '.join(self.teachers)}")
            if cell.images not in known:
                raise ConfigError(f"{where}: images {cell.images!r} are none of {', '.join(sorted(known))}")
            if cell.count is not None and cell.images in self.data:
                raise ConfigError(f"{where}: count is for images of a generator")
            if cell.images in self.generators and cell.count is None and cell.recipe_of(0).steps is None:
                raise ConfigError(f"{where}: a generator has no end: give steps or a count")
            if names.count(cell.name) > 1:
                raise ConfigError(f"{where}: there is another one of the same bits, teacher and images")

    def budget(self, name: str) -> Budget:
        """The budget of this name.

        Raises:
            ConfigError: there is none.
        """
        for budget in self.budgets:
            if budget.name == name:
                return budget
        raise ConfigError(f"--budget is {name!r}: must be one of {', '.join(b.name for b in self.budgets)}")

    @classmethod
    def read(cls, path: Path | None = None) -> ExperimentPlan:
        """A plan file, by default the one that ships.

        Raises:
            InputError: the file is unreadable or no YAML mapping.
            ConfigError: a value is unknown or out of range.
        """
        try:
            file = artifact_folder("experiments") / PLAN if path is None else path
        except FileNotFoundError as error:
            raise InputError(str(error)) from None
        values = read_recipe_values(file, f"experiments/{PLAN}")
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExperimentPlan:
        """Read a dictionary; an unknown key is a :class:`ConfigError`."""
        refuse_unknown(values, cls, "")
        missing = {"name", "protocol", "folds", "repeats", "teachers", "generators", "data", "budgets"} - set(
            values
        )
        if missing:
            raise ConfigError(f"has no {sorted(missing)[0]}")
        parts: dict[str, Any] = {name: mapping(name, values[name]) for name in ("teachers", "generators", "data")}
        budgets = tuple(_budget(str(name), part) for name, part in mapping("budgets", values["budgets"]).items())
        published = tuple(_published(part) for part in _listed("published", values.get("published", ())))
        folds = tuple(str(fold) for fold in _listed("folds", values["folds"]))
        texts: dict[str, Any] = {name: str(values[name]) for name in ("name", "protocol")}
        return cls(**texts, **parts, folds=folds, repeats=values["repeats"], budgets=budgets, published=published)


def cell_values(cell: Cell) -> dict[str, Any]:
    """A cell as a plan file says it, JSON-ready."""
    return {**asdict(cell), "seeds": list(cell.seeds), "recipe": dict(cell.recipe)}


def _merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Sections are merged, other values replaced; one length replaces the other."""
    kept = {k: v for k, v in base.items() if not (k in ("steps", "epochs") and {"steps", "epochs"} & set(changes))}
    parts = {
        k: {**kept[k], **v} for k, v in changes.items() if isinstance(v, dict) and isinstance(kept.get(k), dict)
    }
    return {**kept, **changes, **parts}


def _budget(name: str, values: Any) -> Budget:
    part = mapping(f"budgets.{name}", values)
    refuse_unknown({**part, "name": name}, Budget, f"budgets.{name}.")
    cells = []
    for number, cell in enumerate(_listed(f"budgets.{name}.cells", part.get("cells")), 1):
        try:
            refuse_unknown(mapping("a cell", cell), Cell, "")
            seeds = tuple(_listed("seeds", cell.get("seeds", [0])))
            cells.append(Cell(**{**cell, "seeds": seeds}))
        except TypeError:
            raise ConfigError(f"budget {name}, cell {number}: has no bits, teacher or images") from None
        except ConfigError as error:
            raise ConfigError(f"budget {name}, cell {number}: {error}") from error
    if not cells:
        raise ConfigError(f"budgets.{name} has no cells")
    return Budget(name, str(part.get("description", "")), tuple(cells))


def _published(values: Any) -> Published:
    part = mapping("published", values)
    refuse_unknown(part, Published, "published.")
    networks = {
        str(name): mapping("published.networks", v)
        for name, v in mapping("networks", part.get("networks")).items()
    }
    for figures in networks.values():
        for bits, value in figures.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(f"published.networks: {bits} is {value!r}, no number")
    source, data, figure = (str(part.get(name, "")) for name in ("source", "data", "figure"))
    return Published(source, data, figure, networks)


def _listed(name: str, values: Any) -> list[Any]:
    if not isinstance(values, list | tuple):
        raise ConfigError(f"{name} is {values!r}: must be a list")
    return list(values)
