"""``top_up``: further seeds, until enough images are kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import syper_data
from syper_data.dataset.atomic import remove_leftovers
from syper_data.dataset.directory import DATA, TOPUPS, DatasetDirectory
from syper_data.dataset.lock import folder_lock
from syper_data.dataset.manifest import MAX_SEED, Manifest, Run
from syper_data.errors import ConfigError, InputError, SyperError, UsageError
from syper_data.filtering.filter import filter_locked
from syper_data.filtering.ledger import LEDGER, read_record
from syper_data.filtering.settings import FilterSettings
from syper_data.gan.bundled import find_by_digest
from syper_data.sampling.environment import current_environment, require_device, require_same
from syper_data.sampling.making import accepted_drift, make_missing

Report = Callable[[str, int, int], None]

_ROUNDS = 20  # a rate that was estimated well needs one or two


@dataclass(frozen=True)
class TopUp:
    """How a dataset stands after :func:`top_up`: images kept and in all, and how many it added."""

    dataset: DatasetDirectory
    kept: int
    rows: int
    added: int


def top_up(
    path: str | Path,
    *,
    kept: int,
    generator: str | Path | None = None,
    measure: Sequence[str] | None = None,
    workers: int | None = None,
    accept_drift: bool = False,
    report: Report | None = None,
) -> TopUp:
    """Make further seeds of the filtered dataset ``path`` until ``kept`` of its images are kept.

    Each round is a plan of its own, ``topups/0001.json`` and so on: the dataset's generator and settings,
    the next seeds that it does not have (of every label as many). Its shards continue the
    dataset's. How many are made follows from the share that was kept so far. The new images are judged
    with the settings that the ledger records; a measure of the user's own must be named again, since
    no file may name code. Killed, the same call goes on.

    Raises:
        UsageError: ``kept`` is no number of images, or ``measure`` is not the ledger's.
        InputError: no complete dataset, or no ledger. DriftError: another kind of machine than the
            dataset's. SyperError: none is kept, or no seeds are left.
    """
    path = Path(path)
    if isinstance(kept, bool) or not isinstance(kept, int) or kept < 1:
        raise UsageError(f"--kept is {kept}: must be at least 1")
    dataset = DatasetDirectory.open(path)
    if not dataset.topups:
        dataset.require_complete()
    settings = _settings(dataset, tuple(measure or ()))
    require_device(dataset.manifest.settings.device)
    weights = find_by_digest(dataset.manifest.generator.sha256, generator)
    with folder_lock(path):
        try:
            return _until_kept(path, kept, settings, weights, workers, accept_drift, report)
        finally:
            for folder in (path, path / DATA, path / TOPUPS):
                remove_leftovers(folder)


def _until_kept(
    path: Path,
    kept: int,
    settings: FilterSettings,
    weights: Path,
    workers: int | None,
    accept_drift: bool,
    report: Report | None,
) -> TopUp:
    for folder in (path, path / DATA, path / TOPUPS):
        remove_leftovers(folder)
    before = None
    for _ in range(_ROUNDS):
        dataset = DatasetDirectory.open(path)
        if dataset.completion() is None:
            drift = accepted_drift(dataset, dataset.plans[-1].manifest.environment, accept_drift)
            make_missing(
                dataset, weights, workers, drift, lambda at: report and report("sampling", at.done, at.total)
            )
        record, current = read_record(dataset)
        before = int(record["rows"]) if before is None else before
        if not current:
            record = filter_locked(path, settings, workers, report).figures
        if record["kept"] >= kept:
            return TopUp(dataset, record["kept"], record["rows"], record["rows"] - before)
        if not record["kept"]:
            raise SyperError(
                f"{path}: none of {record['rows']} images is kept, so further seeds are no help; "
                f"see the reasons in {LEDGER}"
            )
        dataset.add_topup(_plan(dataset, kept - record["kept"], record["kept"] / record["rows"], accept_drift))
    raise SyperError(f"{path}: {record['kept']} of {kept} images kept after {_ROUNDS} top-ups; run it again")


def _plan(dataset: DatasetDirectory, lacking: int, share: float, accept_drift: bool) -> Manifest:
    """The plan of ``lacking`` more kept images, where ``share`` of the images are kept: so many that
    chance (two standard deviations) rarely asks for another round."""
    base = dataset.manifest
    wanted = math.ceil((lacking + 2 * math.sqrt(lacking * (1 - share))) / share)
    labels = sorted({run.label for run in base.runs}, key=lambda label: -1 if label is None else label)
    each = -(-wanted // len(labels))
    runs = []
    for label in labels:
        start = max(r.stop for p in dataset.plans for r in p.manifest.runs if r.label == label)
        if start + each > MAX_SEED + 1:
            raise SyperError(
                f"{dataset.path}: no {each} seeds are left above {start - 1}; the largest is {MAX_SEED}"
            )
        runs.append(Run(start, start + each, label))
    here = current_environment(base.settings)
    if not accept_drift:
        require_same(base.environment, here, str(dataset.path))
    return Manifest(
        toolkit=f"syper-data {syper_data.__version__}",
        generator=base.generator,
        runs=tuple(runs),
        settings=base.settings,
        environment=here,
        shard_rows=base.shard_rows,
        parent_sha256=dataset.plans[-1].sha256,
        first_shard=len(dataset.shards),
    )


def _settings(dataset: DatasetDirectory, measure: tuple[str, ...]) -> FilterSettings:
    """The settings that the ledger records; its measures count only if the user names them, too."""
    record, _ = read_record(dataset)
    try:
        settings = FilterSettings.from_dict(record["settings"])
    except (ConfigError, UsageError, KeyError, TypeError) as error:
        raise InputError(
            f"{dataset.path / LEDGER}: records no settings of a filter ({error}); run syper-data filter again"
        ) from error
    if settings.measure != measure:
        named = " ".join(f"--measure {spec}" for spec in settings.measure) or "no --measure"
        raise UsageError(f"{dataset.path / LEDGER}: was made with {named}; give the same")
    return settings
