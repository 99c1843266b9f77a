"""What every training run reads back from its files: the recipe, the checkpoint, the log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

import yaml

from syper_data.errors import ConfigError, InputError


class Recipe(Protocol):
    """What recipes of generators, recognizers and students have in common."""

    def to_dict(self) -> dict[str, Any]:
        """A YAML-ready dictionary."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read it back."""


def is_recipe(ours: Recipe, stored: Mapping[str, Any]) -> bool:
    """Whether a run's stored recipe is this one; a setting newer than the run counts as its default."""
    try:
        return ours.from_dict(dict(stored)).to_dict() == ours.to_dict()
    except ConfigError:
        return False


def read_recipe_values(path: Path, shelf: str) -> dict[str, Any]:
    """The mapping in a YAML recipe file; ``shelf`` is where the bundled recipes lie, for the message.

    Raises:
        InputError: the file is unreadable or no YAML mapping.
    """
    try:
        values = yaml.safe_load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; bundled recipes: {shelf}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        line = (str(error).splitlines() or [""])[0]
        raise InputError(f"{path}: not a readable recipe ({line})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: a recipe is a YAML mapping")
    return values


@contextmanager
def reading_checkpoint(path: Path) -> Iterator[None]:
    """Whatever a damaged checkpoint makes ``torch.load`` and ``load_state_dict`` raise is one InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        name = type(error).__name__
        raise InputError(f"{path}: not a readable checkpoint ({name}); remove it to start over") from error


def read_log(path: Path, counter: str, reached: float) -> list[str]:
    """The lines whose ``counter`` is at most ``reached``, the checkpoint's; what a killed process wrote
    beyond it is made again.

    Raises:
        InputError: a line is no JSON or lacks the counter.
    """
    try:
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [line for line in lines if json.loads(line)[counter] <= reached]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a readable log; remove it to continue without it") from error
