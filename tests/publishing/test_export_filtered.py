"""A filtered dataset is published as its kept images with scores, and the list of rejected keys."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pytest
from datasets import load_dataset

import syper_data
from filter_thresholds import write_thresholds
from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory
from syper_data.dataset.manifest import Run
from syper_data.errors import InputError, UsageError
from syper_data.filtering.ledger import write_ledger
from syper_data.filtering.quality.thresholds import Thresholds

WHY = {3: ["blurred", "too dark"], 4: ["too dark"], 8: ["blurred"], 19: ["blurred"]}


def audited(path: Path, why: dict[int, list[str]] = WHY) -> DatasetDirectory:
    dataset = make_dataset(path, 20)
    file = write_thresholds(path.parent / "thresholds.json", exposure=(90.0, None))
    quality = {
        "thresholds": Thresholds.read(file).to_dict(), "share": len(why) / 20, "expected_share": 0.05,
    }  # fmt: skip
    scores: dict[str, Any] = {
        "exposure": np.arange(20.0) / 7,
        "similarity": np.linspace(0, 1, 20).astype(np.float32),
        "nearest_reference": [f"person-{i}.png" for i in range(20)],
    }
    reasons = [why.get(i, []) for i in range(20)]
    write_ledger(dataset, scores, reasons, {"quality": quality, "overlap": None})
    return dataset


def test_kept_images_carry_their_scores_and_rejected_keys_their_reasons(tmp_path: Path) -> None:
    dataset = audited(tmp_path / "eyes")
    out = syper_data.export_hf(dataset.path, out=tmp_path / "hf")
    cache = str(tmp_path / "cache")
    kept = load_dataset(str(out), split="train", cache_dir=cache)
    seeds = [seed for seed in range(20) if seed not in WHY]
    assert kept["seed"][:] == seeds
    assert kept["exposure"][:] == [seed / 7 for seed in seeds]
    source = load_dataset(str(dataset.path), split="train", cache_dir=cache)
    assert kept["pixel_sha256"][:] == [source["pixel_sha256"][seed] for seed in seeds]
    rejected = load_dataset(str(out), "rejected", split="train", cache_dir=cache)
    assert dict(zip(rejected["seed"][:], rejected["reasons"][:], strict=True)) == WHY
    assert len(kept) + len(rejected) == 20
    for rows in (kept, rejected):
        assert "nearest_reference" not in rows.column_names, "names of real images are not published"
    assert [p.name for p in sorted((out / "data").iterdir())] == [
        "train-00000-of-00002.parquet", "train-00001-of-00002.parquet",
    ]  # fmt: skip


def test_the_card_says_what_was_removed_and_croissant_holds_the_scores(tmp_path: Path) -> None:
    out = syper_data.export_hf(audited(tmp_path / "eyes").path, out=tmp_path / "hf")
    card = (out / "README.md").read_text()
    assert "20 images were made, 16 are published, 4 were rejected" in card
    counts = Counter(reasons[0] for reasons in WHY.values())
    for reason, count in counts.items():
        assert f"| {reason} | {count} |" in card
    assert "No image was selected or removed" not in card
    assert "No identity audit has been run" in card
    assert "config_name: rejected" in card
    assert "kept and rejected keys together are those of the plan" in card
    assert "person-" not in card + (out / "croissant.json").read_text()
    records = list(mlcroissant.Dataset(jsonld=str(out / "croissant.json")).records("default"))
    assert len(records) == 16
    assert records[0]["default/exposure"] == 0.0


def test_where_nothing_was_rejected_there_is_no_list_of_rejected_keys(tmp_path: Path) -> None:
    out = syper_data.export_hf(audited(tmp_path / "eyes", {}).path, out=tmp_path / "hf")
    kept = load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert kept["seed"][:] == list(range(20)) and "exposure" in kept.column_names
    card = (out / "README.md").read_text()
    assert "20 are published, 0 were rejected" in card and "rejected = load_dataset" not in card
    assert "config_name: rejected" not in card
    assert len(list(mlcroissant.Dataset(jsonld=str(out / "croissant.json")).records("default"))) == 20


def test_the_same_export_again_changes_no_byte_and_another_ledger_needs_another_folder(tmp_path: Path) -> None:
    dataset = audited(tmp_path / "eyes")
    out = syper_data.export_hf(dataset.path, out=tmp_path / "hf")
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name[0] != "."}
    syper_data.export_hf(dataset.path, out=out)
    assert {p: p.read_bytes() for p in before} == before
    why = {seed: ["blurred"] for seed in range(13)}
    write_ledger(dataset, {"exposure": np.arange(20.0)}, [why.get(i, []) for i in range(20)], {})
    with pytest.raises(UsageError, match="is no part of an export"):
        syper_data.export_hf(dataset.path, out=out)


def test_lists_of_another_export_are_not_left_lying_in_the_folder(tmp_path: Path) -> None:
    dataset = audited(tmp_path / "eyes")
    out = syper_data.export_hf(dataset.path, out=tmp_path / "hf")
    (out / "rejected" / "more.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match=r"more.parquet: is no part of an export"):
        syper_data.export_hf(dataset.path, out=out)
    (out / "rejected" / "more.parquet").unlink()
    (out / "topups").mkdir()
    (out / "topups" / "0001.json").write_text("{}")
    with pytest.raises(UsageError, match=r"0001.json: is no part of an export"):
        syper_data.export_hf(dataset.path, out=out)
    (out / "topups" / "0001.json").unlink()
    for shard in (out / "data").iterdir():
        shard.unlink()
    audited(tmp_path / "again" / "eyes", {})
    (dataset.path / "ledger.parquet").write_bytes((tmp_path / "again/eyes/ledger.parquet").read_bytes())
    with pytest.raises(UsageError, match=r"rejected.train-00000-of-00001.parquet: is no part of an export"):
        syper_data.export_hf(dataset.path, out=out)


def test_a_dataset_of_which_nothing_is_kept_is_not_published(tmp_path: Path) -> None:
    dataset = audited(tmp_path / "eyes", {seed: ["blurred"] for seed in range(20)})
    with pytest.raises(UsageError, match=r"no image is kept.*syper-data report shows why; .*--quality-thresholds"):
        syper_data.export_hf(dataset.path, out=tmp_path / "hf")


def test_a_topped_up_dataset_without_a_ledger_for_all_of_it_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "eyes", 8)
    more = make_dataset(tmp_path / "more", runs=[Run(50, 58)])
    topped = dataset.add_topup(replace(more.manifest, parent_sha256=dataset.manifest_sha256, first_shard=1))
    records = [*(dataset.completion() or topped.require_complete()).shards]
    target = topped.shard_path(topped.shards[1])
    target.write_bytes(more.shard_path(more.shards[0]).read_bytes())
    extra = (more.completion() or more.require_complete()).shards[0]
    topped.complete((*records, replace(extra, name=target.name)), ())
    with pytest.raises(InputError, match=r"has no ledger.parquet; make it with syper-data filter"):
        syper_data.export_hf(topped.path, out=tmp_path / "hf")
