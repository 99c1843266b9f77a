"""What a worker process does: make shards of a dataset, or regenerate parts of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from syper_data.dataset.directory import DatasetDirectory, PlannedShard, ShardRecord
from syper_data.dataset.manifest import Manifest
from syper_data.dataset.shards import Row, file_sha256, write_shard
from syper_data.errors import DriftError
from syper_data.gan.generator_file import load_generator
from syper_data.imaging.codec import encode, file_suffix
from syper_data.sampling.render import Renderer, pixel_sha256

Progress = Callable[[int], None]


class _Bench:
    """A dataset's plan and a renderer for it, loaded once a process."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self.dataset = DatasetDirectory.open(Path(setup["dataset"]))
        first = self.dataset.manifest  # top-ups have its generator and settings
        loaded = load_generator(Path(setup["generator"]))
        if loaded.sha256 != first.generator.sha256:
            raise DriftError(f"{setup['generator']}: changed while the dataset was being made")
        self.renderer = Renderer(loaded.generator, first.settings)

    def rows(self, manifest: Manifest, start: int, stop: int, progress: Progress) -> Iterator[Row]:
        """Rows of entries ``start .. stop - 1`` of a plan; ``start`` is a multiple of the block size."""
        settings, generator = manifest.settings, manifest.generator
        keys = manifest.keys(start, stop)
        suffix = file_suffix(settings.image_format)
        for count, (key, pixels) in enumerate(zip(keys, self.renderer.images(keys), strict=True), 1):
            seed, label = key
            yield Row(
                image=encode(pixels, settings.image_format, settings.encoder["options"]),
                path=f"{seed:010d}.{suffix}" if label is None else f"{label}_{seed:010d}.{suffix}",
                seed=seed,
                label=label,
                spectrum=generator.spectrum,
                pixel_sha256=pixel_sha256(pixels),
            )
            if count % 50 == 0:
                progress(50)
        progress(len(keys) % 50)


def make_shards(setup: dict[str, Any]) -> Callable[[dict[str, Any], Progress], dict[str, Any]]:
    """Job: task ``{"shard": i}`` writes shard ``i``, counted over all plans, and returns its record."""
    bench = _Bench(setup)

    def handle(task: dict[str, Any], progress: Progress) -> dict[str, Any]:
        planned = bench.dataset.shards[task["shard"]]
        path, start = bench.dataset.shard_path(planned), planned.shard.start
        write_shard(path, bench.rows(planned.manifest, start, start + planned.rows, progress))
        record = shard_record(path, planned)
        return {"bytes": record.bytes, "sha256": record.sha256}

    return handle


def remake_rows(setup: dict[str, Any]) -> Callable[[dict[str, Any], Progress], dict[str, Any]]:
    """Job: task ``{"plan": p, "start": a, "stop": b}`` makes those entries of plan ``p`` again (0 is
    the manifest, 1 the first top-up). The result lists for each the pixel digest, the digest of the
    encoded bytes and, on request, the pixels' own bytes."""
    bench = _Bench(setup)

    def handle(task: dict[str, Any], progress: Progress) -> dict[str, Any]:
        from syper_data.dataset.manifest import sha256_hex

        manifest = bench.dataset.plans[task["plan"]].manifest
        rows = list(bench.rows(manifest, task["start"], task["stop"], progress))
        answer: dict[str, Any] = {
            "pixels": [row.pixel_sha256 for row in rows],
            "encoded": [sha256_hex(row.image) for row in rows],
        }
        if task.get("images"):
            answer["images"] = [row.image.hex() for row in rows]
        return answer

    return handle


def shard_record(path: Path, shard: PlannedShard) -> ShardRecord:
    """Rows, bytes and SHA-256 of a shard on disk."""
    return ShardRecord(shard.name, shard.rows, path.stat().st_size, file_sha256(path))
