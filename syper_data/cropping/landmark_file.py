"""Eye positions from a file: a plain CSV or JSON of our own, CelebA's lists, FFHQ's JSON.

Coordinates are pixels of the upright photo (EXIF orientation applied). Two points are the eyes,
five the eyes, nose and mouth corners, image-left first. An entry is found by the photo's id in the
source, else by its file name; FFHQ lists two pictures under one name, and the size tells which.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from syper_data.cropping.detector import Face
from syper_data.cropping.geometry import Points
from syper_data.errors import InputError

_OURS = (
    "left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "nose_x", "nose_y",
    "mouth_left_x", "mouth_left_y", "mouth_right_x", "mouth_right_y",
)  # fmt: skip
_CELEBA = (
    "lefteye_x", "lefteye_y", "righteye_x", "righteye_y", "nose_x", "nose_y",
    "leftmouth_x", "leftmouth_y", "rightmouth_x", "rightmouth_y",
)  # fmt: skip


@dataclass(frozen=True)
class _Entry:
    points: tuple[float, ...]  # 4 or 10 numbers
    size: tuple[int, int] | None = None  # width, height of the picture they belong to


class LandmarkFile:
    """The landmarks of a file, by photo."""

    def __init__(self, path: str | Path) -> None:
        """Read the whole file.

        Raises:
            InputError: unreadable, none of the layouts, or a number is missing, with the line.
        """
        self.path = Path(path)
        try:
            text = self.path.read_text("utf-8-sig")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}: not a text file") from error
        self._by_id: dict[str, list[_Entry]] = {}
        self._ids: dict[str, list[str]] = {}  # file name -> ids
        pairs = _from_json(text, self.path) if self.path.suffix == ".json" else _from_lines(text, self.path)
        for name, entry in pairs:
            if name not in self._by_id:
                self._ids.setdefault(PurePosixPath(name).name, []).append(name)
            self._by_id.setdefault(name, []).append(entry)
        if not self._by_id:
            raise InputError(f"{self.path}: holds no landmarks")

    def faces(self, ids: Sequence[str | None], width: int, height: int) -> list[Face]:
        """The faces listed for a photo of this size under one of its ids; empty where none is.

        Raises:
            InputError: the photo's file name is listed under several paths.
        """
        for name in ids:
            if name is None:
                continue
            listed = [name] if name in self._by_id else self._ids.get(PurePosixPath(name).name, [])
            fitting = {n: [e for e in self._by_id[n] if e.size in (None, (width, height))] for n in listed}
            if not any(fitting.values()) and width == height:  # FFHQ's aligned picture at another resolution
                fitting = {n: [e for e in self._by_id[n] if e.size and e.size[0] == e.size[1]] for n in listed}
            found = [entries for entries in fitting.values() if entries]
            if len(found) > 1:
                raise InputError(f"{self.path}: {PurePosixPath(name).name} is listed under {len(found)} paths")
            if found:
                return [Face(_points(e, width)) for e in found[0]]
        return []


def _points(entry: _Entry, width: int) -> Points:
    scale = 1.0 if entry.size is None else width / entry.size[0]
    return np.array(entry.points).reshape(-1, 2) * scale


def _from_lines(text: str, path: Path) -> Iterable[tuple[str, _Entry]]:
    lines = text.splitlines()
    first = 0
    if lines and lines[0].strip().isdecimal():  # CelebA's .txt begins with the number of photos
        first = 1
    header = lines[first] if len(lines) > first else ""
    comma = "," in header
    rows = list(csv.reader(io.StringIO("\n".join(lines[first:])))) if comma else [s.split() for s in lines[first:]]
    names = [c.strip() for c in rows[0]] if rows else []
    for columns in (_OURS, _CELEBA):
        for count in (10, 4):
            if set(columns[:count]) <= set(names):
                places = [names.index(c) - (0 if comma else len(names)) for c in columns[:count]]
                return _rows(rows[1:], places, path, first + 2)
    raise InputError(
        f"{path}: no known layout; a CSV begins with the line source_id,{','.join(_OURS[:4])}, "
        f"and may go on with {','.join(_OURS[4:])}"
    )


def _rows(
    rows: Sequence[Sequence[str]], places: Sequence[int], path: Path, first: int
) -> Iterable[tuple[str, _Entry]]:
    for line, row in enumerate(rows, first):
        if not row:
            continue
        try:
            numbers = tuple(float(row[i]) for i in places)
        except (ValueError, IndexError):
            raise InputError(f"{path}, line {line}: needs a name and {len(places)} numbers") from None
        if not all(math.isfinite(n) for n in numbers):
            raise InputError(f"{path}, line {line}: a coordinate is not a finite number")
        yield row[0].strip(), _Entry(numbers)


def _from_json(text: str, path: Path) -> Iterable[tuple[str, _Entry]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON") from error
    if not isinstance(content, dict):
        raise InputError(f'{path}: must look like {{"photo.jpg": [[x, y], [x, y]]}}, or be FFHQ\'s JSON')
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _ffhq(key, value, path)
            continue
        faces = value if _depth(value) == 3 else [value]
        for face in faces:
            yield str(key), _Entry(_numbers(face, (2, 5), f"{path}, {key!r}"))


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    return depth


def _ffhq(key: str, value: Mapping[str, Any], path: Path) -> Iterable[tuple[str, _Entry]]:
    """FFHQ's ffhq-dataset-v2.json: 68 points of the aligned picture and of the one it was cut from.

    The eyes are the means of points 36 to 41 and 42 to 47, the nose 30, the mouth 48 and 54.
    """
    for part in ("image", "in_the_wild"):
        where = f"{path}, {key!r}, {part}"
        try:
            content = value[part]
            name, size = str(content["file_path"]), content["pixel_size"]
            width, height = int(size[0]), int(size[1])
            points = np.array(_numbers(content["face_landmarks"], (68,), where)).reshape(68, 2)
        except (KeyError, TypeError, ValueError, IndexError):
            raise InputError(f"{where}: lacks file_path, pixel_size or face_landmarks") from None
        five = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
        yield name, _Entry(tuple(five.ravel().tolist()), (width, height))


def _numbers(value: Any, counts: Sequence[int], where: str) -> tuple[float, ...]:
    try:
        points = [(float(x), float(y)) for x, y in value]
    except (TypeError, ValueError):
        points = []
    if len(points) not in counts or not all(math.isfinite(n) for p in points for n in p):
        expected = " or ".join(str(c) for c in counts)
        raise InputError(f"{where}: must be {expected} points [x, y]")
    return tuple(n for p in points for n in p)
