"""An ONNX file as a model, run by onnxruntime on the processor.

The graph has one input ``[n, 3, s, s]``: float32 in [-1, 1], or uint8, the pixels themselves; its first output is
``[n, d]``. What a recognizer file says in its header, an ONNX file may say in its metadata: ``orientation``
(``canonical`` or ``opposite``), and with it ``name``, ``spectrum``, and ``identities``, a JSON list of the digests
of its training people. Without ``orientation`` the others are not taken for ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.benchmarking.model import BLOCK, Pixels, Vectors, oriented, unit_vectors
from syper_data.errors import InputError, MissingExtraError, SyperError, install_command
from syper_data.imaging.pixels import resize
from syper_data.recognition.embedder import RESIZE_FILTER
from syper_data.recognition.embedding_table import PERSON_DIGEST
from syper_data.recognition.recognizer_file import ORIENTATIONS, SPECTRA

_TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}


class OnnxModel:
    """See the module. Images are resized as for our own recognizers (:mod:`~syper_data.recognition.embedder`)."""

    kind, concurrent = "onnx", True

    def __init__(self, path: Path) -> None:
        """Load a file.

        Raises:
            InputError: no such file, not ONNX, or a graph of another shape.
            MissingExtraError: onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtraError(
                f"{path}: an ONNX file needs onnxruntime: {install_command('quantize')}"
            ) from None
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        self.name, self.sha256 = path.stem, hashlib.sha256(content).hexdigest()
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # another number gives other bits
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            about = dict(self._session.get_modelmeta().custom_metadata_map)
        except Exception as error:  # onnxruntime raises a dozen types of its own
            raise InputError(f"{path}: onnxruntime can't load it ({_first_line(error)})") from error
        self._input, self._type, self._batch, self.input_size = self._shapes(path)
        self._read_metadata(path, about)

    def _shapes(self, path: Path) -> tuple[str, type, int, int]:
        inputs = self._session.get_inputs()
        shape = list(inputs[0].shape) if len(inputs) == 1 else []
        sizes = shape[2:] if len(shape) == 4 and shape[1] == 3 else []
        if inputs[0].type not in _TYPES or len(set(sizes)) != 1 or not isinstance(sizes[0], int) or sizes[0] < 1:
            given = ", ".join(f"{i.type} {i.shape}" for i in inputs) or "no input"
            raise InputError(f"{path}: its input is {given}: must be float32 or uint8 [n, 3, s, s] with a fixed s")
        batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else BLOCK
        return inputs[0].name, _TYPES[inputs[0].type], batch, sizes[0]

    def _read_metadata(self, path: Path, about: Mapping[str, str]) -> None:
        orientation, spectrum = about.get("orientation"), about.get("spectrum") or None
        self.says_orientation = orientation in ORIENTATIONS
        self._opposite = orientation == "opposite"
        self.identities: frozenset[str] = frozenset()
        self.identities_known = False
        self.spectrum: str | None = None
        if not self.says_orientation:
            return
        self.name = about.get("name") or self.name
        self.spectrum = spectrum
        try:
            digests = json.loads(about.get("identities") or "null")
            right = digests is None or all(PERSON_DIGEST.fullmatch(d) for d in digests)
        except (ValueError, TypeError, RecursionError):
            right = False
        if not right or spectrum not in (None, *SPECTRA):
            raise InputError(f"{path}: its metadata name no known spectrum, or identities that are no digests")
        self.identities, self.identities_known = frozenset(digests or ()), digests is not None

    def embed(self, pixels: Sequence[Pixels], sides: Sequence[str | None] | None = None) -> Vectors:
        """Square crops of any size -> float32 [n, d] of length 1.

        Raises:
            InputError: an image is no square uint8 crop.
            SyperError: the graph fails, or gives vectors that are not usable.
        """
        crops = [oriented(x, side) for x, side in zip(pixels, sides or [None] * len(pixels), strict=True)]
        parts = [self._run(crops[i : i + self._batch]) for i in range(0, len(crops), self._batch)]
        return np.concatenate(parts)

    def _run(self, crops: Sequence[Pixels]) -> Vectors:
        """At most a batch, filled up with zeros, so that a vector depends on its image alone."""
        block = np.zeros((self._batch, self.input_size, self.input_size, 3), np.uint8)
        for row, crop in enumerate(crops):
            turned = np.ascontiguousarray(crop[:, ::-1]) if self._opposite else crop
            block[row] = resize(turned, self.input_size, RESIZE_FILTER)
        scaled = block if self._type is np.uint8 else (block.astype(np.float32) - 127.5) / 127.5
        values = np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
        try:
            raw: Any = self._session.run(None, {self._input: values})[0]
        except Exception as error:
            raise SyperError(f"{self.name}: onnxruntime fails ({_first_line(error)})") from error
        return unit_vectors(np.asarray(raw)[: len(crops)], len(crops), self.name)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
