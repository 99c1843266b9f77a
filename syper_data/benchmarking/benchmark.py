"""``benchmark``: recognizers on a protocol, to figures with intervals, scores that are kept, and a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from syper_data.benchmarking.contamination import require_new_people
from syper_data.benchmarking.earlier import require_same_run
from syper_data.benchmarking.measured import MeasuredFold, Settings, measure, measured, scores_file
from syper_data.benchmarking.models import load_models
from syper_data.benchmarking.opening import open_for_benchmark
from syper_data.benchmarking.page import render_page
from syper_data.benchmarking.results import (
    RESULTS,
    images_record,
    model_record,
    protocol_record,
    read_results,
    results,
    to_text,
)
from syper_data.benchmarking.scores_file import read_scores, write_scores
from syper_data.benchmarking.vectors import embed_images
from syper_data.dataset.atomic import remove_leftovers, write_atomically
from syper_data.dataset.lock import folder_lock
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError, UsageError
from syper_data.protocols.protocol import Fold, Pictures, Protocol

PAGE = "report.html"
SCORES = "scores-*.parquet"

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class BenchmarkResult:
    """Where the output is, and the content of its ``results.json``; ``given`` says which model has which label."""

    path: Path
    results: dict[str, Any]
    shows_images: bool = False
    given: Mapping[str, str] = field(default_factory=dict)


def benchmark(
    *,
    protocol: str | Path | Protocol,
    models: Sequence[str | Path],
    out: str | Path,
    root: str | Path | None = None,
    images: str | Path | None = None,
    folds: Sequence[str] | None = None,
    merged: bool = False,
    paper_compat: bool = False,
    compat_orientation: bool = False,
    allow_contaminated: bool = False,
    allow_other_copy: bool = False,
    repeats: int = 500,
    seed: int = 0,
    show_images: bool = False,
    replace: bool = False,
    cache: str | Path | None = None,
    report: Report | None = None,
) -> BenchmarkResult:
    """Run ``models`` on a protocol and write the folder ``out``: ``results.json``, a file of scores a fold, and
    ``report.html``.

    ``protocol`` is the name of a shipped one, a descriptor file, or an opened one; ``root`` is the user's copy of
    its data (one over generated images needs none), ``images`` where the images lie if elsewhere, ``folds`` the
    names of those to run (default: all). The copy is looked at as ``protocol check`` does; ``allow_other_copy``
    also measures on one that is not the expected one, and says so. ``merged`` counts both eyes of a person as one
    identity. A model is what :func:`~syper_data.benchmarking.models.load_model` takes. ``paper_compat`` adds
    figures as published repositories computed them. ``compat_orientation`` mirrors the input of ONNX files and
    functions, which do not say what they were trained on. ``allow_contaminated`` also tests people whom a model
    was trained on, and says so. Intervals come from ``repeats`` resamples of people, drawn from ``seed``.
    ``show_images`` shows the images of the hardest pairs on the page. ``replace`` writes over another benchmark
    that lies in ``out``; the same one is always written anew. Vectors are kept in the folder ``cache`` (default:
    ``OUT.cache``), so a run that was stopped continues.

    ``report`` is called with images embedded and their number.

    Raises:
        UsageError: options out of range or that don't fit; a fold or a model that is not there.
        InputError: data that is not the protocol's, a copy that lacks something, a model that is no recognizer or
            knows the people; another benchmark lies in ``out``.
        LockedError: another run writes into ``out`` or the cache.
        OutputError: the disk is full or a folder read-only.
    """
    settings = Settings(repeats=repeats, seed=seed, paper_compat=paper_compat)
    target = Path(out)
    vectors_at = Path(cache) if cache is not None else Path(f"{out}.cache")
    with folder_lock(target, forget=True):
        remove_leftovers(target)
        copy = open_for_benchmark(
            protocol, root=root, images=images, folds=folds, merged=merged, allow_other_copy=allow_other_copy
        )
        opened, given = copy.protocol, load_models(models)
        if compat_orientation and all(getattr(model, "says_orientation", True) for model in given.values()):
            raise UsageError(
                "--compat-orientation is for ONNX files and functions; these models say their own orientation"
            )
        found = require_new_people(given, opened.folds, allow_contaminated=allow_contaminated)
        about = protocol_record(opened, copy.differences)
        if not replace:
            require_same_run(target, about, given, compat_orientation=compat_orientation)
        names = list(dict.fromkeys(name for fold in opened.folds for name in fold.images))
        acquired = embed_images(
            opened.pictures, names, given, cache=vectors_at, compat_orientation=compat_orientation, report=report
        )
        done = [
            measure(fold, {label: acquired.of(label, fold.images) for label in given}, settings)
            for fold in opened.folds
        ]
        content = {
            "protocol": about,
            "images": images_record(acquired),
            "models": [
                model_record(label, model, acquired.vectors[label], found[label], opened)
                for label, model in given.items()
            ],
            "settings": asdict(settings)
            | {
                "root": None if root is None else "DIR",
                "images": None if images is None else "SOURCE",
                "folds": list(folds or ()),
                "merged": merged,
                "compat_orientation": compat_orientation,
                "allow_contaminated": allow_contaminated,
                "allow_other_copy": allow_other_copy,
            },
        }
        kept = _write_scores(target, done)
        written = _write(target, content, done, kept, opened.pictures if show_images else None)
    return BenchmarkResult(target, written, show_images, dict(zip(given, map(str, models), strict=True)))


def rescore(path: str | Path) -> BenchmarkResult:
    """Compute the figures of a finished benchmark again from its scores: no network, no image, no protocol.

    ``results.json`` and ``report.html`` of the folder ``path`` are written anew, with the same settings; the page
    shows no image.

    Raises:
        InputError: no finished benchmark, scores that are missing, damaged or another run's.
        LockedError: another run writes into the folder.
    """
    target = Path(path)
    read_results(target)  # before anything is locked or written
    with folder_lock(target):
        old = read_results(target)
        try:
            settings = Settings(**{name: old["settings"][name] for name in ("repeats", "seed", "paper_compat")})
            wanted = {str(fold["name"]): fold["scores_sha256"] for fold in old["folds"]}
            parts = {name: old[name] for name in ("protocol", "images", "models", "settings")}
            labels = [str(model["label"]) for model in old["models"]]
            done = [measured(*_scores(target, name, wanted[name], labels), settings) for name in wanted]
            written = _write(target, parts, done, wanted, None, old.get("environment"))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
            raise InputError(
                f"{target / RESULTS}: is not one that benchmark writes ({type(error).__name__}: {error}); run the "
                "benchmark again, which reuses its vectors"
            ) from error
    return BenchmarkResult(target, written)


def _scores(folder: Path, name: str, sha256: str | None, labels: Sequence[str]) -> tuple[Fold, dict[str, Any]]:
    path = folder / scores_file(name)
    if sha256 is None:
        raise InputError(f"{folder}: the scores of fold {name} were too many to keep; run the benchmark again")
    if not path.is_file():
        raise InputError(f"{path}: is not there; run the benchmark again, which reuses its vectors")
    if file_sha256(path) != sha256:
        raise InputError(f"{path}: is not the one that {RESULTS} lists; run the benchmark again")
    fold, scores = read_scores(path)
    if set(scores) != set(labels):
        raise InputError(f"{path}: holds scores of {', '.join(scores)}, {RESULTS} lists {', '.join(labels)}")
    return fold, {label: scores[label] for label in labels}


def _write_scores(folder: Path, done: Sequence[MeasuredFold]) -> dict[str, str | None]:
    """A file a fold, in place of those of an earlier run, whose results go first; their digests."""
    (folder / RESULTS).unlink(missing_ok=True)
    for path in folder.glob(SCORES):
        path.unlink()
    kept: dict[str, str | None] = {}
    for one in done:
        path = folder / scores_file(one.fold.name)
        if one.scores is not None:
            write_scores(path, one.fold, one.scores)
        kept[one.fold.name] = file_sha256(path) if one.scores is not None else None
    return kept


def _write(
    folder: Path,
    content: dict[str, Any],
    done: Sequence[MeasuredFold],
    kept: Mapping[str, str | None],
    pictures: Pictures | None,
    machine: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The page, and last ``results.json``: where it is, all of it is there."""
    found = results(**content, folds=done, scores=kept, machine=machine)
    write_atomically(folder / PAGE, render_page(found, pictures))
    write_atomically(folder / RESULTS, to_text(found))
    return found
