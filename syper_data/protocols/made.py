"""A protocol as ``protocol make`` made it, before it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syper_data.protocols.making_settings import MakingSettings
from syper_data.protocols.protocol import Fold
from syper_data.protocols.table import ImageTable, Rule


@dataclass(frozen=True)
class MadeProtocol:
    """A protocol as made: images and roles, the rule, the folds, and the record of how it came about.

    ``key`` are the fields whose values, joined with "/", name an image.
    """

    name: str
    settings: MakingSettings
    table: ImageTable
    rule: Rule
    folds: tuple[Fold, ...]
    key: tuple[str, ...]
    spectrum: str | None  # that of all images, None where they are mixed or nobody says
    columns: Mapping[str, str]
    source: Mapping[str, Any]  # name, entries, listing_sha256
    counts: Mapping[str, Mapping[str, int]]  # per fold
    unused: Sequence[Mapping[str, Any]]  # reason, images, subjects, first
    proof: Mapping[str, bool | int]
