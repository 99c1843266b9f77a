"""``verify``: is a dataset directory what its manifest and completion record say?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.dataset.directory import COMPLETE, REJECTED, Completion, DatasetDirectory, PlannedShard
from syper_data.dataset.manifest import sha256_hex
from syper_data.dataset.shards import file_sha256, open_shard, read_shard
from syper_data.errors import InputError, UsageError, VerificationError
from syper_data.execution import open_pool
from syper_data.gan.bundled import find_by_digest
from syper_data.imaging.codec import decode
from syper_data.sampling.environment import (
    current_environment,
    differences,
    drift_tolerance,
    require_device,
    require_same,
)
from syper_data.sampling.render import pixel_sha256

Report = Callable[[str, int, int], None]
_LOSSLESS = ("png",)


@dataclass(frozen=True)
class Verification:
    """What was checked: shards and rows read, rows made again, and the largest pixel difference
    (0 on the manifest's kind of machine; up to the stated tolerance under accepted drift)."""

    shards: int
    rows: int
    regenerated: int
    max_difference: int = 0


def verify(
    path: str | Path,
    *,
    rows: int | str = 100,
    generator: str | Path | None = None,
    workers: int | None = None,
    accept_drift: bool = False,
    report: Report | None = None,
) -> Verification:
    """Check a dataset directory, its top-ups included, and raise at the first thing that is wrong, named.

    In order: manifest, completion record, names of the shards; where images are to be made again, that
    this machine and a generator can do it; of each shard its size and digest, row count, and of each row
    the key and that the image decodes (for lossless formats: to the recorded pixels); then ``rows``
    images (evenly spread; ``"all"``; 0 for none) are made again and compared. ``accept_drift`` allows another
    kind of machine and compares within ``drift_tolerance`` levels of 0..255.

    Raises:
        VerificationError: the first difference, with file, row and key.
        InputError: no dataset, or not complete; no such generator.
        DriftError: this machine can't give the same bytes.
    """
    dataset = DatasetDirectory.open(Path(path))
    total = len(dataset)
    count = _row_count(rows, total)
    record = dataset.completion()
    if record is None and (dataset.path / REJECTED).is_dir():
        dataset.require_complete()  # says that kept images alone can't be verified
    unplanned = dataset.unplanned_files()
    if unplanned:
        raise VerificationError(f"{unplanned[0]}: a shard that the manifest does not plan")
    if record is None:
        dataset.require_complete()
        raise AssertionError("unreachable")
    weights, drifted = _means(dataset, record, generator, accept_drift) if count else (None, False)
    digests: list[str] = []
    for shard, entry in zip(dataset.shards, record.shards, strict=True):
        _check_shard_file(dataset, shard, entry.bytes, entry.sha256)
        digests += _check_rows(dataset, shard)
        if report is not None:
            report("reading", len(digests), total)
    worst = 0
    if weights is not None:
        worst = _regenerate(dataset, weights, count, digests, drifted, workers, report)
    return Verification(len(record.shards), total, count, worst)


def _means(
    dataset: DatasetDirectory, record: Completion, generator: str | Path | None, accept_drift: bool
) -> tuple[Path, bool]:
    """What images are made again with: the generator's file, and whether within a tolerance."""
    require_device(dataset.manifest.settings.device)
    here = current_environment(dataset.manifest.settings)
    environments = [plan.manifest.environment for plan in dataset.plans]
    drifted = bool(record.drift) or any(differences(there, here) for there in environments)
    if drifted and not accept_drift:
        for there in environments:
            require_same(there, here, str(dataset.path))
        raise VerificationError(
            f"{dataset.path / COMPLETE}: made in more than one environment; verify it with --accept-drift"
        )
    return find_by_digest(dataset.manifest.generator.sha256, generator), drifted


def _row_count(rows: int | str, total: int) -> int:
    if rows == "all":
        return total
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 0:
        raise UsageError(f"--rows is {rows!r}: must be a whole number >= 0, or all")
    return min(rows, total)


def _check_shard_file(dataset: DatasetDirectory, shard: PlannedShard, size: int, sha256: str) -> None:
    path = dataset.shard_path(shard)
    if not path.is_file():
        raise VerificationError(f"{path}: missing")
    found = path.stat().st_size
    if found != size:
        raise VerificationError(f"{path}: {found} bytes, {COMPLETE} says {size}")
    digest = file_sha256(path)
    if digest != sha256:
        raise VerificationError(f"{path}: SHA-256 {digest[:16]}..., {COMPLETE} says {sha256[:16]}...")


def _check_rows(dataset: DatasetDirectory, shard: PlannedShard) -> list[str]:
    """The recorded pixel digests of a shard, its rows checked."""
    path, settings = dataset.shard_path(shard), dataset.manifest.settings
    keys = shard.keys()
    try:
        found = open_shard(path).metadata.num_rows
    except InputError as error:
        raise VerificationError(str(error)) from None
    if found != shard.rows:
        raise VerificationError(f"{path}: {found} rows, the manifest plans {shard.rows}")
    channels = 1 if settings.colour_mode == "L" else 3
    shape = (settings.output_size, settings.output_size, channels)
    digests = []
    for row, (values, key) in enumerate(zip(read_shard(path), keys, strict=True)):
        where = f"{path}, row {row} (seed {key[0]}, label {_name(key[1])})"
        if (values["seed"], values["label"]) != key:
            raise VerificationError(f"{where}: holds seed {values['seed']}, label {_name(values['label'])}")
        if values["spectrum"] != dataset.manifest.generator.spectrum:
            raise VerificationError(f"{where}: spectrum is {values['spectrum']!r}")
        try:
            pixels = decode((values["image"] or {}).get("bytes") or b"", settings.colour_mode, where)
        except InputError as error:
            raise VerificationError(str(error)) from None
        if pixels.shape != shape:
            raise VerificationError(
                f"{where}: {pixels.shape[1]}x{pixels.shape[0]} pixels, not {shape[1]}x{shape[0]}"
            )
        if settings.image_format in _LOSSLESS and pixel_sha256(pixels) != values["pixel_sha256"]:
            raise VerificationError(f"{where}: the pixels are not those recorded")
        digests.append(str(values["pixel_sha256"]))
    return digests


def _regenerate(
    dataset: DatasetDirectory,
    weights: Path,
    count: int,
    digests: list[str],
    drifted: bool,
    workers: int | None,
    report: Report | None,
) -> int:
    chosen = sorted({i * len(dataset) // count for i in range(count)})
    tasks = _blocks_of(dataset, chosen, images=drifted)
    wanted, worst, done = set(chosen), 0, 0
    setup = {"dataset": str(dataset.path.resolve()), "generator": str(weights.resolve())}
    stored = _StoredImages(dataset)
    limit = max(1, min(workers or _cores(), len(tasks)))
    job = "syper_data.sampling.worker:remake_rows"
    with open_pool(job, setup, workers=limit, threads=dataset.manifest.settings.threads_per_worker) as pool:
        for answer in pool.run(tasks):
            if "progress" in answer:
                continue
            start, result = answer["task"]["first_row"], answer["result"]
            for offset, pixels in enumerate(result["pixels"]):
                row = start + offset
                if row not in wanted:
                    continue
                if drifted:
                    remade = bytes.fromhex(result["images"][offset])
                    worst = max(worst, stored.compare(row, remade))
                else:
                    stored.require_equal(row, digests[row], pixels, result["encoded"][offset])
                done += 1
            if report is not None:
                report("regenerating", done, len(chosen))
    return worst


def _blocks_of(dataset: DatasetDirectory, rows: list[int], images: bool) -> list[dict[str, Any]]:
    """The tasks that make these rows again: whole blocks of the plan that each row belongs to."""
    block = dataset.manifest.settings.block_size
    span = block * (10 if len(rows) == len(dataset) else 1)
    tasks, first = [], 0
    for number, plan in enumerate(dataset.plans):
        total = len(plan.manifest)
        for start in sorted({(row - first) // span * span for row in rows if first <= row < first + total}):
            stop = min(start + span, total)
            tasks.append(
                {"plan": number, "start": start, "stop": stop, "first_row": first + start, "images": images}
            )
        first += total
    return tasks


class _StoredImages:
    """Random access to a dataset's rows, for comparison with what was made again."""

    def __init__(self, dataset: DatasetDirectory) -> None:
        self.dataset = dataset
        self._shard: int | None = None
        self._images: list[bytes] = []

    def _at(self, row: int) -> tuple[bytes, str]:
        shard = next(s for s in reversed(self.dataset.shards) if s.start <= row)
        path = self.dataset.shard_path(shard)
        if self._shard != shard.index:
            self._images = [v["image"]["bytes"] for v in read_shard(path, ["image"])]
            self._shard = shard.index
        seed, label = shard.keys()[row - shard.start]
        where = f"{path}, row {row - shard.start} (seed {seed}, label {_name(label)})"
        return self._images[row - shard.start], where

    def require_equal(self, row: int, recorded: str, pixels: str, encoded: str) -> None:
        image, where = self._at(row)
        if pixels != recorded:
            raise VerificationError(f"{where}: made again, the pixels differ from those recorded")
        if sha256_hex(image) != encoded:
            raise VerificationError(f"{where}: made again, the encoded image differs from the one stored")

    def compare(self, row: int, remade: bytes) -> int:
        image, where = self._at(row)
        mode = self.dataset.manifest.settings.colour_mode
        difference = _levels(decode(image, mode, where), decode(remade, mode, where))
        tolerance = drift_tolerance(self.dataset.manifest.settings.precision)
        if difference > tolerance:
            raise VerificationError(
                f"{where}: made again here it differs by {difference} levels, "
                f"more than the {tolerance} that another kind of machine explains"
            )
        return difference


def _levels(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> int:
    return int(np.abs(a.astype(np.int16) - b.astype(np.int16)).max()) if a.shape == b.shape else 255


def _name(label: int | None) -> str:
    return "null" if label is None else str(label)


def _cores() -> int:
    import os

    return os.cpu_count() or 1
