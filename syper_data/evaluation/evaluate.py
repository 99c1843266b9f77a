"""``evaluate``: generated images against real ones, written as figures, pictures and a page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import remove_leftovers, write_atomically
from syper_data.dataset.lock import LOCK_NAME, folder_lock
from syper_data.errors import InputError, OutputError, UsageError
from syper_data.evaluation.comparison import MOST_IMAGES, Comparison, compare_features
from syper_data.evaluation.figures import Measures
from syper_data.evaluation.images import (
    ImageSet,
    is_dataset,
    open_judged_generator,
    read_dataset,
    read_real,
    require_other_images,
    sample_images,
    unfinished_run,
)
from syper_data.evaluation.judge import Judge, open_judge
from syper_data.evaluation.page import render_page
from syper_data.evaluation.pictures import Picture, sweep_plot
from syper_data.gan.generator_file import GeneratorFile
from syper_data.imaging.columns import parse_columns
from syper_data.imaging.split import Split
from syper_data.sampling.plan import plan_settings

_PICTURES = ("samples.jpg", "distances.png", "psi-sweep.png", "neighbours-*.jpg")

EVALUATION, PAGE, CACHE = "evaluation.json", "report.html", "cache"
Report = Callable[[str, int, int], None]


def evaluate(
    generator: str | Path | GeneratorFile | None = None,
    *,
    real: str | Path | None = None,
    out: str | Path = "evaluation",
    train: str | Path | None = None,
    columns: Mapping[str, str] | Sequence[str] | None = None,
    n: int | None = None,
    seed_start: int = 0,
    psi: float = 1.0,
    noise_mode: str = "const",
    precision: str = "auto",
    psi_sweep: str | Sequence[float] | None = None,
    subjects: str | Path | Iterable[str] | None = None,
    holdout: float | None = None,
    holdout_side: str = "held-out",
    k: int = 3,
    subsets: int = 100,
    subset_size: int = 500,
    splits: int = 3,
    seed: int = 0,
    cache: str | Path | None = None,
    features_real: str | Path | None = None,
    features_generated: str | Path | None = None,
    features_name: str = "features-from-file",
    workers: int | None = None,
    report: Report | None = None,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Judge a generator, or a dataset's stored images, against the crops ``real``.

    ``generator`` is a bundled name, a generator file, a run's or release's folder, or a dataset
    directory. ``n`` images (default: as many as there are real ones, at most 5,000) are made from
    the seeds ``seed_start ..``. ``subjects`` (the list that the training had) or ``holdout`` (its
    share) takes only the held-out subjects of ``real``, those not trained on, and of ``train``, the
    training crops, their other side; ``train`` adds the memorisation figures.
    ``psi_sweep`` (``"0.5,0.7,1"``) repeats the figures for each truncation. ``features_real`` and
    ``features_generated`` (``.npy`` [n, d]) reduce features made elsewhere instead, named
    ``features_name``. ``columns`` maps our column names to the crops' own, as a mapping or as
    ``subject=person``. ``workers`` processes make the images (default: one a core); their number
    changes no byte. ``report`` is called with (what, done, total).

    Writes ``evaluation.json``, ``report.html`` and the pictures into ``out``; returns the content
    of ``evaluation.json``. Pictures of neighbours show real images.

    Raises:
        UsageError: options that contradict each other, or too few images for them.
        InputError: no such images or generator, images that are not square, ``out`` holds
            something else.
        MissingExtraError: the judge's feature net or matplotlib is not installed.
    """
    out = Path(out)
    measures = Measures(k=k, subsets=subsets, subset_size=subset_size, splits=splits, seed=seed)
    sweep = _parse_sweep(psi_sweep)
    _check_out(out)
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise UsageError(f"--n is {n!r}: must be a whole number of at least 1")
    if features_real is not None or features_generated is not None:
        if features_real is None or features_generated is None:
            raise UsageError("--features-real and --features-generated belong together")
        if generator is not None or real is not None or train is not None or sweep:
            raise UsageError("--features-real replaces GENERATOR, --real, --train and --psi-sweep: leave them out")
        content = compare_features(Path(features_real), Path(features_generated), features_name, measures)
        with folder_lock(out):
            _write(out, content, [])
        return content
    if workers is not None and not 1 <= workers <= 1024:
        raise UsageError(f"--workers is {workers}: must lie in 1..1024")
    if real is None:
        raise UsageError("--real is missing: the real crops to measure against")
    stored = is_dataset(generator)
    if stored and (sweep or psi != 1.0 or seed_start or (noise_mode, precision) != ("const", "auto")):
        raise UsageError("a dataset is judged as stored: only a generator takes psi, seeds, noise and precision")
    judge = judge or open_judge()
    split = Split.of(holdout, subjects)
    names = columns if isinstance(columns, Mapping) else parse_columns(columns or ())
    loaded, weights = (None, None) if stored else open_judged_generator(generator)
    if loaded is not None:  # a value out of range is said before any work
        plan_settings(loaded, psi=psi, noise_mode=noise_mode, precision=precision)
    given = read_dataset(Path(str(generator)), n or MOST_IMAGES, names) if stored else None
    side = loaded.config.resolution if loaded else given.pixels.shape[1] if given else None
    truth = read_real(Path(real), side, columns=names, split=split, side_of_split=holdout_side)
    measures.require(len(truth), str(real))
    trained = None
    if train is not None:
        other = "training" if holdout_side == "held-out" else "held-out"
        trained = read_real(Path(train), side, columns=names, split=split, side_of_split=other)
        require_other_images(truth, trained)
    count = n or min(len(truth), MOST_IMAGES)
    measures.require(len(given) if given else count, "generated images")

    def sampled(at: float) -> ImageSet:
        assert loaded is not None
        options: dict[str, Any] = {"seed_start": seed_start, "noise_mode": noise_mode, "precision": precision}
        options |= {"weights": weights, "workers": workers}
        return sample_images(loaded, count, psi=at, report=report, **options)

    with folder_lock(out):
        remove_leftovers(out)
        samples = given or sampled(psi)
        comparison = Comparison(judge, measures, Path(cache or out / CACHE), truth, trained, report)
        content, pictures = comparison.whole(samples, loaded)
        unfinished = None if loaded is None else unfinished_run(loaded, weights)
        content["warnings"] = [] if unfinished is None else [unfinished]
        if sweep:
            known = {psi: content["figures"]}
            content["psi_sweep"] = [
                {"psi": at, "figures": known.get(at) or comparison.figures(sampled(at))} for at in sweep
            ]
            pictures.append(sweep_plot(content["psi_sweep"], judge.name))
        _write(out, content, pictures)
    return content


