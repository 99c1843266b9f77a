"""Protocols that ``protocol make`` wrote: their lists lie beside the descriptor, their images at ``--root``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from syper_data.cropping.table import Failure
from syper_data.errors import ConfigError
from syper_data.imaging.source import SIDES, ImageSource, Labels
from syper_data.protocols.lists import option
from syper_data.protocols.pictures import KEY_FIELDS, SourcePictures, joined
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
    source = ImageSource.open(request.place, option(options, "columns", {}, Mapping))
    files = option(options, "files", {}, Mapping)
    folder = path.parent / PurePosixPath(option(options, "images", "images.parquet", str)).parent
    return Reading(folds, _pictures(source, option(options, "key", [], list)), _lists(path, folder, files))


def _lists(path: Path, folder: Path, files: Mapping[str, object]) -> tuple[Path, ...]:
    return (path, *(folder / name for name in files if (folder / name).is_file()))


def _pictures(source: ImageSource, key: list[str]) -> SourcePictures:
    if not key or any(name not in KEY_FIELDS for name in key):
        raise ConfigError(f"options.key is {key}: must be some of {', '.join(KEY_FIELDS)}")
    if not source.pictures:
        return SourcePictures.of(source, key)
    sides = {}
    for labels in source.labels():
        found = _by_folder(labels)
        name = joined(found, key)
        if name is not None and found.side is not None:
            sides[name] = found.side
    return SourcePictures.named(source, lambda labels: joined(_by_folder(labels), key), sides)


def _by_folder(labels: Labels | Failure) -> Labels | Failure:
    """Pictures in folders, one folder a subject, and a folder of the side below it if there is one."""
    path = PurePosixPath(labels.source_id)
    folders = path.parts[:-1]
    if labels.subject is not None or not folders:
        return replace(labels, sample=labels.sample or path.stem)
    side = next((folder for folder in folders[1:] if folder in SIDES), labels.side)
    return replace(labels, subject=folders[0], side=side, sample=labels.sample or path.stem)
