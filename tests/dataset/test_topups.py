"""Plans of top-ups: numbering, digests, and every plan that does not follow is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory
from syper_data.dataset.manifest import Manifest, Run
from syper_data.errors import InputError, VerificationError


def plan(dataset: DatasetDirectory, **changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "runs": (Run(100, 110),),
        "parent_sha256": dataset.plans[-1].sha256,
        "first_shard": len(dataset.shards),
    }
    return replace(dataset.manifest, **(values | changes))


def test_a_top_up_continues_shards_keys_and_digests(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", 20)
    topped = dataset.add_topup(plan(dataset))
    topped = topped.add_topup(plan(topped, runs=(Run(200, 203),)))
    assert DatasetDirectory.open(dataset.path) == topped
    assert len(topped) == 33
    assert [s.name for s in topped.shards[3:]] == [
        "train-00003-of-00005.parquet",
        "train-00004-of-00005.parquet",
        "train-00005-of-00006.parquet",
    ]
    assert [s.start for s in topped.shards] == [0, 8, 16, 20, 28, 30]
    assert topped.keys()[-4:] == [(109, None), (200, None), (201, None), (202, None)]
    assert [key for shard in topped.shards for key in shard.keys()] == topped.keys()  # noqa: SIM118
    assert topped.manifest_sha256 == dataset.manifest_sha256


def test_a_dataset_being_topped_up_is_not_complete(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", 20)
    topped = dataset.add_topup(plan(dataset))
    assert topped.completion() is None
    with pytest.raises(InputError, match=r"2 of 5 shards missing.*same top-up command"):
        topped.require_complete()


def test_a_completion_record_of_other_top_ups_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", 20)
    file = dataset.path / "complete.json"
    content = json.loads(file.read_text()) | {"topups": ["0" * 64]}
    file.write_text(json.dumps(content))
    with pytest.raises(VerificationError, match="belongs to other top-ups"):
        dataset.completion()


def test_a_manifest_without_top_ups_has_the_bytes_it_always_had(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", 20)
    assert b"parent_sha256" not in dataset.manifest.to_json()
    assert b"topups" not in (dataset.path / "complete.json").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parent_sha256": "0" * 64}, "does not follow the plan before it"),
        ({"first_shard": 4}, "leaves a gap or an overlap"),
        ({"runs": (Run(19, 25),)}, "seed 19 is in the dataset already"),
        ({"generator": "other"}, "another generator"),
        ({"settings": "other"}, "other settings"),
    ],
)
def test_a_plan_that_does_not_follow_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    dataset = make_dataset(tmp_path / "d", 20)
    base = dataset.manifest
    if "generator" in changes:
        changes = {"generator": replace(base.generator, name="other-v1")}
    if "settings" in changes:
        changes = {"settings": replace(base.settings, psi=0.5)}
    with pytest.raises(InputError, match=message):
        dataset.add_topup(plan(dataset, **changes))
    (dataset.path / "topups").mkdir()
    (dataset.path / "topups" / "0001.json").write_bytes(plan(dataset, **changes).to_json())
    with pytest.raises(InputError, match=message):
        DatasetDirectory.open(dataset.path)


def test_a_gap_a_stranger_and_a_misplaced_plan_are_refused(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", 20)
    folder = dataset.path / "topups"
    folder.mkdir()
    (folder / "0002.json").write_bytes(plan(dataset).to_json())
    with pytest.raises(InputError, match=r"0002.json: is no plan of a top-up, or one before it is missing"):
        DatasetDirectory.open(dataset.path)
    (folder / "0002.json").unlink()
    (dataset.path / "manifest.json").write_bytes(plan(dataset).to_json())
    with pytest.raises(InputError, match="is the plan of a top-up, not of a dataset"):
        DatasetDirectory.open(dataset.path)
