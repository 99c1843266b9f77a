"""An exported folder carries its plan, so that whoever downloads it can verify it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import syper_data
from small_dataset import make_dataset
from syper_data.errors import VerificationError
from syper_data.publishing import export as export_module
from syper_data.publishing.carried_plan import carry_plans
from syper_data.publishing.export import export_hf


@pytest.fixture(scope="module")
def exported(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    syper_data.sample(n=30, out=folder / "syper", generator=tiny, workers=1)
    return export_hf(folder / "syper", out=folder / "hf")


def test_a_copy_of_an_export_is_verified_shard_by_shard_and_image_by_image(
    exported: Path, tiny: Path, tmp_path: Path
) -> None:
    shutil.copytree(exported, tmp_path / "downloaded", ignore=lambda *_: [".lock"])
    (tmp_path / "downloaded/.cache").mkdir()  # what a download leaves beside the files
    (tmp_path / "downloaded/.gitattributes").write_text("*.parquet filter=lfs\n")
    done = syper_data.verify(tmp_path / "downloaded", generator=tiny, rows="all", workers=1)
    assert (done.shards, done.rows, done.regenerated) == (1, 30, 30)


def test_a_download_with_another_byte_in_a_shard_is_named(exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "downloaded")
    (shard,) = (folder / "data").iterdir()
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(VerificationError, match=f"{shard.name}: SHA-256"):
        syper_data.verify(folder, rows=0)


def test_the_completion_record_comes_after_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def check(folder: Path, *_: object) -> None:
        seen.append((folder / "complete.json").exists())
        raise VerificationError("it does not load")

    monkeypatch.setattr(export_module, "check_export", check)
    dataset = make_dataset(tmp_path / "syper", 5)
    with pytest.raises(VerificationError, match="does not load"):
        export_hf(dataset.path, out=tmp_path / "out")
    assert seen == [False]
    assert not (tmp_path / "out/complete.json").exists()


def test_an_export_that_fails_before_its_first_shard_leaves_no_folder(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "syper", 20)
    first, last = dataset.manifest.shards[0], dataset.manifest.shards[-1]
    dataset.shard_path(last).unlink()
    with pytest.raises(VerificationError, match="missing"):
        export_hf(dataset.path, out=tmp_path / "begun")
    assert (tmp_path / "begun/data" / first.name).exists()  # what was copied is used by the next call
    dataset.shard_path(first).unlink()
    with pytest.raises(VerificationError, match="missing"):
        export_hf(dataset.path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(VerificationError, match="missing"):
        export_hf(dataset.path, out=tmp_path / "mine")
    assert (tmp_path / "mine").exists()


def test_a_manifest_that_changes_during_the_export_is_named(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "syper", 5)
    (dataset.path / "manifest.json").write_text("{}")
    with pytest.raises(VerificationError, match="was changed while it was exported"):
        carry_plans(dataset, tmp_path / "out")
