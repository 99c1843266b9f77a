"""How a benchmark was made, in a reader's words: the last table of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from syper_data.rendering.numbers import count

_KINDS = {"onnx": "ONNX file", "embeddings": "file of embeddings", "function": "function of the user's"}
_CHOICES = {
    "merged": "both eyes of a person count as one identity",
    "paper_compat": "figures as published code computes them stand beside",
    "compat_orientation": "the input of ONNX files and functions was mirrored",
    "allow_contaminated": "people whom a model was trained on were allowed",
    "allow_other_copy": "another copy than the expected one was allowed",
}
_ENVIRONMENT = {
    "python": "Python", "torch": "torch", "numpy": "NumPy", "machine": "on", "cpu_capability": "with",
}  # fmt: skip


def made_rows(results: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What was measured of what: a name, a text, and a SHA-256 or nothing."""
    protocol = results["protocol"]
    yield "Protocol", ", ".join(str(protocol[k]) for k in ("name", "dataset", "subset") if protocol[k]), ""
    for fold in protocol["folds"]:
        yield f"Fold {fold['name']}", "", fold["sha256"]
    for name, digest in protocol["source_files"].items():
        yield "List", name, digest
    yield "Images: names and pixels", "", results["images"]["sha256"]
    for model in results["models"]:
        yield f"Model {model['label']}", model_text(model), model["sha256"]
    yield "Settings", settings_text(results["settings"]), ""
    if results.get("environment"):
        yield "Made with", environment_text(results["environment"]), ""
    yield "Toolkit", str(results["toolkit"]), ""


def model_text(model: Mapping[str, Any]) -> str:
    """``recognizer, vectors of 128 values``."""
    words = [_KINDS.get(str(model["kind"]), str(model["kind"])), f"vectors of {model['dim']} values"]
    return ", ".join([*words, *([str(model["runtime"])] if model.get("runtime") else [])])


def settings_text(settings: Mapping[str, Any]) -> str:
    """What was asked for; options that were left alone are not mentioned."""
    folds = [str(name) for name in settings.get("folds") or ()]
    said = [
        f"intervals from {count(settings['repeats'])} resamples of people, drawn with seed {settings['seed']}",
        f"fold{'s' if len(folds) > 1 else ''} {', '.join(folds)}" if folds else "all folds",
        *(["images from a place of their own"] if settings.get("images") else []),
        *(text for name, text in _CHOICES.items() if settings.get(name)),
    ]
    return "; ".join(said)


def environment_text(environment: Mapping[str, Any]) -> str:
    """``Python 3.11.7, torch 2.13.0``: what equal bytes depend on."""
    return ", ".join(f"{_ENVIRONMENT.get(k, k.replace('_', ' '))} {v}" for k, v in environment.items())
