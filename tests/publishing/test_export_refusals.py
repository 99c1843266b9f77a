"""``export_hf`` refuses wrong requests, changed datasets and folders of others, each in one line."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, LockedError, OutputError, UsageError, VerificationError
from syper_data.publishing import export as export_module
from syper_data.publishing.export import export_hf


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DatasetDirectory:
    return make_dataset(tmp_path_factory.mktemp("source") / "syper", 20)


def edit_shard(dataset: DatasetDirectory) -> None:
    path = dataset.shard_path(dataset.manifest.shards[1])
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))


def cut_shard(dataset: DatasetDirectory) -> None:
    path = dataset.shard_path(dataset.manifest.shards[1])
    path.write_bytes(path.read_bytes()[:-10])


def remove_shard(dataset: DatasetDirectory) -> None:
    dataset.shard_path(dataset.manifest.shards[1]).unlink()


def edit_manifest(dataset: DatasetDirectory) -> None:
    path = dataset.path / "manifest.json"
    path.write_text(path.read_text().replace("tiny-v1", "tiny-v2"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (edit_shard, r"train-00001-of-00003.parquet: SHA-256 \w+\.\.\., complete.json says"),
        (cut_shard, r"train-00001-of-00003.parquet: \d+ bytes, complete.json says"),
        (remove_shard, r"train-00001-of-00003.parquet: missing"),
        (edit_manifest, r"the manifest was edited"),
    ],
)
def test_a_dataset_that_was_changed_is_refused_by_name(damage: Any, message: str, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "syper", 20)
    damage(dataset)
    with pytest.raises(VerificationError, match=message) as caught:
        export_hf(dataset.path, out=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "README.md").exists()


def test_an_unfinished_dataset_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "syper", 20, complete=False)
    remove_shard(dataset)
    with pytest.raises(InputError, match=r"not complete \(1 of 3 shards missing"):
        export_hf(dataset.path, out=tmp_path / "out")
    with pytest.raises(InputError, match="no such folder"):
        export_hf(tmp_path / "absent", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_ledger_is_not_published(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "syper", 2)
    (dataset.path / "ledger.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"ledger.parquet: truncated or damaged"):
        export_hf(dataset.path, out=tmp_path / "out")


@pytest.mark.parametrize("place", [".", "data", "deep/inside", "..", "../link"])
def test_out_lies_apart_from_the_dataset(place: str, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "around" / "syper", 2)
    (tmp_path / "around" / "link").symlink_to(dataset.path)
    with pytest.raises(UsageError, match="must lie outside the dataset"):
        export_hf(dataset.path, out=dataset.path / place)
    assert {p.name for p in dataset.path.iterdir()} == {"manifest.json", "complete.json", "data"}


def test_a_folder_of_someone_else_is_refused_and_left_alone(source: DatasetDirectory, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", 3)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    for out in (foreign, other.path):
        before = sorted(out.rglob("*"))
        with pytest.raises(UsageError, match="is not empty and no earlier export"):
            export_hf(source.path, out=out)
        assert sorted(out.rglob("*")) == before


@pytest.mark.parametrize("name", ["notes.txt", "data/train-00000-of-00009.parquet"])
def test_a_strange_file_in_an_earlier_export_is_named(
    name: str, source: DatasetDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "check_export", lambda *_: None)
    out = export_hf(source.path, out=tmp_path / "out")
    (out / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name}: is no part of an export"):
        export_hf(source.path, out=out)


def test_out_that_is_a_file_or_lies_in_one_is_refused(source: DatasetDirectory, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(OutputError, match="file"):
            export_hf(source.path, out=out)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more_is_one_line_and_leaves_no_half_file(
    code: int, source: DatasetDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(export_module.shutil, "copyfile", fail)
    with pytest.raises(OutputError, match=f"parquet: cannot be written: {os.strerror(code)}"):
        export_hf(source.path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_little_space_is_said_before_anything_is_copied(
    source: DatasetDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(export_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="0 MB free, the export and its check need"):
        export_hf(source.path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_copy_that_reads_back_differently_is_not_kept(
    source: DatasetDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def corrupt(_: Path, target: Path) -> None:
        target.write_bytes(b"something else")

    monkeypatch.setattr(export_module.shutil, "copyfile", corrupt)
    with pytest.raises(OutputError, match="reads back with other bytes"):
        export_hf(source.path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_exports_into_one_folder_do_not_mix(source: DatasetDirectory, tmp_path: Path) -> None:
    with folder_lock(tmp_path / "out"), pytest.raises(LockedError, match=f"process {os.getpid()}"):
        export_hf(source.path, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "say where to"),
        ({"out": "x", "private": True}, "--private: nothing is pushed without --repo-id"),
        ({"repo_id": "no-owner"}, "--repo-id is 'no-owner': must be OWNER/NAME"),
        ({"repo_id": "a/b/c"}, "must be OWNER/NAME"),
        ({"repo_id": "me/bad name"}, "must be OWNER/NAME"),
        ({"repo_id": "me/x\nlicense: mit"}, "must be OWNER/NAME"),
        ({"out": "out[1]"}, "for a pattern; choose another --out"),
        ({"out": "x", "license": "CC BY 4.0"}, "--license is 'CC BY 4.0'"),
        ({"out": "x", "license": "mit\nprivate: false"}, "--license is"),
        ({"out": "x", "pretty_name": "two\nlines"}, "--pretty-name: must be one line"),
        ({"out": "x", "pretty_name": " "}, "--pretty-name: must be one line"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_written(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(tmp_path / "syper", 2)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message) as caught:
        export_hf(dataset.path, **options)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["syper"]
