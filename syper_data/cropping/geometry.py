"""From landmarks to the square that is cut out of the photo, and the one resampling of it.

Coordinates are in photo pixels, x to the right, y down, the first pixel covering 0..1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Points = np.ndarray[Any, np.dtype[np.float64]]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]

# The ArcFace template at 112 px (Deng et al. 2019): image-left eye, image-right eye, nose, mouth corners
ARCFACE_112 = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
_STRIP = 1 << 20  # source samples computed at once, to bound memory


@dataclass(frozen=True)
class Square:
    """A square in the photo: centre and side in photo pixels, ``angle`` in radians: the direction
    of the square's x axis in the photo."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def corners(self) -> Points:
        """[4, 2] in photo pixels: top left, top right, bottom left, bottom right."""
        offsets = np.array([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]) * self.side
        c, s = math.cos(self.angle), math.sin(self.angle)
        corners: Points = offsets @ np.array([(c, s), (-s, c)]) + (self.x, self.y)
        return corners


def similarity(source: Points, target: Points) -> Points:
    """The similarity [2, 3] that maps ``source`` [n, 2] to ``target`` with the least squared error.

    Umeyama 1991, equations 39 to 43, with the reflection excluded. Two points are met exactly.

    Raises:
        ValueError: the source points coincide.
    """
    centre_s, centre_t = source.mean(axis=0), target.mean(axis=0)
    s, t = source - centre_s, target - centre_t
    variance = float((s**2).sum()) / len(source)
    if not variance > 1e-12:
        raise ValueError("the landmarks coincide")
    u, d, vt = np.linalg.svd(t.T @ s / len(source))
    sign = np.array([1.0, 1.0 if np.linalg.det(u) * np.linalg.det(vt) >= 0 else -1.0])
    rotation = u @ np.diag(sign) @ vt
    scale = float((d * sign).sum()) / variance
    matrix = scale * rotation
    return np.hstack([matrix, (centre_t - matrix @ centre_s)[:, None]])


def inter_eye_distance(landmarks: Points) -> float:
    """Distance of the eye centres in photo pixels; ``landmarks`` [2 or 5, 2] begin with the eyes."""
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))


def eye_squares(landmarks: Points) -> tuple[Square, Square]:
    """The squares around the image-left and the image-right eye (Kolf et al. 2023).

    The face is aligned to the ArcFace template by the similarity of its points (five, or the eyes
    alone); in the aligned face each crop is upright, centred on the eye, with the inter-eye
    distance as its side. The centre is the eye's own landmark, carried through the alignment, not
    the template's eye: the crop promises the eye at its centre, and on a turned face the two differ
    by several pixels. Seen from the photo the scale cancels: what the alignment decides is the angle.

    Raises:
        ValueError: the landmarks coincide.
    """
    matrix = similarity(landmarks, ARCFACE_112[: len(landmarks)])
    angle = -math.atan2(matrix[1, 0], matrix[0, 0])
    side = inter_eye_distance(landmarks)
    left, right = (Square(float(x), float(y), side, angle) for x, y in landmarks[:2])
    return left, right


def outside_share(square: Square, width: int, height: int) -> float:
    """Share of the square's area that lies outside of the photo, 0..1 (on a 64 x 64 grid)."""
    grid = (np.arange(64) + 0.5) / 64 - 0.5
    x, y = _photo_coordinates(square, grid[None, :], grid[:, None])
    return float(1 - ((x >= 0) & (x < width) & (y >= 0) & (y < height)).mean())


def cut(photo: Pixels, square: Square, size: int) -> Pixels:
    """Resample the square to uint8 [size, size, c], once, straight from the photo [h, w, c].

    The square is sampled by bicubic interpolation (Keys 1981, a = -0.75), at least once a photo
    pixel; where that is finer than the output, an antialiased bicubic filter (a = -0.5, as wide as
    the reduction asks for) brings it down. Nothing is rounded in between. Beyond the photo's edge
    the photo is reflected, never stretched.
    """
    import torch

    k = max(1, math.ceil(square.side / size - 1e-6))
    grid = (np.arange(size * k) + 0.5) / (size * k) - 0.5
    region, x0, y0 = _region(photo, square)
    h, w = region.shape[:2]
    image = torch.from_numpy(region.astype(np.float32)).permute(2, 0, 1)[None]
    rows = max(1, _STRIP // (size * k))
    strips = []
    for start in range(0, size * k, rows):
        x, y = _photo_coordinates(square, grid[None, :], grid[start : start + rows, None])
        where = np.stack([(x - x0) * 2 / w - 1, (y - y0) * 2 / h - 1], axis=-1).astype(np.float32)
        samples = torch.nn.functional.grid_sample(
            image, torch.from_numpy(where)[None], mode="bicubic", padding_mode="reflection", align_corners=False
        )
        strips.append(samples)
    values = torch.cat(strips, dim=2)
    if k > 1:
        values = torch.nn.functional.interpolate(values, (size, size), mode="bicubic", antialias=True)
    pixels: Pixels = (values[0].permute(1, 2, 0) + 0.5).clamp(0, 255).to(torch.uint8).numpy()
    return np.ascontiguousarray(pixels)


def to_photo(square: Square, u: float, v: float) -> tuple[float, float]:
    """A place in the square, given as shares of its side from its centre, in photo pixels."""
    x, y = _photo_coordinates(square, np.array(u), np.array(v))
    return float(x), float(y)


def _photo_coordinates(square: Square, u: Points, v: Points) -> tuple[Points, Points]:
    c, s = math.cos(square.angle) * square.side, math.sin(square.angle) * square.side
    return square.x + c * u - s * v, square.y + s * u + c * v


def _region(photo: Pixels, square: Square) -> tuple[Pixels, int, int]:
    """The part of the photo that the samples touch, and its offset. A side that the crop leaves
    ends at the photo's edge, so that the reflection happens there."""
    corners = square.corners()
    low, high = np.floor(corners.min(axis=0)) - 3, np.ceil(corners.max(axis=0)) + 3
    h, w = photo.shape[:2]
    # where the photo is left, the mirror image reaches as far back in as the crop reaches out
    x0, y0 = int(max(0, min(low[0], 2 * w - high[0]))), int(max(0, min(low[1], 2 * h - high[1])))
    x1, y1 = int(min(w, max(high[0], -low[0]))), int(min(h, max(high[1], -low[1])))
    return photo[y0:y1, x0:x1], x0, y0
