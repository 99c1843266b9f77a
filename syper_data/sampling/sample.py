"""``sample``: a generator and keys become a dataset directory, resumable at every moment."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import remove_leftovers, write_atomically
from syper_data.dataset.directory import (
    DATA,
    DRIFT,
    MANIFEST,
    DatasetDirectory,
    ShardRecord,
)
from syper_data.dataset.lock import folder_lock
from syper_data.dataset.manifest import Manifest
from syper_data.dataset.shards import check_shard
from syper_data.errors import DriftError, InputError, OutputError, UsageError
from syper_data.execution import open_pool
from syper_data.gan.bundled import find_by_digest, find_generator, open_generator
from syper_data.sampling.environment import current_environment, differences, require_device, require_same
from syper_data.sampling.plan import paper_options, plan_manifest, plan_runs, plan_settings
from syper_data.sampling.worker import shard_record

BYTES_PER_PIXEL = 3.0  # an upper bound for the space check: uncompressed RGB


@dataclass(frozen=True)
class Progress:
    """Images done of those this run has to make; ``done`` counts up to ``total``."""

    done: int
    total: int


Report = Callable[[Progress], None]


def sample(
    *,
    n: int | None = None,
    out: str | Path = "syper",
    generator: str | Path | None = None,
    seeds: str | Sequence[int] | None = None,
    seed_start: int = 0,
    label: int | None = None,
    per_label: int | None = None,
    psi: float = 1.0,
    noise_mode: str = "const",
    precision: str = "auto",
    image_format: str = "png",
    output_size: int | None = None,
    resize_filter: str | None = None,
    preset: str | None = None,
    from_manifest: str | Path | None = None,
    workers: int | None = None,
    device: str = "cpu",
    accept_drift: bool = False,
    report: Report | None = None,
) -> DatasetDirectory:
    """Make a dataset directory; the same call again makes exactly what is missing.

    ``n`` images take seeds ``seed_start ..``; ``seeds`` (``"0-99,250"``) replaces both. A
    conditional generator needs ``label`` or ``per_label``. ``preset="syper-paper"`` is the
    published procedure. ``from_manifest`` remakes the dataset of a manifest and excludes every
    option that the manifest decides. ``workers`` processes (default: one a core) run one thread
    each; their number changes no byte. ``resize_filter`` (Lanczos) belongs to
    ``output_size``. ``report`` is called as images are done.

    Raises:
        UsageError: options that contradict each other or are out of range.
        DriftError: ``out`` was begun with other settings, or on another kind of machine.
        LockedError: another process is writing into ``out``.
        OutputError: the disk is full or the folder read-only; what was finished stays.
    """
    out = Path(out)
    _check_folder(out)
    if workers is not None and not 1 <= workers <= 1024:
        raise UsageError(f"--workers is {workers}: must lie in 1..1024")
    if from_manifest is not None:
        source = Path(from_manifest)
        try:
            manifest = Manifest.from_json(source.read_bytes(), str(source))
        except OSError as error:
            raise InputError(f"{source}: cannot be read: {error.strerror}") from error
        require_device(manifest.settings.device)
        generator_path = find_by_digest(manifest.generator.sha256, generator)
    else:
        options: dict[str, Any] = {
            "psi": psi,
            "noise_mode": noise_mode,
            "image_format": image_format,
            "output_size": output_size,
            "resize_filter": resize_filter,
        }
        if preset is not None:
            options, n = _with_preset(preset, options, n, seeds, per_label)
        loaded = open_generator(generator)
        runs = plan_runs(
            loaded.config.c_dim, n=n, seeds=seeds, seed_start=seed_start, label=label, per_label=per_label
        )
        settings = plan_settings(loaded, precision=precision, device=device, **options)
        manifest = plan_manifest(loaded, runs, settings)
        generator_path = find_generator(generator)
    with folder_lock(out):
        try:
            return _make(out, manifest, generator_path, workers, accept_drift, report)
        finally:  # what ended workers left behind
            for folder in (out, out / DATA):
                remove_leftovers(folder)


def _make(
    out: Path,
    manifest: Manifest,
    generator_path: Path,
    workers: int | None,
    accept_drift: bool,
    report: Report | None,
) -> DatasetDirectory:
    for folder in (out, out / DATA):
        remove_leftovers(folder)
    dataset, drift = _open_or_create(out, manifest, accept_drift)
    unplanned = dataset.unplanned_files()
    if unplanned:
        raise InputError(f"{unplanned[0]}: not planned by {MANIFEST}; move it away")
    missing = dataset.missing_shards()
    record = dataset.completion()
    if not missing and record is not None:
        for shard, entry in zip(dataset.manifest.shards, record.shards, strict=True):
            path = dataset.shard_path(shard)
            if path.stat().st_size != entry.bytes:
                raise InputError(f"{path}: damaged; remove this file and run the same command again")
        return dataset
    shards, gone = dataset.manifest.shards, {s.index for s in missing}
    for shard in shards:
        if shard.index not in gone:
            keys = dataset.manifest.keys(shard.start, shard.start + shard.rows)
            try:
                check_shard(dataset.shard_path(shard), keys)
            except InputError as error:
                raise InputError(f"{error}; remove this file and run the same command again") from None
    records: dict[int, ShardRecord] = {}
    total, done = sum(s.rows for s in missing), 0
    if missing:
        _check_space(out, manifest, total)
        count = min(workers or os.cpu_count() or 1, len(missing))
        if manifest.settings.device == "cuda":
            count = 1
        setup = {"dataset": str(out.resolve()), "generator": str(generator_path.resolve())}
        threads = manifest.settings.threads_per_worker
        with open_pool("syper_data.sampling.worker:make_shards", setup, workers=count, threads=threads) as pool:
            for answer in pool.run({"shard": s.index} for s in missing):
                if "progress" in answer:
                    done += answer["progress"]
                    if report is not None:
                        report(Progress(done, total))
                    continue
                shard = shards[answer["task"]["shard"]]
                result = answer["result"]
                records[shard.index] = ShardRecord(shard.name, shard.rows, result["bytes"], result["sha256"])
    in_order = tuple(records.get(s.index) or shard_record(dataset.shard_path(s), s) for s in shards)
    dataset.complete(in_order, drift)
    return dataset


def _open_or_create(
    out: Path, manifest: Manifest, accept_drift: bool
) -> tuple[DatasetDirectory, tuple[dict[str, Any], ...]]:
    here = current_environment(manifest.settings)
    if not (out / MANIFEST).exists():
        strangers = [p for f in (out / DATA, out) if f.is_dir() for p in f.iterdir() if p != out / DATA]
        names = sorted(p.relative_to(out).as_posix() for p in strangers if not p.name.startswith("."))
        if names:
            raise InputError(f"{out}: holds {names[0]} but no {MANIFEST}; choose another --out")
        if differences(manifest.environment, here) and not accept_drift:
            require_same(manifest.environment, here, str(out / MANIFEST))
        dataset = DatasetDirectory.create(out, manifest)
    else:
        dataset = DatasetDirectory.open(out)
        _require_same_plan(dataset.manifest, manifest, out)
        if dataset.completion() is not None and not dataset.missing_shards():
            return dataset, ()
    drift = _recorded_drift(out)
    found = differences(dataset.manifest.environment, here)
    if found:
        if not accept_drift:
            require_same(dataset.manifest.environment, here, str(out / MANIFEST))
        present = [s.name for s in dataset.manifest.shards if dataset.shard_path(s).exists()]
        entry = {"environment": here, "differences": found, "shards_before": present}
        if entry not in drift:
            drift = (*drift, entry)
            write_atomically(out / DRIFT, json.dumps(list(drift), indent=2) + "\n")
    return dataset, drift


def _require_same_plan(theirs: Manifest, ours: Manifest, out: Path) -> None:
    def refuse(what: str, mine: object, there: object) -> DriftError:
        return DriftError(f"{out}: begun with {what} {there}, this command says {mine}; choose another --out")

    if theirs.generator.sha256 != ours.generator.sha256:
        raise refuse("generator", _short(ours), _short(theirs))
    there, mine = theirs.settings.to_dict(), ours.settings.to_dict()
    for settings in (there, mine):  # library versions are the environment's part
        settings["encoder"] = dict(settings["encoder"]).get("options")
    for name in there:
        if there[name] != mine[name]:
            raise refuse(name, mine[name], there[name])
    if theirs.runs != ours.runs:
        raise refuse("keys", _describe_runs(ours), _describe_runs(theirs))
    if theirs.shard_rows != ours.shard_rows:
        raise refuse("shard_rows", ours.shard_rows, theirs.shard_rows)


def _short(manifest: Manifest) -> str:
    return f"{manifest.generator.name} ({manifest.generator.sha256[:12]})"


def _describe_runs(manifest: Manifest) -> str:
    first = manifest.runs[0]
    label = "" if first.label is None else f" of label {first.label}"
    more = f" and {len(manifest.runs) - 1} more ranges" if len(manifest.runs) > 1 else ""
    return f"{first.start}-{first.stop - 1}{label}{more}"


def _recorded_drift(out: Path) -> tuple[dict[str, Any], ...]:
    file = out / DRIFT
    if not file.exists():
        return ()
    try:
        content = json.loads(file.read_bytes())
        return tuple(dict(entry) for entry in content)
    except (ValueError, TypeError) as error:
        raise InputError(f"{file}: not a readable drift record") from error


def _with_preset(
    preset: str, options: dict[str, Any], n: int | None, seeds: object, per_label: object
) -> tuple[dict[str, Any], int | None]:
    if preset != "syper-paper":
        raise UsageError(f"--preset is {preset!r}: must be syper-paper")
    defaults = {
        "psi": 1.0,
        "noise_mode": "const",
        "image_format": "png",
        "output_size": None,
        "resize_filter": None,
    }
    decided = paper_options()
    for name, value in options.items():
        if value not in (defaults[name], decided[name]):
            raise UsageError(f"--preset syper-paper decides {name}: {decided[name]}, not {value}")
    count = decided.pop("n")
    if n is None and seeds is None and per_label is None:
        n = count
    return decided, n


def _check_folder(out: Path) -> None:
    for folder in (out, *out.resolve().parents):
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder}: is a file, so {out} cannot be made in it; choose another --out")


def _check_space(out: Path, manifest: Manifest, images: int) -> None:
    """Refuse early where even one shard's worth of space is missing; later shortage is caught too."""
    size = manifest.settings.output_size
    needed = min(images, manifest.shard_rows) * size * size * BYTES_PER_PIXEL
    free = shutil.disk_usage(out).free
    if free < needed / 10:  # even well compressed images would not fit
        raise OutputError(f"{out}: {free / 1e6:.0f} MB free, one shard needs up to {needed / 1e6:.0f} MB")
