"""Protocols that ``protocol make`` wrote: their lists lie beside the descriptor, their images at ``--root``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from syper_data.cropping.table import FAILURES
from syper_data.errors import ConfigError
from syper_data.imaging.source import ImageSource
from syper_data.protocols.lists import option
from syper_data.protocols.pictures import KEY_FIELDS, SourcePictures
from syper_data.protocols.reading import Reading, Request


def read(request: Request) -> Reading:
    """The wanted folds, and the images found by the fields that the protocol names them by."""
    from syper_data.protocols.parquet_format import read_parquet_protocol

    descriptor = request.descriptor
    path = descriptor.path
    if path is None:
        raise ConfigError("a made protocol is read from its descriptor file")
    folds = tuple(read_parquet_protocol(path, request.root, request.folds))
    options = descriptor.options
    columns = option(options, "columns", {}, Mapping)
    crops = request.place.is_dir() and (request.place / FAILURES).is_file()  # its columns have our names
    source = ImageSource.open(request.place, {} if crops else columns)
    files = option(options, "files", {}, Mapping)
    folder = path.parent / PurePosixPath(option(options, "images", "images.parquet", str)).parent
    return Reading(folds, _pictures(path, source, option(options, "key", [], list)), _lists(path, folder, files))


def _lists(path: Path, folder: Path, files: Mapping[str, object]) -> tuple[Path, ...]:
    return (path, *(folder / name for name in files if (folder / name).is_file()))


def _pictures(path: Path, source: ImageSource, key: list[str]) -> SourcePictures:
    from syper_data.protocols.parquet_format import namer, read_table

    if not key or any(name not in KEY_FIELDS for name in key):
        raise ConfigError(f"options.key is {key}: must be some of {', '.join(KEY_FIELDS)}")
    table = read_table(path)
    sides = {name: side for name, side in zip(table.name, table.side, strict=True) if side}
    return SourcePictures.named(source, namer(table, key), sides)
