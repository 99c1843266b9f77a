"""A complete dataset directory of tiny images, made without a generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.dataset.directory import DatasetDirectory, ShardRecord
from syper_data.dataset.manifest import GeneratorIdentity, Manifest, Run
from syper_data.dataset.settings import SamplingSettings
from syper_data.dataset.shards import Row, file_sha256, write_shard
from syper_data.imaging.codec import encode, encoder_identity, file_suffix
from syper_data.sampling.render import pixel_sha256


def make_dataset(
    path: Path,
    n: int = 20,
    *,
    runs: Sequence[Run] | None = None,
    c_dim: int = 0,
    class_of: str | None = None,
    image_format: str = "png",
    colour_mode: str = "RGB",
    spectrum: str = "vis",
    shard_rows: int = 8,
    block_size: int = 1,
    generator_name: str = "tiny-v1",
    toolkit: str = "syper-data 0.1.0",
    environment: Mapping[str, str] | None = None,
    complete: bool = True,
    drift: tuple[dict[str, Any], ...] = (),
    draw: Callable[[int], Any] | None = None,
) -> DatasetDirectory:
    """``n`` images of 32 px under seeds 0, 1, ...; or those of ``runs``. ``draw`` (seed -> uint8
    [32, 32, 3]) draws them; else they are noise."""
    settings = SamplingSettings(
        output_size=32,
        block_size=block_size,
        colour_mode=colour_mode,
        image_format=image_format,
        encoder=encoder_identity(image_format),
    )
    generator = GeneratorIdentity(generator_name, "ab" * 32, 32, 64, c_dim, spectrum, class_of)
    versions = {"torch": "2.0"} if environment is None else environment
    planned = tuple(runs) if runs is not None else (Run(0, n),)
    dataset = DatasetDirectory.create(path, Manifest(toolkit, generator, planned, settings, versions, shard_rows))
    records = []
    for shard in dataset.manifest.shards:
        keys = dataset.manifest.keys(shard.start, shard.start + shard.rows)
        file = dataset.shard_path(shard)
        write_shard(file, [_row(seed, label, dataset.manifest, draw) for seed, label in keys])
        records.append(ShardRecord(shard.name, shard.rows, file.stat().st_size, file_sha256(file)))
    if complete:
        dataset.complete(tuple(records), drift)
    return dataset


def _row(seed: int, label: int | None, manifest: Manifest, draw: Callable[[int], Any] | None = None) -> Row:
    settings = manifest.settings
    rng = np.random.default_rng([seed, 0 if label is None else label + 1])
    channels = 1 if settings.colour_mode == "L" else 3
    pixels = rng.integers(0, 256, (32, 32, channels), dtype=np.uint8) if draw is None else draw(seed)
    image = encode(pixels, settings.image_format, settings.encoder["options"])
    name = f"{seed:010d}.{file_suffix(settings.image_format)}"
    return Row(image, name, seed, label, manifest.generator.spectrum, pixel_sha256(pixels))
