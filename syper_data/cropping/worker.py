"""What a worker process does: the crops of one part of the source, as one shard."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from syper_data.cropping.detector import Detector, Face
from syper_data.cropping.eye_image import crop_eye_image
from syper_data.cropping.eyes import refine_eyes
from syper_data.cropping.geometry import Square, cut, eye_squares, inter_eye_distance, outside_share
from syper_data.cropping.landmark_file import LandmarkFile
from syper_data.cropping.manifest import CropManifest
from syper_data.cropping.settings import CropSettings
from syper_data.cropping.table import Failure, sample_of, write_crop_shard
from syper_data.dataset.directory import DATA, MANIFEST
from syper_data.errors import SyperError
from syper_data.imaging.codec import encode, file_suffix
from syper_data.imaging.source import SIDES, ImageSource, SourceImage, Unreadable
from syper_data.imaging.spectrum import foreign_spectrum

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Progress = Callable[[int], None]
Result = dict[str, Any] | Failure


class Finder(Protocol):
    """Where faces come from."""

    def __call__(self, image: SourceImage) -> list[Face]:
        """The faces of an image; may raise :class:`SyperError` with the reason why not."""


def open_finder(settings: CropSettings, landmark_file: str | None) -> Finder:
    """The face finder that the settings name."""
    if settings.landmarks == "file":
        listed = LandmarkFile(str(landmark_file))

        def from_file(image: SourceImage) -> list[Face]:
            h, w = image.pixels.shape[:2]
            return listed.faces((image.source_id, image.name), w, h)

        return from_file
    if settings.landmarks == "fixed":
        shares = np.array(settings.fixed_eyes).reshape(2, 2)
        return lambda image: [Face(shares * (image.pixels.shape[1], image.pixels.shape[0]))]
    detector = Detector(settings.detect_size, settings.score_threshold)

    def detected(image: SourceImage) -> list[Face]:
        faces = detector.faces(image.pixels)
        return [Face(refine_eyes(image.pixels, f.landmarks), f.score) for f in faces if _sound(f)]

    return detected


def crop_image(image: SourceImage, finder: Finder, settings: CropSettings) -> Iterator[Result]:
    """The rows of one photo, and what failed in it."""
    try:
        faces = finder(image)
    except SyperError as error:
        yield Failure.of(image, None, str(error))
        return
    if not faces:
        where = {"detector": f"no face found (score below {settings.score_threshold:g})"}
        yield Failure.of(image, None, where.get(settings.landmarks, "no landmarks listed for it"))
        return
    if settings.faces == "only" and len(faces) > 1:
        yield Failure.of(image, None, f"{len(faces)} faces found, and only one is allowed")
        return
    ranked = sorted(faces, key=lambda f: -inter_eye_distance(f.landmarks))
    for number, face in enumerate(ranked if settings.faces == "all" else ranked[:1]):
        yield from _face_crops(image, face, number, len(faces), settings)


def _face_crops(
    image: SourceImage, face: Face, number: int, faces: int, settings: CropSettings
) -> Iterator[Result]:
    distance = inter_eye_distance(face.landmarks)
    if distance < settings.min_eye_distance:
        which = "" if faces == 1 else f"face {number}: "
        reason = f"inter-eye distance {distance:.1f} px is below {settings.min_eye_distance:g} px"
        yield Failure.of(image, None, f"{which}{reason}: the face is too small")
        return
    h, w = image.pixels.shape[:2]
    for side, square in zip(SIDES, eye_squares(face.landmarks), strict=True):
        outside = outside_share(square, w, h)
        if outside > settings.max_outside:
            reason = f"{outside:.0%} of the crop lies outside of the photo, more than {settings.max_outside:.0%}"
            yield Failure.of(image, side, reason)
            continue
        yield {
            # with several faces in the photo, the photo's subject need not be this face's
            **crop_row(image, square, settings, f"{number}_{side}"),
            "subject": image.subject if settings.faces != "all" or faces == 1 else None,
            "side": side,
            "face": number,
            "faces": faces,
            "landmarks": face.landmarks.tolist(),
            "inter_eye_distance": distance,
            "detection_score": face.score,
            "outside": outside,
        }


def crop_row(image: SourceImage, square: Square, settings: CropSettings, suffix: str) -> dict[str, Any]:
    """The columns that every crop has."""
    pixels = cut(image.pixels, square, settings.output_size)
    stem = str(image.source_id).replace("/", "_").replace("#", "_").rsplit(".", 1)[0]
    return {
        "image": {
            "bytes": encode(pixels, settings.image_format, settings.encoder["options"]),
            "path": f"{stem}_{suffix}.{file_suffix(settings.image_format)}",
        },
        "source_id": image.source_id,
        "subject": image.subject,
        "side": image.side,
        "spectrum": image.spectrum or settings.spectrum,
        "sample": sample_of(image),
        "seed": image.seed,
        "label": image.label,
        "pixel_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }


def make_crop_shards(setup: Mapping[str, Any]) -> Callable[[dict[str, Any], Progress], dict[str, Any]]:
    """Job: task ``{"shard": i}`` writes shard ``i`` and returns its counts."""
    out = Path(setup["out"])
    manifest = CropManifest.read(out / MANIFEST)
    settings = manifest.settings
    source = ImageSource.open(setup["source"], manifest.columns)
    finder = None if settings.one_eye else open_finder(settings, setup["landmarks"])

    def results(start: int, stop: int, progress: Progress) -> Iterator[Result]:
        for entry in source.read(start, stop):
            if isinstance(entry, Unreadable):
                yield Failure.of(entry, entry.side, entry.reason.removeprefix(f"{entry.where}: "))
            elif (foreign := foreign_spectrum(entry.spectrum)) is not None:
                yield Failure.of(entry, entry.side, foreign)
            elif finder is None:
                yield crop_eye_image(entry, settings, crop_row)
            else:
                yield from crop_image(entry, finder, settings)
            progress(1)

    def handle(task: dict[str, Any], progress: Progress) -> dict[str, Any]:
        shard = manifest.shards[task["shard"]]
        rows = results(shard.start, shard.stop, progress)
        count, failed = write_crop_shard(out / DATA / shard.name, settings.one_eye, rows)
        return {"rows": count, "failures": failed}

    return handle


def _sound(face: Face) -> bool:
    return bool(np.isfinite(face.landmarks).all()) and inter_eye_distance(face.landmarks) > 1
