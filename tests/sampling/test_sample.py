from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import load_dataset

import syper_data
from small_generators import save_small_generator
from syper_data.dataset.directory import DatasetDirectory
from syper_data.dataset.lock import folder_lock
from syper_data.dataset.shards import read_shard
from syper_data.errors import DriftError, InputError, LockedError, OutputError, SyperError, UsageError
from syper_data.imaging.codec import decode
from syper_data.sampling import making as making_module


def contents(folder: Path) -> dict[str, bytes]:
    """Every visible file of a dataset."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """450 images in three shards."""
    out = tmp_path_factory.mktemp("made") / "syper"
    syper_data.sample(n=450, out=out, generator=tiny, workers=2)
    return out


def test_a_dataset_opens_with_load_dataset_and_holds_what_generate_yields(made: Path, tiny: Path) -> None:
    rows = load_dataset(str(made), split="train", cache_dir=str(made.parent / "cache"))
    assert rows.column_names == ["image", "seed", "label", "spectrum", "pixel_sha256"]
    assert list(rows["seed"]) == list(range(450))
    assert set(rows["label"]) == {None}
    expected = np.concatenate(list(syper_data.generate(tiny, [0, 13, 449])))
    for row, pixels in zip((0, 13, 449), expected, strict=True):
        assert np.array_equal(np.asarray(rows[row]["image"]), pixels)


def test_the_number_of_workers_changes_no_byte(made: Path, tiny: Path, tmp_path: Path) -> None:
    syper_data.sample(n=450, out=tmp_path / "one", generator=tiny, workers=1)
    assert contents(tmp_path / "one") == contents(made)


def test_a_manifest_and_the_generator_remake_the_dataset_elsewhere(made: Path, tiny: Path, tmp_path: Path) -> None:
    syper_data.sample(from_manifest=made / "manifest.json", out=tmp_path / "again", generator=tiny)
    assert contents(tmp_path / "again") == contents(made)


def test_the_same_command_again_makes_exactly_what_is_missing(made: Path, tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    (copy / "complete.json").unlink()
    (copy / "data" / "train-00001-of-00003.parquet").unlink()
    (copy / "data" / ".train-00001-of-00003.parquet.123.tmp").write_bytes(b"half")
    before = (copy / "data" / "train-00000-of-00003.parquet").stat().st_mtime_ns
    counts: list[int] = []
    syper_data.sample(n=450, out=copy, generator=tiny, report=lambda p: counts.append(p.total))
    assert set(counts) == {200}
    assert (copy / "data" / "train-00000-of-00003.parquet").stat().st_mtime_ns == before
    assert contents(copy) == contents(made)


def test_load_dataset_opens_the_folder_after_the_first_shard(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "part"
    shutil.copytree(made, copy)
    (copy / "complete.json").unlink()
    for name in ("train-00001-of-00003.parquet", "train-00002-of-00003.parquet"):
        (copy / "data" / name).unlink()
    assert load_dataset(str(copy), split="train", cache_dir=str(tmp_path / "cache")).num_rows == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 451}, "begun with keys 0-449, this command says 0-450"),
        ({"psi": 0.5}, "begun with psi 1.0, this command says 0.5"),
        ({"noise_mode": "none"}, "noise_mode"),
        ({"image_format": "webp"}, "webp"),
        ({"output_size": 8}, "output_size"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused_by_name(
    made: Path, tiny: Path, change: dict[str, object], words: str
) -> None:
    before = contents(made)
    with pytest.raises(DriftError, match=words):
        syper_data.sample(**{"n": 450, "out": made, "generator": tiny, **change})  # type: ignore[arg-type]
    assert contents(made) == before


def test_another_generator_in_the_same_folder_is_refused(made: Path, tmp_path: Path) -> None:
    other = save_small_generator(tmp_path / "other.safetensors", seed=5)
    with pytest.raises(DriftError, match="begun with generator tiny"):
        syper_data.sample(n=450, out=made, generator=other)
    with pytest.raises(InputError, match="the manifest's generator has"):
        syper_data.sample(from_manifest=made / "manifest.json", out=tmp_path / "x", generator=other)


def test_a_manifest_without_its_generator_names_the_digest(made: Path, tmp_path: Path) -> None:
    digest = DatasetDirectory.open(made).manifest.generator.sha256
    with pytest.raises(InputError, match=digest):
        syper_data.sample(from_manifest=made / "manifest.json", out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_another_kind_of_machine_is_refused_and_recorded_when_accepted(
    made: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    (copy / "complete.json").unlink()
    (copy / "data" / "train-00002-of-00003.parquet").unlink()
    real = making_module.current_environment
    monkeypatch.setattr(making_module, "current_environment", lambda s: {**real(s), "torch": "9.9"})
    with pytest.raises(DriftError, match=r"torch is 9\.9 here"):
        syper_data.sample(n=450, out=copy, generator=tiny)
    done = syper_data.sample(n=450, out=copy, generator=tiny, accept_drift=True)
    record = done.require_complete()
    assert record.drift[0]["environment"]["torch"] == "9.9"
    assert record.drift[0]["shards_before"] == ["train-00000-of-00003.parquet", "train-00001-of-00003.parquet"]


def test_two_runs_into_one_folder_the_second_refuses(tiny: Path, tmp_path: Path) -> None:
    with folder_lock(tmp_path / "syper"), pytest.raises(LockedError, match="another run"):
        syper_data.sample(n=10, out=tmp_path / "syper", generator=tiny)


def test_a_damaged_shard_is_named_and_not_silently_replaced(made: Path, tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    (copy / "complete.json").unlink()
    (copy / "data" / "train-00002-of-00003.parquet").unlink()
    shard = copy / "data" / "train-00001-of-00003.parquet"
    shard.write_bytes(shard.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"train-00001.*remove this file"):
        syper_data.sample(n=450, out=copy, generator=tiny)
    assert shard.stat().st_size == 5000


def test_a_flipped_byte_is_not_signed_into_the_completion_record(made: Path, tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    (copy / "complete.json").unlink()
    shard = copy / "data" / "train-00001-of-00003.parquet"
    data = bytearray(shard.read_bytes())
    at = data.index(b"IDAT") + 20  # inside an image, where neither the footer nor a key lies
    data[at] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match=r"train-00001.*remove this file"):
        syper_data.sample(n=450, out=copy, generator=tiny)
    assert not (copy / "complete.json").exists()


def test_a_truncated_shard_of_a_finished_dataset_is_named(made: Path, tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    shard = copy / "data" / "train-00001-of-00003.parquet"
    shard.write_bytes(shard.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"train-00001.*remove this file"):
        syper_data.sample(n=450, out=copy, generator=tiny)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_every_format_resizes_and_verifies(tiny: Path, tmp_path: Path, image_format: str) -> None:
    out = tmp_path / "syper"
    syper_data.sample(seeds="3,9-20", out=out, generator=tiny, image_format=image_format, output_size=24)
    rows = list(read_shard(out / "data" / "train-00000-of-00001.parquet"))
    assert [r["seed"] for r in rows] == [3, *range(9, 21)]
    assert decode(rows[0]["image"]["bytes"], "RGB", "x").shape == (24, 24, 3)
    assert syper_data.verify(out, generator=tiny, rows="all").regenerated == 13


def test_per_label_keys_and_grey_images_work(tmp_path: Path) -> None:
    grey = save_small_generator(tmp_path / "grey.safetensors", c_dim=2, img_channels=1, spectrum="nir")
    out = tmp_path / "syper"
    syper_data.sample(per_label=3, seed_start=5, out=out, generator=grey)
    rows = list(read_shard(out / "data" / "train-00000-of-00001.parquet"))
    assert [(r["seed"], r["label"]) for r in rows] == [(5, 0), (6, 0), (7, 0), (8, 1), (9, 1), (10, 1)]
    assert {r["spectrum"] for r in rows} == {"nir"}
    assert syper_data.verify(out, generator=grey).regenerated == 6


def test_the_papers_preset_stretches_every_image_and_makes_each_once(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "syper"
    syper_data.sample(preset="syper-paper", seeds="0-9", out=out, generator=tiny)
    rows = list(read_shard(out / "data" / "train-00000-of-00001.parquet"))
    pixels = [decode(r["image"]["bytes"], "RGB", "x") for r in rows]
    assert {p.shape for p in pixels} == {(224, 224, 3)}
    assert {(int(p.min()), int(p.max())) for p in pixels} == {(0, 255)}
    assert len({r["seed"] for r in rows}) == 10
    with pytest.raises(UsageError, match="decides psi"):
        syper_data.sample(preset="syper-paper", psi=0.5, out=tmp_path / "y", generator=tiny)


def test_an_output_folder_inside_a_file_is_one_clear_line(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "syper"):
        with pytest.raises(UsageError, match="is a file"):
            syper_data.sample(n=1, out=out, generator=tiny)


@pytest.mark.parametrize("name", ["data/mine.parquet", "thesis.txt", "complete.json"])
def test_a_folder_with_foreign_files_is_refused(tiny: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "mine"
    (out / "data").mkdir(parents=True)
    (out / name).write_bytes(b"x")
    with pytest.raises(InputError, match=f"holds {name} but no manifest"):
        syper_data.sample(n=1, out=out, generator=tiny)
    assert not (out / "manifest.json").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_device_is_refused_before_anything_is_written(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"device cuda.*--device cpu"):
        syper_data.sample(n=1, out=tmp_path / "x", generator=tiny, device="cuda")
    assert not (tmp_path / "x").exists()


def test_a_full_disk_is_one_clear_line_and_what_was_finished_stays(small_disk: Path, tiny: Path) -> None:
    out = small_disk / "syper"
    with pytest.raises(OutputError, match="No space left on device"):
        syper_data.sample(n=2000, out=out, generator=tiny, workers=1)
    finished = sorted(p.name for p in (out / "data").iterdir() if not p.name.startswith("."))
    assert 0 < len(finished) < 10
    assert not (out / "complete.json").exists()
    for name in finished:
        assert len(list(read_shard(out / "data" / name))) == 200
    assert not list(out.rglob(".*.tmp"))


def test_a_read_only_folder_is_one_clear_line(small_disk: Path, tiny: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match="Read-only file system"):
        syper_data.sample(n=5, out=small_disk / "syper", generator=tiny)


def test_a_generator_that_produces_nan_gives_no_dataset(tmp_path: Path) -> None:
    broken = save_small_generator(tmp_path / "g.safetensors", seed=1)
    data = bytearray(broken.read_bytes())
    header = int.from_bytes(data[:8], "little")
    info = json.loads(data[8 : 8 + header])["synthesis.b16.torgb.bias"]["data_offsets"]
    data[8 + header + info[0] : 8 + header + info[0] + 4] = np.float32(3e38).tobytes()
    (tmp_path / "h.safetensors").write_bytes(data)
    syper_data.sample(n=2, out=tmp_path / "ok", generator=tmp_path / "h.safetensors")  # finite: clamped
    data[8 + header + info[0] : 8 + header + info[0] + 4] = np.float32("nan").tobytes()
    (tmp_path / "n.safetensors").write_bytes(data)
    with pytest.raises(SyperError, match="not finite"):
        syper_data.sample(n=2, out=tmp_path / "nan", generator=tmp_path / "n.safetensors")
    assert not (tmp_path / "nan").exists()