def _write(out: Path, content: dict[str, Any], pictures: Sequence[Picture]) -> None:
    """Pictures and page first; ``evaluation.json``, which says that all is there, last."""
    for old in (*_PICTURES, PAGE, EVALUATION):
        for file in out.glob(old):
            file.unlink()
    for picture in pictures:
        write_atomically(out / picture.file, picture.content)
    write_atomically(out / PAGE, render_page(content, pictures))
    write_atomically(out / EVALUATION, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file, not a folder")
    if not out.is_dir():
        return
    found = {p.name for p in out.iterdir()}
    ours = {LOCK_NAME, CACHE, EVALUATION, PAGE}
    strangers = sorted(name for name in found - ours if not any(fnmatch(name, p) for p in _PICTURES))
    if strangers:
        raise InputError(f"{out}: holds something else ({strangers[0]}); choose another --out")


def _parse_sweep(values: str | Sequence[float] | None) -> list[float]:
    parts = values.split(",") if isinstance(values, str) else list(values or ())
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        raise UsageError(f"--psi-sweep is {values!r}: must be numbers such as 0.5,0.7,1") from None
    if any(not math.isfinite(v) or not -2 <= v <= 2 for v in numbers) or len(set(numbers)) < len(numbers):
        raise UsageError(f"--psi-sweep is {values!r}: must be different numbers in -2..2")
    return numbers
