"""``verify``: is a dataset directory, or an export of its kept images, what its manifest and record say?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syper_data.dataset.directory import COMPLETE, KEPT, Completion, DatasetDirectory
from syper_data.dataset.kept import read_kept
from syper_data.errors import UsageError, VerificationError
from syper_data.execution import open_pool
from syper_data.gan.bundled import find_by_digest
from syper_data.sampling.environment import current_environment, differences, require_device, require_same
from syper_data.sampling.stored import StoredImages

Report = Callable[[str, int, int], None]


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

    An export of kept images is checked in the same way against ``kept.json``; its kept and its rejected keys
    must together be those of the plan, each once.

    Raises:
        VerificationError: the first difference, with file, row and key.
        InputError: no dataset, or not complete; no such generator.
        DriftError: this machine can't give the same bytes.
    """
    dataset = DatasetDirectory.open(Path(path))
    kept = read_kept(dataset)
    record = dataset.require_complete() if kept is None else kept.kept
    stored = StoredImages(dataset, record, kept)
    count = _row_count(rows, len(stored))
    stored.check_names()
    weights, drifted = _means(dataset, record, generator, accept_drift) if count else (None, False)

    def seen(images: int) -> None:
        if report is not None:
            report("reading", images, len(stored))

    stored.check(seen)
    worst = 0 if weights is None else _regenerate(stored, weights, count, drifted, workers, report)
    return Verification(len(record.shards), len(stored), count, worst)


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
        name = KEPT if (dataset.path / KEPT).is_file() else COMPLETE
        raise VerificationError(
            f"{dataset.path / name}: made in more than one environment; verify it with --accept-drift"
        )
    return find_by_digest(dataset.manifest.generator.sha256, generator), drifted


def _row_count(rows: int | str, total: int) -> int:
    if rows == "all":
        return total
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 0:
        raise UsageError(f"--rows is {rows!r}: must be a whole number >= 0, or all")
    return min(rows, total)


def _regenerate(
    stored: StoredImages,
    weights: Path,
    count: int,
    drifted: bool,
    workers: int | None,
    report: Report | None,
) -> int:
    dataset = stored.dataset
    wanted = {stored.places[i * len(stored) // count]: i * len(stored) // count for i in range(count)}
    tasks = _blocks_of(dataset, sorted(wanted), images=drifted)
    worst = done = 0
    setup = {"dataset": str(dataset.path.resolve()), "generator": str(weights.resolve())}
    limit = max(1, min(workers or _cores(), len(tasks)))
    job = "syper_data.sampling.worker:remake_rows"
    with open_pool(job, setup, workers=limit, threads=dataset.manifest.settings.threads_per_worker) as pool:
        for answer in pool.run(tasks):
            if "progress" in answer:
                continue
            start, result = answer["task"]["first_row"], answer["result"]
            for offset, pixels in enumerate(result["pixels"]):
                row = wanted.get(start + offset)
                if row is None:
                    continue
                if drifted:
                    remade = bytes.fromhex(result["images"][offset])
                    worst = max(worst, stored.compare(row, remade))
                else:
                    stored.require_equal(row, pixels, result["encoded"][offset])
                done += 1
            if report is not None:
                report("regenerating", done, len(wanted))
    return worst


def _blocks_of(dataset: DatasetDirectory, rows: list[int], images: bool) -> list[dict[str, Any]]:
    """The tasks that make these rows again: whole blocks of the plan that each row belongs to."""
    block = dataset.manifest.settings.block_size
    span = block * (10 if 2 * len(rows) > len(dataset) else 1)
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


def _cores() -> int:
    import os

    return os.cpu_count() or 1
