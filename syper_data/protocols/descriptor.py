"""What a descriptor file says: a protocol by its name, how its lists are read, where to ask for the images,
and what a right copy looks like.

Descriptors are YAML files; those that ship lie in ``protocols/`` and go by their name, any other by its
path. They hold no image and no code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from syper_data.artifacts import artifact_folder
from syper_data.errors import ConfigError, InputError, UsageError

PUBLISHED = ("ufpr", "casia", "lfw", "cfp", "insightface_bin", "mfr2", "pairs", "templates")
READERS = (*PUBLISHED, "parquet", "generated")  # the last two are what the toolkit itself makes
SPECTRA = ("vis", "nir")
BASES = ("measured", "published")

MADE = "protocol.yaml"  # what ``protocol make`` calls its descriptor

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEXTS = ("title", "dataset", "subset", "citation", "ask", "licence")


@dataclass(frozen=True)
class Expects:
    """What a right copy holds; what is None or empty is not checked.

    ``lists`` maps a list's path below the root (or the paths that it may have: ``a.txt or b.txt``) to its
    SHA-256, or to None where only its presence is known. ``images`` is the number of image files, ``subjects``
    that of people. ``folds`` gives the mated and non-mated comparisons of a fold. ``basis`` says whether these
    figures were ``measured`` on a copy or are those of the data set's publication.
    """

    lists: Mapping[str, str | None] = field(default_factory=dict)
    images: int | None = None
    subjects: int | None = None
    folds: Mapping[str, Sequence[int]] = field(default_factory=dict)
    basis: str = "published"

    def __post_init__(self) -> None:
        if self.basis not in BASES:
            raise ConfigError(f"expects.basis is {self.basis!r}: must be {' or '.join(BASES)}")
        for name, value in (("images", self.images), ("subjects", self.subjects)):
            if value is not None and not _is_count(value):
                raise ConfigError(f"expects.{name} is {value!r}: must be a whole number")
        for path, digest in _mapping("expects.lists", self.lists).items():
            if digest is not None and not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
                raise ConfigError(f"expects.lists, {path}: {digest!r} is no SHA-256 in hexadecimal")
        for name, counts in _mapping("expects.folds", self.folds).items():
            if not isinstance(counts, Sequence) or len(counts) != 2 or not all(map(_is_count, counts)):
                raise ConfigError(f"expects.folds, {name}: must be [mated, non-mated]")


@dataclass(frozen=True)
class Descriptor:
    """One protocol of one data set.

    ``reader`` names the layout and ``options`` are its settings; ``folds`` are the names of all folds.
    ``ask`` says where the images are to be had, ``made`` how a made protocol was made. ``path`` is the file
    that it was read from.
    """

    name: str
    title: str
    dataset: str
    reader: str
    folds: tuple[str, ...]
    subset: str = ""
    spectrum: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    citation: str = ""
    ask: str = ""
    licence: str = ""
    notes: tuple[str, ...] = ()
    expects: Expects = field(default_factory=Expects)
    made: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigError(f"name is {self.name!r}: must be letters, digits, dots, dashes and underscores")
        for name in _TEXTS:
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"{name} is {getattr(self, name)!r}: must be a text")
        if self.reader not in READERS:
            raise ConfigError(f"reader is {self.reader!r}: must be one of {', '.join(READERS)}")
        if self.spectrum not in (None, *SPECTRA):
            raise ConfigError(f"spectrum is {self.spectrum!r}: must be vis, nir or null")
        for name in ("folds", "notes"):
            object.__setattr__(self, name, _texts(name, getattr(self, name)))
        if not self.folds or len(set(self.folds)) != len(self.folds):
            raise ConfigError(f"folds is {list(self.folds)}: must name each fold once, and at least one")
        for name in ("options", "made"):
            _mapping(name, getattr(self, name))
        unknown = sorted(set(self.expects.folds) - set(self.folds))
        if unknown:
            raise ConfigError(f"expects.folds names {unknown[0]!r}, which is no fold")

    def chosen(self, folds: Sequence[str] | None) -> tuple[str, ...]:
        """The folds that a caller wants, in the descriptor's order; all for None.

        Raises:
            UsageError: a name that is no fold, or none at all.
        """
        if folds is None:
            return self.folds
        wanted = [str(name) for name in folds]
        unknown = [name for name in wanted if name not in self.folds]
        if unknown or not wanted:
            said = f"no fold {unknown[0]!r}" if unknown else "no fold is wanted"
            raise UsageError(f"{self.name}: {said}; it has {', '.join(self.folds)}")
        return tuple(name for name in self.folds if name in wanted)

    def to_yaml(self) -> str:
        """The file's text; what is empty is left out."""
        values = {k: v for k, v in asdict(self).items() if k != "path"}
        values["expects"] = {k: v for k, v in values["expects"].items() if v not in (None, {})}
        if values["expects"] == {"basis": "published"}:
            values["expects"] = {}
        kept = {k: _plain(v) for k, v in values.items() if v not in (None, "", (), {}, [])}
        return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=110)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], path: Path | None = None) -> Descriptor:
        """Read a mapping; an unknown or missing key is a :class:`ConfigError`."""
        values = dict(_mapping("the descriptor", values))
        known = {f.name for f in fields(cls)} - {"path"}
        unknown = sorted(str(key) for key in values if key not in known)
        if unknown:
            raise ConfigError(f"unknown key {unknown[0]!r}; it may have {', '.join(sorted(known))}")
        for name in ("name", "title", "dataset", "reader", "folds"):
            if name not in values:
                raise ConfigError(f"no {name!r}")
        expects = _mapping("expects", values.pop("expects", None) or {})
        extra = sorted(set(expects) - {f.name for f in fields(Expects)})
        if extra:
            raise ConfigError(f"unknown key expects.{extra[0]}")
        return cls(**values, expects=Expects(**expects), path=path)

    @classmethod
    def read(cls, path: str | Path) -> Descriptor:
        """Read a descriptor file.

        Raises:
            InputError: unreadable, no YAML, or a value that no descriptor may hold.
        """
        path = Path(path)
        try:
            values = yaml.safe_load(path.read_text("utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            line = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: not a readable descriptor ({line})") from error
        try:
            return cls.from_dict(values, path)
        except ConfigError as error:
            raise InputError(f"{path}: {error}") from error


def shipped() -> dict[str, Path]:
    """The descriptors that ship with the toolkit: name to file, in alphabetical order."""
    return {path.stem: path for path in sorted(artifact_folder("protocols").glob("*.yaml"))}


def find_descriptor(name: str | Path) -> Descriptor:
    """A shipped descriptor by its name, or any by the path of its file (``*.yaml``), or of the folder that
    ``protocol make`` wrote.

    Raises:
        UsageError: no such name.
        InputError: the file is missing or wrong.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return Descriptor.read(path)
    if (path / MADE).is_file():
        return Descriptor.read(path / MADE)
    known = shipped()
    if str(name) not in known:
        listed = ", ".join(known) or "none ships"
        raise UsageError(f"no protocol {str(name)!r}: give a descriptor file (*.yaml) or one of {listed}")
    return Descriptor.read(known[str(name)])


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{name} is {value!r}: must be a mapping with texts as keys")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
        raise ConfigError(f"{name} is {value!r}: must be a list of texts")
    return tuple(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
