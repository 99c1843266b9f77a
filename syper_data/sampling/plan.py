"""From options to a manifest: which keys, which settings, how many shards."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import syper_data
from syper_data.dataset.manifest import CLASSES, MAX_SEED, GeneratorIdentity, Manifest, Run
from syper_data.dataset.settings import SamplingSettings
from syper_data.errors import UsageError, naming_options
from syper_data.gan.generator_file import GeneratorFile
from syper_data.gan.synthesis import auto_precision
from syper_data.imaging.codec import encoder_identity
from syper_data.sampling.environment import current_environment, require_device

SYPER_PAPER_SEEDS = 99_836

_OPTIONS = ("psi", "noise_mode", "precision", "image_format", "output_size", "resize_filter")

_FINE_SHARD, _SHARD, _MAX_SHARDS = 200, 1000, 9000  # rows, rows, files a folder


def parse_seeds(text: str) -> list[tuple[int, int]]:
    """``"0-99,250,1000-1999"`` -> [(0, 100), (250, 251), (1000, 2000)], in the order given.

    Raises:
        UsageError: a part is not a seed or a range, is out of 0..2^32-1, or repeats a seed.
    """
    spans: list[tuple[int, int]] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,10})(?:\s*-\s*([0-9]{1,10}))?\s*", part, re.ASCII)
        if match is None:
            raise UsageError(f"--seeds: {part.strip()!r} is neither a seed nor a range such as 0-99")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise UsageError(f"--seeds: the range {part.strip()} runs backwards")
        if last > MAX_SEED:
            raise UsageError(f"--seeds: {last} is above the largest seed, {MAX_SEED}")
        spans.append((first, last + 1))
    ordered = sorted(spans)
    for before, after in itertools.pairwise(ordered):
        if after[0] < before[1]:
            raise UsageError(f"--seeds: seed {after[0]} is given twice")
    return spans


def plan_runs(
    c_dim: int,
    *,
    n: int | None = None,
    seeds: str | Sequence[int] | None = None,
    seed_start: int = 0,
    label: int | None = None,
    per_label: int | None = None,
) -> tuple[Run, ...]:
    """Which keys: exactly one of ``n``, ``seeds`` and ``per_label``.

    ``per_label`` gives every class that many seeds, consecutive from ``seed_start`` on: class 0
    the first ``per_label``, class 1 the next, and so on.

    Raises:
        UsageError: contradictory or impossible options, named.
    """
    given = [name for name, v in (("--n", n), ("--seeds", seeds), ("--per-label", per_label)) if v is not None]
    if len(given) != 1:
        what = "say how many images: --n 50000" if not given else f"{' and '.join(given)} exclude each other"
        raise UsageError(what)
    if not 0 <= seed_start <= MAX_SEED:
        raise UsageError(f"--seed-start is {seed_start}: must lie in 0..{MAX_SEED}")
    if seeds is not None and seed_start:
        raise UsageError("--seeds and --seed-start exclude each other")
    if c_dim == 0 and (label is not None or per_label is not None):
        name = "--label" if label is not None else "--per-label"
        raise UsageError(f"{name}: the generator is unconditional, it has no labels")
    if c_dim and label is None and per_label is None:
        raise UsageError(f"the generator has {c_dim} classes: give --label or --per-label")
    if label is not None and per_label is not None:
        raise UsageError("--label and --per-label exclude each other")
    if label is not None and not 0 <= label < c_dim:
        raise UsageError(f"--label is {label}: the generator's classes are 0..{c_dim - 1}")
    if seeds is not None:
        spans = parse_seeds(seeds if isinstance(seeds, str) else ",".join(str(s) for s in seeds))
        return tuple(Run(start, stop, label) for start, stop in spans)
    count = n if n is not None else per_label
    assert count is not None
    name = "--n" if n is not None else "--per-label"
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UsageError(f"{name} is {count}: must be at least 1")
    labels: list[int | None] = list(range(c_dim)) if per_label is not None else [label]
    if seed_start + count * len(labels) > MAX_SEED + 1:
        raise UsageError(f"{name} is {count}: from seed {seed_start} on that passes the largest seed, {MAX_SEED}")
    starts = [seed_start + i * count for i in range(len(labels))]
    return tuple(Run(s, s + count, label) for s, label in zip(starts, labels, strict=True))


def plan_shard_rows(total: int) -> int:
    """Images a shard: 1,000; 200 below 5,000 images, so that a small dataset keeps every core busy;
    more only where the folder would hold over 9,000 files."""
    if total < 5 * _SHARD:
        return _FINE_SHARD
    return max(_SHARD, -(-total // _MAX_SHARDS // _SHARD) * _SHARD)


def plan_settings(
    generator: GeneratorFile,
    *,
    psi: float = 1.0,
    noise_mode: str = "const",
    precision: str = "auto",
    image_format: str = "png",
    output_size: int | None = None,
    resize_filter: str | None = None,
    value_range: str = "clamp",
    device: str = "cpu",
) -> SamplingSettings:
    """Settings with everything resolved: no "auto" and no default is left open.

    Raises:
        UsageError: a value out of range, or a resize filter where nothing is resized.
    """
    require_device(device)
    resolution = generator.config.resolution
    size = resolution if output_size is None else output_size
    if resize_filter is not None and output_size is None:
        raise UsageError("--resize-filter belongs to --output-size: nothing is resized without it")
    if generator.config.img_channels not in (1, 3):
        raise UsageError(
            f"the generator makes {generator.config.img_channels}-channel images: 1 or 3 can be written"
        )
    with naming_options(*_OPTIONS):
        return SamplingSettings(
            psi=float(psi) if isinstance(psi, int) and not isinstance(psi, bool) else psi,
            noise_mode=noise_mode,
            precision=auto_precision(device) if precision == "auto" else precision,
            block_size=block_size(resolution),
            threads_per_worker=1,
            device=device,
            output_size=size,
            resize_filter="none" if size == resolution else "lanczos" if resize_filter is None else resize_filter,
            value_range=value_range,
            colour_mode="L" if generator.config.img_channels == 1 else "RGB",
            image_format=image_format,
            encoder=encoder_identity(image_format) if image_format in ("png", "jpeg", "webp") else {},
        )


def block_size(resolution: int) -> int:
    """Images computed together, by measurement (benchmarks/block_size.py): small enough that the
    finest feature maps stay in the second-level cache, and memory stays flat up to 1024 px."""
    return max(1, 8 if resolution <= 128 else 1024 // resolution)


def plan_manifest(generator: GeneratorFile, runs: Sequence[Run], settings: SamplingSettings) -> Manifest:
    """The manifest of these keys and settings on this machine."""
    config, class_of = generator.config, generator.summary.get("class_of")
    return Manifest(
        toolkit=f"syper-data {syper_data.__version__}",
        generator=GeneratorIdentity(
            generator.name,
            generator.sha256,
            config.resolution,
            config.z_dim,
            config.c_dim,
            generator.spectrum,
            class_of if config.c_dim and class_of in CLASSES else None,
        ),
        runs=tuple(runs),
        settings=settings,
        environment=current_environment(settings),
        shard_rows=plan_shard_rows(sum(len(run) for run in runs)),
    )


def paper_options() -> dict[str, Any]:
    """``--preset syper-paper``: the published SyPer procedure, without its duplicated last batch.

    99,836 seeds, psi 1, constant noise, each image stretched to its own extremes, 224 px nearest.
    """
    return {
        "n": SYPER_PAPER_SEEDS,
        "psi": 1.0,
        "noise_mode": "const",
        "value_range": "minmax_per_image",
        "output_size": 224,
        "resize_filter": "nearest",
        "image_format": "png",
    }
