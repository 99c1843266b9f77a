"""Opens the images of a protocol wherever the user keeps them: as published, or as a table or crops of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from syper_data.cropping.table import Failure
from syper_data.errors import InputError
from syper_data.imaging.source import ImageSource, Labels
from syper_data.protocols.pictures import FolderPictures, Naming, SourcePictures
from syper_data.protocols.reading import Request


def holds_table(place: Path) -> bool:
    """Whether images at ``place`` lie in a table (Parquet, a dataset directory), not in files of their own."""
    if place.is_file():
        return True
    patterns = ("manifest.json", "state.json", "*/state.json", "*.parquet", "data/*.parquet")
    return any(True for pattern in patterns for _ in place.glob(pattern))


def photo_of(labels: Labels | Failure) -> str | None:
    """The file name, without its ending, of the photo that an entry is or was cut from."""
    if labels.sample is not None:
        return labels.sample
    name = getattr(labels, "name", None) or (None if "#" in labels.source_id else labels.source_id)
    return None if name is None else PurePosixPath(name).stem


def image_pictures(
    request: Request,
    folders: Sequence[str],
    *,
    files: Mapping[str, str] | None = None,
    naming: Naming | None = None,
    sides: Mapping[str, str] | None = None,
    subjects: Mapping[str, str] | None = None,
) -> FolderPictures | SourcePictures:
    """The pictures of a request: those of ``--images`` where it is a table (found by ``naming``, or by the name
    of the photo), else files in the first of ``folders`` that is there, or right below the place."""
    spectrum = request.descriptor.spectrum
    if request.images is not None and holds_table(request.images):
        by_photo = {PurePosixPath(name).stem: name for name in sides or files or {}}
        naming = naming or (lambda labels: by_photo.get(photo_of(labels) or ""))
        return SourcePictures.named(open_source(request), naming, sides or {})
    found = next((f for f in folders if (request.place / f).is_dir()), "")
    return FolderPictures(request.place, found, files or {}, sides or {}, subjects or {}, spectrum)


def open_source(request: Request) -> ImageSource:
    """The image source at the request's place, with the descriptor's ``options.columns``."""
    columns = request.descriptor.options.get("columns")
    if columns is not None and not isinstance(columns, Mapping):
        raise InputError(f"{request.descriptor.name}: options.columns is {columns!r}: must map names to names")
    return ImageSource.open(request.place, columns)
