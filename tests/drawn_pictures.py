"""Pictures that the tests draw: a face that the detector finds, an eye seen in near-infrared."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

DRAWN_EYES = ((158 / 400, 178 / 400), (242 / 400, 178 / 400))  # shares of the side, image-left first


def drawn_face(size: int = 400) -> Image.Image:
    """A simple face, straight ahead."""
    image = Image.new("RGB", (400, 400), (90, 110, 140))
    draw = ImageDraw.Draw(image)

    def disk(x: float, y: float, rx: float, ry: float, colour: tuple[int, int, int]) -> None:
        draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=colour)

    draw.rectangle((150, 300, 250, 400), fill=(196, 150, 125))
    disk(200, 130, 118, 110, (50, 35, 30))
    disk(200, 205, 100, 135, (214, 168, 142))
    disk(200, 110, 88, 50, (205, 158, 132))
    for x in (158, 242):
        draw.line((x - 28, 150, x, 140, x + 28, 150), fill=(60, 40, 35), width=8)
        disk(x, 178, 24, 13, (150, 105, 88))
        disk(x, 179, 22, 10, (235, 230, 228))
        disk(x, 178, 9.5, 9.5, (70, 50, 40))
        disk(x, 178, 4, 4, (10, 10, 10))
        disk(x + 3, 175, 2, 2, (255, 255, 255))
    draw.polygon([(200, 180), (184, 238), (216, 238)], fill=(200, 150, 125))
    disk(188, 238, 6, 4, (120, 80, 70))
    disk(212, 238, 6, 4, (120, 80, 70))
    disk(200, 282, 36, 12, (165, 80, 80))
    draw.line((164, 282, 236, 282), fill=(110, 50, 50), width=3)
    return image.filter(ImageFilter.GaussianBlur(1.2)).resize((size, size), Image.Resampling.LANCZOS)


def drawn_eye(
    centre: tuple[float, float] = (165.0, 125.0), iris: float = 100.0, pupil: float = 40.0, lid: float = 0.8
) -> Pixels:
    """A near-infrared eye, uint8 [240, 320, 3]: diameters in pixels, ``lid`` the half opening in iris radii."""
    y, x = np.mgrid[:240, :320] + 0.5
    distance = np.hypot(x - centre[0], y - centre[1])
    grey = np.full((240, 320), 150.0)  # skin
    inside = ((x - centre[0]) / (1.1 * iris)) ** 2 + ((y - centre[1]) / (lid * iris / 2)) ** 2 < 1
    grey[inside] = 185
    grey[inside & (distance < iris / 2)] = 110
    grey[inside & (distance < pupil / 2)] = 25
    grey[np.hypot(x - centre[0] - 6, y - centre[1] - 4) < 3] = 255
    grey += np.random.default_rng(0).normal(0, 3, grey.shape)
    image = Image.fromarray(grey.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    return np.asarray(image.convert("RGB"))


def encoded(image: Image.Image | Pixels, image_format: str = "PNG", **options: Any) -> bytes:
    """The picture's bytes."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, image_format, **options)
    return buffer.getvalue()


def write_pictures(folder: Path, **pictures: Image.Image | Pixels | bytes) -> Path:
    """Each keyword argument as ``name.png``; bytes are written as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(picture if isinstance(picture, bytes) else encoded(picture))
    return folder
