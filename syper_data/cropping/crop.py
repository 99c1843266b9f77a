"""``crop``: face photos, or images of one eye, become a dataset directory of kind ``crops``."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import syper_data
from syper_data.cropping.manifest import CropManifest, SourceIdentity
from syper_data.cropping.settings import CropSettings
from syper_data.cropping.table import FAILURES, Failure, read_crop_shard, write_failures
from syper_data.dataset.atomic import remove_leftovers, write_atomically
from syper_data.dataset.directory import COMPLETE, DATA, MANIFEST, Completion, ShardRecord
from syper_data.dataset.lock import folder_lock
from syper_data.dataset.manifest import sha256_hex
from syper_data.dataset.shards import file_sha256
from syper_data.errors import ConfigError, DriftError, InputError, OutputError, UsageError, naming_options
from syper_data.execution import open_pool
from syper_data.imaging.codec import encoder_identity
from syper_data.imaging.hub_source import HUB
from syper_data.imaging.source import ImageSource

Report = Callable[[int, int], None]

_SHARD, _SMALL_SHARD, _MAX_SHARDS = 500, 100, 9000  # entries, entries, files a folder
_FIGURE = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Crops:
    """A finished ``crops`` directory: entries of the source, crops made, what gave none, and in how
    many photos more than one face was seen."""

    path: Path
    entries: int
    crops: int
    failures: tuple[Failure, ...]
    several_faces: int = 0

    def reasons(self) -> list[tuple[str, int]]:
        """The failures by kind, most frequent first; figures and places in the reasons are left out."""
        kinds = Counter(_kind(failure.reason) for failure in self.failures)
        return kinds.most_common()


def crop(
    source: str | Path,
    out: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    landmarks: str | Path | None = None,
    fixed_eyes: str | Sequence[float] | None = None,
    already_cropped: bool = False,
    iris_diameters: float = 2.4,
    iris_ratio: float | None = None,
    iris_pixels: float | None = None,
    output_size: int = 128,
    spectrum: str = "vis",
    faces: str = "largest",
    score_threshold: float = 0.5,
    detect_size: int = 640,
    max_outside: float = 0.2,
    min_eye_distance: float = 16.0,
    image_format: str = "png",
    workers: int | None = None,
    report: Report | None = None,
) -> Crops:
    """Cut both eyes out of every face photo of ``source``; the same call again continues.

    ``source`` is a folder, Parquet, a dataset directory, a folder saved by ``datasets``, or
    ``hf:OWNER/NAME``, a Hub dataset; ``columns`` maps our column names to its own. The eyes come
    from the packaged detector, from ``landmarks`` (a file: our CSV or JSON, CelebA's, FFHQ's) or
    from ``fixed_eyes`` ("x1,y1,x2,y2", shares of width and height). Of several faces ``faces``
    takes the ``largest``, ``all``, or allows ``only`` one. A face photo's crop is a square around
    the eye, its side the inter-eye distance (:func:`~syper_data.cropping.geometry.eye_squares`).

    ``already_cropped``: the images show one eye; the iris is found, and the crop is
    ``iris_diameters`` of its diameters wide. ``iris_ratio`` says instead that every image is that
    many iris diameters wide and centred on the eye (5.4 for crops of one inter-eye distance).
    ``iris_pixels`` is about how wide the irises of this camera are: much smaller or larger circles, such as
    the edge of a lid, are then not taken for one.

    ``report`` is called with entries done and their number. Crops are not mirrored.

    Raises:
        UsageError: options out of range or contradictory; nothing usable at ``source``; no crop.
        MissingExtraError: the detector is needed and the extra ``crop`` is not installed.
        DriftError: ``out`` holds the crops of another command.
        LockedError: another process is writing into ``out``.
        OutputError: the disk is full or the folder read-only; what was finished stays.
    """
    if workers is not None and not 1 <= workers <= 1024:
        raise UsageError(f"--workers is {workers}: must lie in 1..1024")
    out = Path(out)
    settings = _settings(
        _landmark_source(landmarks, fixed_eyes, already_cropped, iris_ratio, iris_pixels),
        output_size=output_size,
        spectrum=spectrum,
        faces=faces,
        score_threshold=float(score_threshold),
        detect_size=detect_size,
        max_outside=float(max_outside),
        min_eye_distance=float(min_eye_distance),
        fixed_eyes=_shares(fixed_eyes),
        iris_diameters=float(iris_diameters),
        iris_ratio=iris_ratio if iris_ratio is None else float(iris_ratio),
        iris_pixels=iris_pixels if iris_pixels is None else float(iris_pixels),
        image_format=image_format,
    )
    _check_places(source, out)
    opened = ImageSource.open(source, columns)
    if not len(opened):
        raise InputError(f"{source}: holds no image")
    manifest = _manifest(opened, settings, landmarks, columns)
    setup = {
        "out": str(out.resolve()),
        "source": str(source) if str(source).startswith(HUB) else str(Path(source).resolve()),
        "landmarks": None if landmarks is None else str(Path(landmarks).resolve()),
    }
    with folder_lock(out):
        try:
            return _make(out, manifest, setup, workers, report)
        finally:
            for folder in (out, out / DATA):
                remove_leftovers(folder)


def _make(
    out: Path, manifest: CropManifest, setup: dict[str, Any], workers: int | None, report: Report | None
) -> Crops:
    for folder in (out, out / DATA):
        remove_leftovers(folder)
    theirs = _open_or_create(out, manifest)
    shards, one_eye = manifest.shards, manifest.settings.one_eye
    planned = {s.name for s in shards}
    strangers = sorted(p for p in (out / DATA).glob("*.parquet") if p.name not in planned)
    if strangers:
        raise InputError(f"{strangers[0]}: not planned by {MANIFEST}; move it away")
    missing = [s for s in shards if not (out / DATA / s.name).exists()]
    if not missing and (out / COMPLETE).exists():
        return _finished(out, theirs, _completion(out))
    total, done = sum(s.stop - s.start for s in missing), 0
    if missing:
        count = min(workers or os.cpu_count() or 1, len(missing))
        job = "syper_data.cropping.worker:make_crop_shards"
        with open_pool(job, setup, workers=count, threads=1) as pool:
            for answer in pool.run({"shard": s.index} for s in missing):
                done += answer.get("progress", 0)
                if report is not None and "progress" in answer:
                    report(done, total)
    records, failures = [], []
    for shard in shards:
        path = out / DATA / shard.name
        rows, failed = _read(path, one_eye)
        failures += failed
        records.append(ShardRecord(shard.name, rows, path.stat().st_size, file_sha256(path)))
    write_failures(out / FAILURES, failures)
    completion = Completion(sha256_hex((out / MANIFEST).read_bytes()), tuple(records))
    write_atomically(out / COMPLETE, completion.to_json())
    return _finished(out, manifest, completion)


def _finished(out: Path, manifest: CropManifest, completion: Completion) -> Crops:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    failures: list[Failure] = []
    several = 0
    for shard, record in zip(manifest.shards, completion.shards, strict=True):
        path = out / DATA / shard.name
        if path.stat().st_size != record.bytes:
            raise InputError(f"{path}: damaged; remove this file and run the same command again")
        failures += _read(path, manifest.settings.one_eye)[1]
        if not manifest.settings.one_eye:
            table = pq.read_table(path, columns=["source_id", "faces"])
            several += len(pc.unique(table.filter(pc.greater(table["faces"], 1))["source_id"]))
    total = sum(s.rows for s in completion.shards)
    crops = Crops(out, manifest.source.entries, total, tuple(failures), several)
    if not total:
        reason, count = crops.reasons()[0]
        raise InputError(
            f"{out}: no image gave a crop; most often ({count} of {manifest.source.entries}): {reason}; "
            f"{out / FAILURES} lists them all"
        )
    return crops


def _read(path: Path, one_eye: bool) -> tuple[int, list[Failure]]:
    try:
        return read_crop_shard(path, one_eye)
    except InputError as error:
        raise InputError(f"{error}; remove this file and run the same command again") from None


def _completion(out: Path) -> Completion:
    completion = Completion.from_json((out / COMPLETE).read_bytes(), str(out / COMPLETE))
    if completion.manifest_sha256 != sha256_hex((out / MANIFEST).read_bytes()):
        raise InputError(f"{out / COMPLETE}: belongs to another manifest than {MANIFEST}: it was edited")
    return completion


def _open_or_create(out: Path, manifest: CropManifest) -> CropManifest:
    path = out / MANIFEST
    if not path.exists():
        held = sorted(entry.name for entry in out.iterdir() if not entry.name.startswith("."))
        if held:
            raise InputError(f"{out}: holds {held[0]} but no {MANIFEST}; choose another folder")
        write_atomically(path, manifest.to_json())
        return manifest
    theirs = CropManifest.read(path)
    finished = (out / COMPLETE).exists()
    ours = replace(manifest, environment=theirs.environment) if finished else manifest
    there, here = _flat(theirs), _flat(ours)
    for name in sorted(set(there) | set(here)):
        if there.get(name) != here.get(name):
            raise DriftError(
                f"{out}: begun with {name} {there.get(name)}, this command has {here.get(name)}; "
                "choose another folder"
            )
    return theirs


def _flat(manifest: CropManifest) -> dict[str, Any]:
    values = asdict(manifest)
    encoder = values["settings"].pop("encoder")
    flat = {"encoder options": encoder.get("options"), "shard_entries": manifest.shard_entries}
    for part in ("source", "columns", "settings", "landmarks", "environment"):
        flat |= {f"{part}: {k}" if part != "settings" else k: v for k, v in values[part].items()}
    return json.loads(json.dumps(flat))  # type: ignore[no-any-return]


def _manifest(
    source: ImageSource, settings: CropSettings, landmarks: str | Path | None, columns: Mapping[str, str] | None
) -> CropManifest:
    import numpy
    import PIL
    import torch

    identity: dict[str, str] = {"source": settings.landmarks}
    if settings.landmarks == "detector":
        from syper_data.cropping.detector import detector_identity

        identity |= detector_identity()
    elif settings.landmarks == "file":
        from syper_data.cropping.landmark_file import LandmarkFile

        path = Path(str(landmarks))
        LandmarkFile(path)  # a mistake in it is said before any work
        identity |= {"file": path.name, "sha256": file_sha256(path)}
    total = len(source)
    small = total < 20 * _SMALL_SHARD
    own = Path(source.path) / MANIFEST
    digest = file_sha256(own) if not source.path.startswith(HUB) and own.is_file() else None
    name = source.path if source.path.startswith(HUB) else Path(source.path).resolve().name
    return CropManifest(
        toolkit=f"syper-data {syper_data.__version__}",
        source=SourceIdentity(name, total, source.listing_sha256(), digest),
        columns=dict(columns or {}),
        settings=settings,
        landmarks=identity,
        environment={"torch": torch.__version__, "numpy": numpy.__version__, "pillow": PIL.__version__},
        shard_entries=_SMALL_SHARD if small else max(_SHARD, -(-total // _MAX_SHARDS)),
    )


def _settings(landmarks: str, **values: Any) -> CropSettings:
    name = values["image_format"]
    known = name in ("png", "jpeg", "webp")
    with naming_options(*values):
        return CropSettings(landmarks=landmarks, encoder=encoder_identity(name) if known else {}, **values)


def _landmark_source(
    landmarks: object, fixed_eyes: object, already_cropped: bool, iris_ratio: object, iris_pixels: object
) -> str:
    options = {
        "--landmarks": landmarks is not None,
        "--fixed-eyes": fixed_eyes is not None,
        "--already-cropped": already_cropped,
    }
    given = [name for name, chosen in options.items() if chosen]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} exclude each other")
    if iris_ratio is not None and not already_cropped:
        raise UsageError("--iris-ratio belongs to --already-cropped")
    if iris_pixels is not None and (not already_cropped or iris_ratio is not None):
        raise UsageError("--iris-pixels belongs to --already-cropped, without --iris-ratio")
    if already_cropped:
        return "iris" if iris_ratio is None else "iris_ratio"
    return "file" if landmarks is not None else "fixed" if fixed_eyes is not None else "detector"


def _shares(fixed_eyes: str | Sequence[float] | None) -> tuple[float, ...] | None:
    if fixed_eyes is None:
        return None
    parts = fixed_eyes.split(",") if isinstance(fixed_eyes, str) else fixed_eyes
    try:
        return tuple(float(p) for p in parts)
    except (TypeError, ValueError):
        raise ConfigError(f"--fixed-eyes is {fixed_eyes!r}: must be x1,y1,x2,y2 as shares in 0..1") from None


def _check_places(source: str | Path, out: Path) -> None:
    for folder in (out, *out.resolve().parents):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file, so {out} cannot be made in it")
    if str(source).startswith(HUB):
        return
    path = Path(source)
    if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
        raise UsageError(f"{out}: lies inside {path}, which is read; choose a folder outside of it")
    if (path / MANIFEST).is_file() and not (path / COMPLETE).is_file():
        raise InputError(f"{path}: not complete; finish the dataset first, with the command that began it")


def _kind(reason: str) -> str:
    return _FIGURE.sub("#", reason)
