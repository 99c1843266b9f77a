"""``top_up``: enough kept images, by plans that follow each other, whatever interrupted it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import load_dataset

import syper_data
from filter_thresholds import write_thresholds
from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory
from syper_data.errors import InputError, SyperError, UsageError
from syper_data.filtering.ledger import read_ledger
from syper_data.imaging.source import read_images


def kept_seeds(path: Path) -> list[int]:
    rows = read_ledger(DatasetDirectory.open(path)).table.to_pylist()
    return [row["seed"] for row in rows if row["keep"]]


class InterruptedTestError(Exception):
    pass


def stop_at(stage: str) -> Any:
    def report(at: str, done: int, total: int) -> None:
        if at == stage:
            raise InterruptedTestError

    return report


def test_it_adds_seeds_until_enough_are_kept_and_stays_one_verifiable_dataset(tmp_path: Path, tiny: Path) -> None:
    path = tmp_path / "eyes"
    syper_data.sample(seeds="3-18", generator=tiny, out=path, workers=1)
    middle = float(np.median([image.pixels.mean() for image in read_images(path)]))
    thresholds = write_thresholds(tmp_path / "t.json", exposure=(middle, None))
    first = syper_data.filter(path, quality_only=True, quality_thresholds=thresholds, workers=1)
    assert 4 <= first.figures["kept"] <= 12
    old = kept_seeds(path)
    for stage in ("sampling", "measuring"):  # the second call goes on where the first was stopped
        with pytest.raises(InterruptedTestError):
            syper_data.top_up(path, kept=20, generator=tiny, workers=1, report=stop_at(stage))
    done = syper_data.top_up(path, kept=20, generator=tiny, workers=1)
    assert done.kept >= 20
    assert done.rows == len(done.dataset)
    seeds = kept_seeds(path)
    assert seeds[: len(old)] == old and len(seeds) == done.kept
    keys = done.dataset.keys()
    assert [seed for seed, _ in keys] == list(range(3, 3 + done.rows))
    assert done.dataset.topups[0].manifest.parent_sha256 == done.dataset.manifest_sha256
    names = [shard.name for shard in done.dataset.shards]
    assert names == sorted(names) and names[0] == "train-00000-of-00001.parquet"
    assert names[1].startswith("train-00001-of-")
    assert syper_data.verify(path, rows="all", generator=tiny, workers=1).rows == done.rows
    loaded = load_dataset(str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["seed"][:] == [seed for seed, _ in keys]
    again = tmp_path / "again"
    syper_data.sample(from_manifest=path / "manifest.json", generator=tiny, out=again, workers=1)
    assert (again / "complete.json").read_bytes() == (path / "complete.json").read_bytes()
    assert syper_data.top_up(path, kept=20, generator=tiny, workers=1).added == 0


def test_a_dataset_without_a_ledger_or_of_which_nothing_is_kept_gets_no_seeds(tmp_path: Path, tiny: Path) -> None:
    path = tmp_path / "eyes"
    syper_data.sample(n=4, generator=tiny, out=path, workers=1)
    with pytest.raises(InputError, match="make it with syper-data filter"):
        syper_data.top_up(path, kept=9, generator=tiny)
    thresholds = write_thresholds(tmp_path / "t.json", exposure=(300, None))
    syper_data.filter(path, quality_only=True, quality_thresholds=thresholds, workers=1)
    with pytest.raises(SyperError, match="none of 4 images is kept"):
        syper_data.top_up(path, kept=9, generator=tiny)
    with pytest.raises(UsageError, match=r"was made with no --measure; give the same"):
        syper_data.top_up(path, kept=9, generator=tiny, measure=["math:sqrt"])
    with pytest.raises(UsageError, match="--kept is 0"):
        syper_data.top_up(path, kept=0, generator=tiny)
    assert not (path / "topups").exists()


def test_an_unfinished_dataset_is_not_topped_up(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run the same sample command again"):
        syper_data.top_up(make_dataset(tmp_path / "half", 9, complete=False).path, kept=20)
