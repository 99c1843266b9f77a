"""What can be benchmarked: anything that turns crops into vectors, found by one word.

:func:`load_model` asks the loaders in turn which of them knows a reference: a recognizer (bundled name or
file), an ONNX file, a file of embeddings, or ``package.module:function``. :func:`register_loader` adds a kind.

A function is the user's own code, run because he names it. It takes uint8 ``[n, s, s, 3]``, images of one size
in canonical orientation (nose at the right edge), and returns float ``[n, d]``; the length of a vector is free.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from syper_data.errors import SyperError, UsageError
from syper_data.imaging.source import SourceImage
from syper_data.recognition.bundled import open_recognizer
from syper_data.recognition.embedder import Embedder, check_crop
from syper_data.recognition.embedding_cache import cache_key

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Vectors = np.ndarray[Any, np.dtype[np.float32]]

BLOCK = 16  # images that a model gets at a time, at most

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class Model(Protocol):
    """What a benchmark needs of a recognizer.

    Further attributes count where they are there: ``kind`` (a word for the records), ``runtime`` (what runs it,
    with its version; a cache of another one is not used), ``cacheable`` (default True: ``sha256`` stands for
    all that a vector depends on), ``concurrent`` (default False: ``embed`` may run in several threads at once),
    ``says_orientation`` (default True; where it is False, ``compat_orientation`` may mirror its input),
    ``notes`` (sentences for every table) and ``find`` (see :class:`Finder`).
    """

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def identities(self) -> frozenset[str]:
        """Digests of the people it was trained on (``recognition.recognizer_file.identity_digest``)."""
        ...

    @property
    def identities_known(self) -> bool: ...

    @property
    def spectrum(self) -> str | None: ...

    def embed(self, pixels: Sequence[Pixels], sides: Sequence[str | None] | None = None) -> Vectors:
        """Square crops of any size -> float32 [n, d] of length 1; those of ``image_right`` are mirrored."""
        ...


class Finder(Protocol):
    """A model that has vectors already: it is asked for them instead of embedding."""

    def find(self, name: str, image: SourceImage, pixel_sha256: str) -> Vectors | None:
        """The vector [d] of an image, None where the file says that it could not be embedded."""
        ...


Loader = Callable[[str], Model | None]

_LOADERS: list[Loader] = []


def register_loader(loader: Loader) -> Loader:
    """Add a kind of model; usable as a decorator. A loader answers None to what is not its kind.

    The last one that was added is asked first.
    """
    _LOADERS.insert(0, loader)
    return loader


def load_model(reference: str | Path) -> Model:
    """The model of a bundled name, a recognizer file, an ``.onnx`` file, a file of embeddings, or a function
    named ``package.module:function``.

    Raises:
        InputError: nothing of that name, or a file that is damaged.
        MissingExtraError: an ONNX file, and onnxruntime is not installed.
        UsageError: no such function.
    """
    given = str(reference)
    for loader in _LOADERS:
        model = loader(given)
        if model is not None:
            return model
    return RecognizerModel(given)


class RecognizerModel(Embedder):
    """A recognizer file, or a bundled one."""

    kind, concurrent = "recognizer", True

    def __init__(self, reference: str) -> None:
        super().__init__(open_recognizer(reference))


class FunctionModel:
    """The user's function. Its digest is that of the file it stands in, not of what that file loads, so that
    no vector is kept from one run to the next."""

    kind, cacheable, says_orientation = "function", False, False
    identities: frozenset[str] = frozenset()
    identities_known = False
    spectrum: str | None = None

    def __init__(self, reference: str, function: Callable[[Pixels], Any]) -> None:
        self.name = reference
        self._function = function
        code = getattr(function, "__code__", None)
        file = Path(code.co_filename) if code is not None else None
        content = file.read_bytes() if file is not None and file.is_file() else b""
        self.sha256 = hashlib.sha256(content + f"\n{reference}".encode()).hexdigest()

    def embed(self, pixels: Sequence[Pixels], sides: Sequence[str | None] | None = None) -> Vectors:
        """Runs of images of one size at a time; see :class:`Model`.

        Raises:
            SyperError: the function fails, or gives something else than one vector an image.
        """
        images = [oriented(x, side) for x, side in zip(pixels, sides or [None] * len(pixels), strict=True)]
        parts = [self._run(np.stack(list(part))) for _, part in groupby(images, key=lambda x: x.shape)]
        if len({part.shape[1] for part in parts}) > 1:
            raise SyperError(f"{self.name}: vectors of different lengths for images of different sizes")
        return np.concatenate(parts)

    def _run(self, block: Pixels) -> Vectors:
        try:
            raw = np.asarray(self._function(block))
        except Exception as error:  # it is the user's code: whatever it raises is told in one line
            first = (str(error).splitlines() or [""])[0]
            raise SyperError(f"{self.name}: raised {type(error).__name__}: {first}") from error
        return unit_vectors(raw, len(block), self.name)


@register_loader
def _function(reference: str) -> Model | None:
    if not _FUNCTION.fullmatch(reference) or Path(reference).exists():
        return None
    module_name, _, name = reference.partition(":")
    try:
        module = import_module(module_name)
    except Exception as error:  # also what the module itself raises
        first = (str(error).splitlines() or [""])[0]
        raise UsageError(
            f"{reference}: {module_name} can't be imported: {type(error).__name__}: {first}"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"{reference}: {module_name} has no function {name}")
    return FunctionModel(reference, function)


@register_loader
def _onnx(reference: str) -> Model | None:
    if Path(reference).suffix.lower() != ".onnx":
        return None
    from syper_data.benchmarking.onnx_model import OnnxModel

    return OnnxModel(Path(reference))


@register_loader
def _student(reference: str) -> Model | None:
    if Path(reference).suffix.lower() != ".syq":
        return None
    from syper_data.quantization.student_file import load_student

    return load_student(reference)


@register_loader
def _embeddings(reference: str) -> Model | None:
    if Path(reference).suffix.lower() != ".parquet":
        return None
    from syper_data.benchmarking.embeddings_model import EmbeddingsModel

    return EmbeddingsModel(Path(reference))


def oriented(pixels: Pixels, side: str | None) -> Pixels:
    """A crop in canonical orientation: one of ``image_right`` is mirrored.

    Raises:
        InputError: no square uint8 crop of three channels, or an unknown side.
    """
    check_crop(pixels, side, "the image")
    return np.ascontiguousarray(pixels[:, ::-1]) if side == "image_right" else pixels


def unit_vectors(raw: Any, images: int, name: str) -> Vectors:
    """What a model gave for so many images -> float32 [n, d] of length 1.

    Raises:
        SyperError: another shape, no numbers, a vector that is not finite, or one that is zero.
    """
    raw = np.asarray(raw)
    if raw.dtype.kind != "f" or raw.ndim != 2 or len(raw) != images or not raw.shape[1]:
        raise SyperError(
            f"{name}: gives {raw.dtype} {list(raw.shape)} for {images} images: must be float [{images}, d]"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(raw.astype(np.float64), axis=1, keepdims=True)
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(wrong):
        what = "is zero" if lengths[wrong[0], 0] == 0 else "holds values that are not finite"
        raise SyperError(f"{name}: the vector of image {wrong[0]} of {images} {what}; it is not usable")
    return cast(Vectors, (raw / lengths).astype(np.float32))


def key_of(pixel_sha256: str, side: str | None) -> bytes:
    """The key of a crop's vector in a cache, as ``embed`` writes it, too."""
    return cache_key(pixel_sha256, side == "image_right")


def labels(models: Sequence[Model], references: Sequence[str | Path] = ()) -> list[str]:
    """A name for each model that none of the others has: its own, with the digest where two share it.

    Raises:
        UsageError: the same model was given twice.
    """
    given = [str(reference) for reference in references] or [model.name for model in models]
    found = []
    for index, model in enumerate(models):
        same = next((i for i, other in enumerate(models[:index]) if other.sha256 == model.sha256), None)
        if same is not None:
            said = "was given twice" if given[same] == given[index] else f"is the same model as {given[same]}"
            raise UsageError(f"--model {given[index]}: {said}; give each once")
        shared = sum(other.name == model.name for other in models) > 1
        found.append(f"{model.name} ({model.sha256[:8]})" if shared else model.name)
    return found


def load_models(references: Sequence[str | Path]) -> dict[str, Model]:
    """Label to model, in the order given.

    Raises:
        UsageError: none, or one of them twice.
        InputError: see :func:`load_model`.
    """
    if not references:
        raise UsageError("--model: no model was given")
    models = [load_model(reference) for reference in references]
    return dict(zip(labels(models, references), models, strict=True))
