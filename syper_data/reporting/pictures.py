"""Images on the page: those of the dataset by their row, those of real people by their name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from syper_data.dataset.shards import open_shard
from syper_data.errors import InputError
from syper_data.filtering.identity import OVERLAP
from syper_data.imaging.codec import decode_rgb
from syper_data.imaging.source import ImageSource, Unreadable, canonical
from syper_data.imaging.subjects import named_entries
from syper_data.rendering.sheet import contact_sheet, encode_sheet
from syper_data.rendering.templates import data_uri
from syper_data.reporting.audited import Audited, Rows

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

SHEET_IMAGES, PAIRS = 60, 12
TILE, SMALL_TILE = 128, 80  # pixels a side, at most


@dataclass(frozen=True)
class Tile:
    """An image for the page, as an address that holds it, and what is said of it."""

    uri: str
    caption: str


@dataclass(frozen=True)
class Pair:
    """A synthetic image and the real one that it resembles most; ``real`` is None unless it may be shown."""

    synthetic: Tile
    real: str | None
    source_id: str
    similarity: float
    flagged: bool


def spread(rows: Rows, most: int) -> Rows:
    """At most so many of the rows, evenly spread, not selected."""
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)])


def tile(pixels: Pixels, side: int, caption: str) -> Tile:
    """uint8 [h, w, 3] -> JPEG of at most ``side`` pixels a side."""
    smaller = contact_sheet([pixels], 1, min(side, len(pixels)))
    return Tile(data_uri(encode_sheet(smaller, "JPEG"), "image/jpeg"), caption)


def images_at(audited: Audited, rows: Iterable[int]) -> dict[int, Pixels]:
    """The images of those rows, uint8 [h, w, 3]; a shard is read only if its bytes are those recorded.

    Raises:
        VerificationError: a shard is not what the completion record lists. InputError: it can't be read.
    """
    wanted, found = np.unique(np.asarray(list(rows), np.int64)), {}
    for shard in audited.dataset.shards:
        mine = wanted[(wanted >= shard.start) & (wanted < shard.start + shard.rows)] - shard.start
        if not len(mine):
            continue
        path = audited.shard_path(shard)
        file, at = open_shard(path), 0
        for group in range(file.metadata.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            here = mine[(mine >= at) & (mine < at + size)]
            if len(here):
                images = (
                    file.read_row_group(group, columns=["image"])["image"].take(pa.array(here - at)).to_pylist()
                )
                for row, image in zip(here, images, strict=True):
                    found[int(row) + shard.start] = decode_rgb(image["bytes"], f"{path}, row {row}")
            at += size
    return found


def sheet(audited: Audited) -> list[Tile]:
    """Sixty of the kept images, evenly spread over the dataset, not selected."""
    rows = spread(audited.kept, SHEET_IMAGES)
    pixels = images_at(audited, rows)
    return [tile(pixels[int(row)], TILE, key_text(audited, int(row))) for row in rows]


def key_text(audited: Audited, row: int) -> str:
    """``seed 7``, ``seed 7, label 2``."""
    seed, label = audited.keys[row]
    return f"seed {seed}" if label is None else f"seed {seed}, label {label}"


def pairs(audited: Audited, real: Mapping[str, Pixels] | None) -> list[Pair]:
    """The images that come nearest to a real one, the flagged first; ``real`` where it may be shown."""
    rows = nearest_rows(audited)
    if not rows:
        return []
    pixels, table = images_at(audited, rows), _columns(audited)
    found = []
    for row in rows:
        name = table["nearest_reference"][row]
        shown = None if real is None or name not in real else tile(real[name], TILE, "").uri
        found.append(
            Pair(
                tile(pixels[row], TILE, key_text(audited, row)),
                shown,
                name or "no name",
                table["nearest_similarity"][row],
                OVERLAP in audited.reasons[row],
            )
        )
    return found


def nearest_rows(audited: Audited) -> list[int]:
    """Rows of the pairs that are shown."""
    if audited.ledger is None or audited.overlap is None:
        return []
    similarity = _columns(audited)["nearest_similarity"]
    order = sorted(range(len(similarity)), key=lambda r: (OVERLAP not in audited.reasons[r], -similarity[r], r))
    return order[:PAIRS]


def real_images(audited: Audited, source: str, columns: Mapping[str, str] | None) -> dict[str, Pixels]:
    """The real images of the shown pairs, by their name in ``source``, in canonical orientation.

    Raises:
        InputError: the source can't be read, or holds none of those images.
    """
    table = _columns(audited)
    wanted = {str(table["nearest_reference"][row]) for row in nearest_rows(audited)}
    found: dict[str, Pixels] = {}
    for entry in named_entries(ImageSource.open(source, columns)):
        name = str(entry.source_id)
        if name in wanted and name not in found and not isinstance(entry, Unreadable):
            found[name] = canonical(entry)
            if len(found) == len(wanted):
                break
    if wanted and not found:
        raise InputError(
            f"{source}: holds none of the real images that the audit names; give the reference of the audit"
        )
    return found


def _columns(audited: Audited) -> dict[str, Sequence[Any]]:
    assert audited.ledger is not None
    table = audited.ledger.table
    return {name: table[name].to_pylist() for name in ("nearest_reference", "nearest_similarity")}
