"""syper-data: make, audit, publish and use synthetic periocular image data.

``crop`` cuts eyes out of face photos, ``sample`` makes a dataset directory, ``generate`` yields
images, ``verify`` checks a dataset, ``filter`` audits it, ``top_up`` adds to it, ``report`` writes its
page, ``export_hf`` publishes it, ``convert`` reads a published network, ``train_generator`` makes a new one,
``evaluate`` measures it and ``release`` packs it.
``train_recognizer`` makes a recognizer, ``evaluate_recognizer`` measures it, ``embed`` turns images
into its vectors, ``convert_recognizer`` reads a published one. ``make_protocol`` says which images are
compared with which, ``open_protocol`` reads it, ``check_protocol`` says what a copy of the data lacks.
``benchmark`` measures recognizers on a protocol, ``rescore`` computes its figures again from the
scores, ``leaderboard`` keeps them.
``distill`` makes a recognizer with another one as its teacher, ``quantize`` one of few bits and ``export_onnx`` a
graph for integer runtimes of that, ``bench_model`` measures both. ``occlude`` draws over images, to test with.
``reproduce_quantization`` runs the experiment table of such recognizers.
Names and defaults are those of the command line, ``syper-data``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syper_data.errors import SyperError

if TYPE_CHECKING:
    from syper_data.benchmarking.benchmark import benchmark, rescore
    from syper_data.benchmarking.leaderboard import leaderboard
    from syper_data.cropping.crop import crop
    from syper_data.evaluation.evaluate import evaluate
    from syper_data.filtering.filter import filter
    from syper_data.filtering.top_up import top_up
    from syper_data.gan.convert import convert
    from syper_data.gan.training import train_generator
    from syper_data.protocols.check import check_protocol
    from syper_data.protocols.making import make_protocol
    from syper_data.protocols.reading import open_protocol
    from syper_data.publishing.export import export_hf
    from syper_data.publishing.release import release
    from syper_data.quantization.bench_model import bench_model
    from syper_data.quantization.distill import distill
    from syper_data.quantization.onnx_export import export_onnx
    from syper_data.quantization.quantize import quantize
    from syper_data.recognition.checkpoint import convert_recognizer
    from syper_data.recognition.embeddings import embed
    from syper_data.recognition.evaluation import evaluate_recognizer
    from syper_data.recognition.occlusion.occlude import occlude
    from syper_data.recognition.training import train_recognizer
    from syper_data.reporting.report import report
    from syper_data.reproduction.quantization import reproduce_quantization
    from syper_data.sampling.generate import generate
    from syper_data.sampling.sample import sample
    from syper_data.sampling.verify import verify

__version__ = "0.1.0"

__all__ = [
    "SyperError",
    "bench_model",
    "benchmark",
    "check_protocol",
    "convert",
    "convert_recognizer",
    "crop",
    "distill",
    "embed",
    "evaluate",
    "evaluate_recognizer",
    "export_hf",
    "export_onnx",
    "filter",
    "generate",
    "leaderboard",
    "make_protocol",
    "occlude",
    "open_protocol",
    "quantize",
    "release",
    "report",
    "reproduce_quantization",
    "rescore",
    "sample",
    "top_up",
    "train_generator",
    "train_recognizer",
    "verify",
]

_HOMES = {
    "bench_model": "syper_data.quantization.bench_model",
    "benchmark": "syper_data.benchmarking.benchmark",
    "check_protocol": "syper_data.protocols.check",
    "convert": "syper_data.gan.convert",
    "convert_recognizer": "syper_data.recognition.checkpoint",
    "crop": "syper_data.cropping.crop",
    "distill": "syper_data.quantization.distill",
    "embed": "syper_data.recognition.embeddings",
    "evaluate": "syper_data.evaluation.evaluate",
    "evaluate_recognizer": "syper_data.recognition.evaluation",
    "export_hf": "syper_data.publishing.export",
    "export_onnx": "syper_data.quantization.onnx_export",
    "filter": "syper_data.filtering.filter",
    "generate": "syper_data.sampling.generate",
    "leaderboard": "syper_data.benchmarking.leaderboard",
    "make_protocol": "syper_data.protocols.making",
    "occlude": "syper_data.recognition.occlusion.occlude",
    "open_protocol": "syper_data.protocols.reading",
    "quantize": "syper_data.quantization.quantize",
    "release": "syper_data.publishing.release",
    "report": "syper_data.reporting.report",
    "reproduce_quantization": "syper_data.reproduction.quantization",
    "rescore": "syper_data.benchmarking.benchmark",
    "sample": "syper_data.sampling.sample",
    "top_up": "syper_data.filtering.top_up",
    "train_generator": "syper_data.gan.training",
    "train_recognizer": "syper_data.recognition.training",
    "verify": "syper_data.sampling.verify",
}


def __getattr__(name: str) -> Any:
    """Import a function's module when it is first used, so that ``import syper_data`` is instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'syper_data' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
