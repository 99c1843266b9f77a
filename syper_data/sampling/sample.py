"""``sample``: a generator and keys become a dataset directory, resumable at every moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import remove_leftovers
from syper_data.dataset.directory import (
    DATA,
    MANIFEST,
    DatasetDirectory,
    Plan,
    read_topups,
)
from syper_data.dataset.lock import folder_lock
from syper_data.dataset.manifest import Manifest, sha256_hex
from syper_data.errors import DriftError, InputError, UsageError
from syper_data.gan.bundled import find_by_digest, find_generator, open_generator
from syper_data.sampling.environment import current_environment, differences, require_device, require_same
from syper_data.sampling.making import Report, accepted_drift, make_missing
from syper_data.sampling.plan import paper_options, plan_manifest, plan_runs, plan_settings


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
    published procedure. ``from_manifest`` remakes the dataset of a manifest, with the top-ups in the
    folder ``topups`` beside it, and excludes every option that the manifest decides. ``workers``
    processes (default: one a core) run one thread each; their number changes no byte.
    ``resize_filter`` (Lanczos) belongs to ``output_size``. ``report`` is called as images are done.

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
    topups: tuple[Plan, ...] = ()
    if from_manifest is not None:
        manifest, topups = _read_plans(Path(from_manifest))
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
            return _make(out, manifest, topups, generator_path, workers, accept_drift, report)
        finally:  # what ended workers left behind
            for folder in (out, out / DATA):
                remove_leftovers(folder)


def _make(
    out: Path,
    manifest: Manifest,
    topups: tuple[Plan, ...],
    generator_path: Path,
    workers: int | None,
    accept_drift: bool,
    report: Report | None,
) -> DatasetDirectory:
    for folder in (out, out / DATA):
        remove_leftovers(folder)
    dataset, drift = _open_or_create(out, manifest, accept_drift)
    for plan in topups[len(dataset.topups) :]:
        dataset = dataset.add_topup(plan.manifest)
    if dataset.missing_shards():
        for plan in dataset.topups:
            drift = accepted_drift(dataset, plan.manifest.environment, accept_drift)
    return make_missing(dataset, generator_path, workers, drift, report)


def _read_plans(source: Path) -> tuple[Manifest, tuple[Plan, ...]]:
    try:
        data = source.read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}") from error
    manifest = Manifest.from_json(data, str(source))
    if manifest.parent_sha256 is not None:
        raise InputError(f"{source}: is the plan of a top-up; give the manifest.json of its dataset")
    return manifest, read_topups(source.parent, Plan(manifest, sha256_hex(data)))


def _open_or_create(
    out: Path, manifest: Manifest, accept_drift: bool
) -> tuple[DatasetDirectory, tuple[dict[str, Any], ...]]:
    if not (out / MANIFEST).exists():
        here = current_environment(manifest.settings)
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
    return dataset, accepted_drift(dataset, dataset.manifest.environment, accept_drift)


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
