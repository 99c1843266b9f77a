"""``occlude``: an image source becomes a data set with and without occlusion, to test recognizers on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from syper_data.dataset.atomic import atomic_path, remove_leftovers
from syper_data.dataset.lock import folder_lock
from syper_data.dataset.manifest import MAX_SEED
from syper_data.dataset.shards import ROW_GROUP, open_writer
from syper_data.errors import InputError, OutputError, naming_options
from syper_data.gan.config import check_number, check_whole
from syper_data.imaging.codec import encode
from syper_data.imaging.source import KEY_COLUMNS, METADATA_COLUMNS, ImageSource, SourceImage, read_images
from syper_data.imaging.subjects import by_folder
from syper_data.recognition.occlusion.config import EYE_KINDS, OcclusionConfig
from syper_data.recognition.occlusion.image import occlude_image

SHARD = "data/train-00000-of-00001.parquet"
_PLAN = b"syper_occlusions"  # in the file's metadata: what was asked for
_PNG = {"compress_level": 1}

_TEXTS = tuple(METADATA_COLUMNS)
_FEATURES: dict[str, Any] = {
    "image": {"_type": "Image"},
    **{name: {"dtype": "string", "_type": "Value"} for name in _TEXTS},
    **{name: {"dtype": "int64", "_type": "Value"} for name in KEY_COLUMNS},
    "masked": {"dtype": "bool", "_type": "Value"},
    "occlusions": {"dtype": "string", "_type": "Value"},
}
_SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        *((name, pa.string()) for name in _TEXTS),
        *((name, pa.int64()) for name in KEY_COLUMNS),
        ("masked", pa.bool_()),
        ("occlusions", pa.string()),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


def occlude(
    source: str | Path,
    out: str | Path,
    *,
    kinds: Sequence[str] | None = None,
    most: int = 1,
    share: float | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
) -> Path:
    """Write every image of a source twice, clean and occluded, or (``share``) once, that share of them occluded.

    ``kinds`` are those of :class:`OcclusionConfig` (default: all for eye crops; ``mask`` is for aligned faces); 1
    to ``most`` of them lie over an image. Labels are kept (a folder of folders names
    the subjects); the columns ``masked``, which
    ``make_protocol(across="masked")`` reads, and ``occlusions`` are added. With ``share`` no image is compared
    with its own copy. The same source and seed give the same pixels. Writes ``data/`` into ``out``, and returns
    that; the same call again writes nothing.

    Raises:
        ConfigError: an unknown kind, or a value out of range.
        InputError: an image of the source is unreadable or not square, or ``out`` holds something else.
        LockedError: another process is writing into ``out``.
        OutputError: the disk is full.
    """
    out, kinds = Path(out), tuple(kinds or EYE_KINDS)
    with naming_options("seed", "share"):
        check_whole("seed", seed, 0, MAX_SEED)
        if share is not None:
            check_number("share", share, 0, 1)
    config = OcclusionConfig(kinds, 1.0 if share is None else share, most)
    opened = ImageSource.open(source, columns)
    if not len(opened):
        raise InputError(f"{source}: holds no images")
    plan = {
        "kinds": list(config.kinds),
        "most": most,
        "share": share,
        "seed": seed,
        "source": {"entries": len(opened), "listing_sha256": opened.listing_sha256()},
    }
    with folder_lock(out):
        if _is_done(out, plan):
            return out
        remove_leftovers(out)
        images = read_images(source, columns)
        images = by_folder(images) if opened.pictures else images
        _write(out / SHARD, plan, _rows(images, config, share is None, seed))
    return out


def _is_done(out: Path, plan: Mapping[str, Any]) -> bool:
    """Whether the data set of this plan is there."""
    path = out / SHARD
    if not path.exists():
        if any(p for p in out.rglob("*") if p.is_file() and not p.name.startswith(".")):
            raise InputError(f"{out}: holds something else; choose another folder")
        return False
    try:
        stored = (pq.read_schema(path).metadata or {}).get(_PLAN, b"null")
        theirs = json.loads(stored)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable data set; choose another folder") from error
    if theirs != plan:
        raise InputError(f"{out}: holds other occlusions or another source; choose another folder")
    return True


def _rows(
    images: Iterator[SourceImage], config: OcclusionConfig, twice: bool, seed: int
) -> Iterator[dict[str, Any]]:
    for number, image in enumerate(images):
        h, w = image.pixels.shape[:2]
        if h != w:
            raise InputError(f"{image.where}: {w}x{h} pixels, a crop is square (syper-data crop makes them)")
        right = image.side == "image_right"  # occlusions are drawn in canonical orientation
        pixels = np.ascontiguousarray(image.pixels[:, ::-1]) if right else image.pixels
        over, kinds = occlude_image(pixels, config, (seed, number))
        labels = {name: getattr(image, name) for name in (*_TEXTS, *KEY_COLUMNS)}
        if twice:
            yield _row(image.pixels, labels, number, ())
        if not twice or kinds:
            yield _row(np.ascontiguousarray(over[:, ::-1]) if right else over, labels, number, kinds)


def _row(pixels: Any, labels: Mapping[str, Any], number: int, kinds: tuple[str, ...]) -> dict[str, Any]:
    end = "-occluded" if kinds else ""
    named = dict(labels) | {"source_id": f"{labels['source_id'] or number}{end}"}
    stored = {"bytes": encode(pixels, "png", _PNG), "path": f"{number:06d}{end}.png"}
    return {"image": stored, **named, "masked": bool(kinds), "occlusions": "+".join(kinds)}


def _write(path: Path, plan: Mapping[str, Any], rows: Iterator[dict[str, Any]]) -> None:
    """One Parquet file, a row group in memory at a time."""
    schema = _SCHEMA.with_metadata({**_SCHEMA.metadata, _PLAN: json.dumps(plan).encode("utf-8")})
    with atomic_path(path) as temporary:
        try:
            with open_writer(temporary, schema) as writer:
                while batch := list(islice(rows, ROW_GROUP)):
                    writer.write_table(pa.Table.from_pylist(batch, schema))
        except pa.ArrowException as error:
            raise OutputError(f"{path}: cannot be written: {str(error).splitlines()[0]}") from error
