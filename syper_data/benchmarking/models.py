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
from typing import Any

import numpy as np

from syper_data.benchmarking.model import Model, Pixels, Vectors, oriented, unit_vectors
from syper_data.errors import SyperError, UsageError
from syper_data.recognition.bundled import open_recognizer
from syper_data.recognition.embedder import Embedder

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


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
