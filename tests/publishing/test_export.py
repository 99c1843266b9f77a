"""``export_hf`` to a folder: what it writes loads back equal, and nothing wrong gets through."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from loopback_hub import LoopbackHub
from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory, ShardRecord
from syper_data.dataset.manifest import Run
from syper_data.dataset.shards import Row, file_sha256, read_shard, write_shard
from syper_data.errors import VerificationError
from syper_data.publishing import export as export_module
from syper_data.publishing.check import ColumnDigests, check_export
from syper_data.publishing.export import export_hf

FILES = {"README.md", "manifest.json", "complete.json", "croissant.json", "contact-sheet.png", "data"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DatasetDirectory:
    return make_dataset(tmp_path_factory.mktemp("source") / "syper", 20)


@pytest.fixture(scope="module")
def exported(source: DatasetDirectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_hf(source.path, out=tmp_path_factory.mktemp("exported") / "out")


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the last step, for tests of the steps before it."""
    monkeypatch.setattr(export_module, "check_export", lambda *_: None)


def load(folder: Path, cache: Path) -> Any:
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(str(folder), split="train", cache_dir=str(cache))


def snapshot(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Digest, inode and time of every file but the lock."""
    return {
        str(p.relative_to(folder)): (file_sha256(p), p.stat().st_ino, p.stat().st_mtime_ns)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


def rewrite_shard(dataset: DatasetDirectory, index: int, **changes: Any) -> None:
    """Change the first row of a shard and make the completion record agree."""
    shard = dataset.manifest.shards[index]
    path = dataset.shard_path(shard)
    rows = [Row(v.pop("image")["bytes"], "x.png", **v) for v in read_shard(path)]
    rows[0] = Row(**{**vars(rows[0]), **changes})
    write_shard(path, rows)
    record = dataset.completion()
    assert record is not None
    records = list(record.shards)
    records[index] = ShardRecord(shard.name, shard.rows, path.stat().st_size, file_sha256(path))
    dataset.complete(tuple(records), ())


def test_the_folder_holds_what_the_contract_lists_and_no_leftovers(exported: Path) -> None:
    assert {p.name for p in exported.iterdir()} == FILES | {".lock"}
    assert len(list((exported / "data").iterdir())) == 3


def test_shards_and_manifest_are_the_same_bytes(source: DatasetDirectory, exported: Path) -> None:
    names = ["manifest.json", *(f"data/{shard.name}" for shard in source.manifest.shards)]
    assert len(names) == 4
    for name in names:
        assert (exported / name).read_bytes() == (source.path / name).read_bytes()


def test_a_user_loads_every_row_and_the_pixels_that_were_recorded(
    source: DatasetDirectory, exported: Path, tmp_path: Path
) -> None:
    rows = load(exported, tmp_path)
    assert list(rows["seed"]) == list(range(20))
    assert set(rows["label"]) == {None}
    for row in rows:
        assert hashlib.sha256(np.asarray(row["image"]).tobytes()).hexdigest() == row["pixel_sha256"]


def test_the_sizes_in_the_card_are_those_that_the_library_counts(exported: Path, tmp_path: Path) -> None:
    info = load(exported, tmp_path).info
    card = yaml.safe_load((exported / "README.md").read_text().split("---\n")[1])["dataset_info"]
    assert card["splits"][0]["num_bytes"] == info.splits["train"].num_bytes == card["dataset_size"]
    assert card["splits"][0]["num_examples"] == info.splits["train"].num_examples == 20
    assert card["download_size"] == sum(p.stat().st_size for p in (exported / "data").iterdir())


def test_the_contact_sheet_shows_every_image_of_a_small_dataset(exported: Path) -> None:
    from PIL import Image

    with Image.open(exported / "contact-sheet.png") as sheet:
        assert sheet.size == (8 * 32, 3 * 32)
    assert "20 of the images" in (exported / "README.md").read_text()


def test_the_dataset_is_left_untouched(tmp_path: Path, unchecked: None) -> None:
    dataset = make_dataset(tmp_path / "syper", 9)
    before = snapshot(dataset.path)
    export_hf(dataset.path, out=tmp_path / "out")
    assert snapshot(dataset.path) == before
    assert {p.name for p in dataset.path.iterdir()} == {"manifest.json", "complete.json", "data"}


def test_the_same_call_again_rewrites_nothing(exported: Path, source: DatasetDirectory) -> None:
    before = snapshot(exported)
    assert len(before) == 8
    assert export_hf(source.path, out=exported) == exported
    assert snapshot(exported) == before


def test_only_what_is_missing_or_damaged_is_written_again(
    source: DatasetDirectory, exported: Path, tmp_path: Path, unchecked: None
) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported, out)
    before = snapshot(out)
    damaged, gone, kept = sorted((out / "data").iterdir())
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    gone.unlink()
    (out / "croissant.json").unlink()
    (out / ".README.md.1.tmp").write_text("left by a killed run")
    (out / ".check-1").mkdir()
    export_hf(source.path, out=out)
    after = snapshot(out)
    assert {name: digest for name, (digest, _, _) in after.items()} == {
        name: digest for name, (digest, _, _) in before.items()
    }
    for name in (f"data/{kept.name}", "README.md"):
        assert after[name] == before[name]
    assert {p.name for p in out.iterdir()} == FILES | {".lock"}


@pytest.mark.parametrize("stage", ["copying", "checking"])
def test_an_interrupted_export_is_completed_by_the_same_call(
    source: DatasetDirectory, exported: Path, tmp_path: Path, unchecked: None, stage: str
) -> None:
    def interrupt(at: str, done: int, total: int) -> None:
        assert total == 20
        if at == stage and done == (8 if stage == "copying" else 0):
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        export_hf(source.path, out=out, report=interrupt)
    assert (out / "README.md").exists() == (stage == "checking")
    begun = {name: state for name, state in snapshot(out).items() if name.startswith("data/")}
    assert len(begun) == (1 if stage == "copying" else 3)
    export_hf(source.path, out=out)
    after = snapshot(out)
    assert {name: after[name] for name in begun} == begun
    assert {n: d for n, (d, _, _) in after.items()} == {n: d for n, (d, _, _) in snapshot(exported).items()}


@pytest.mark.parametrize(
    "options",
    [
        {"runs": [Run(5, 12, 0), Run(5, 9, 2)], "c_dim": 3, "shard_rows": 8},
        {"n": 11, "image_format": "jpeg", "colour_mode": "L", "spectrum": "nir"},
        {"n": 1},
    ],
    ids=["conditional labels", "grey near-infrared jpeg", "one image"],
)
def test_every_kind_of_dataset_loads_back(options: dict[str, Any], tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "syper", **options)
    stages: list[tuple[str, int, int]] = []
    out = export_hf(dataset.path, out=tmp_path / "out", report=lambda *stage: stages.append(stage))
    rows, total = load(out, tmp_path / "cache"), len(dataset.manifest)
    assert list(zip(rows["seed"], rows["label"], strict=True)) == dataset.manifest.keys(0, total)
    assert set(rows["spectrum"]) == {options.get("spectrum", "vis")}
    assert rows[0]["image"].mode == options.get("colour_mode", "RGB")
    assert {stage for stage, _, _ in stages} == {"copying", "checking"}
    assert stages[-1] == ("checking", total, total)


def test_an_export_to_a_folder_speaks_to_no_network(source: DatasetDirectory, tmp_path: Path) -> None:
    code = "import sys; from syper_data import export_hf; export_hf(sys.argv[1], out=sys.argv[2])"
    with LoopbackHub() as hub:
        command = [sys.executable, "-c", code, str(source.path), str(tmp_path / "out")]
        env = {**hub.environment(tmp_path / "home"), "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run(command, env=env, check=True)
        assert hub.requests == []
    assert not (tmp_path / "home").exists()
    assert (tmp_path / "out" / "README.md").exists()


def test_pixels_that_are_not_those_recorded_are_found_before_it_is_done(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "syper", 9)
    rewrite_shard(dataset, 1, pixel_sha256="0" * 64)
    with pytest.raises(VerificationError, match="row 8: the pixels are not those recorded"):
        export_hf(dataset.path, out=tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == FILES - {"complete.json"} | {".lock"}


def test_a_row_under_another_seed_is_found(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "syper", 9)
    rewrite_shard(dataset, 1, seed=99)
    with pytest.raises(VerificationError, match=r"train-00001-of-00002.parquet, row 0: key \(99, None\)"):
        export_hf(dataset.path, out=tmp_path / "out")


def test_the_check_refuses_a_folder_that_load_dataset_refuses(
    exported: Path, source: DatasetDirectory, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported, out)
    card = (out / "README.md").read_text()
    (out / "README.md").write_text(card.replace("num_examples: 20", "num_examples: 21"))
    with pytest.raises(VerificationError, match=r"load_dataset fails: .*num_examples=21") as caught:
        check_export(out, source.manifest, ColumnDigests())
    assert "\n" not in str(caught.value)
    assert not list(out.glob(".check-*"))


@pytest.mark.parametrize("column", ["seed", "label", "spectrum", "pixel_sha256"])
def test_the_check_compares_every_column(
    column: str, source: DatasetDirectory, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from syper_data.publishing import check

    expected = ColumnDigests()
    for shard in source.manifest.shards:
        digests = [v["pixel_sha256"] for v in read_shard(source.shard_path(shard))]
        expected.add_planned(source.manifest, shard, digests)
    features = {"image": "Image", "seed": "int64", "label": "int32"}
    features |= {"spectrum": "string", "pixel_sha256": "string"}
    answer: dict[str, Any] = {"rows": 20, "features": features, "digests": expected.to_dict()}
    monkeypatch.setattr(check, "_ask_child", lambda _: answer)
    check_export(exported, source.manifest, expected)
    answer["digests"][column] = "0" * 64
    with pytest.raises(VerificationError, match=f"another column {column} "):
        check_export(exported, source.manifest, expected)
    answer["rows"] = 19
    with pytest.raises(VerificationError, match="19 rows, not 20"):
        check_export(exported, source.manifest, expected)


def test_licence_and_title_reach_card_and_croissant(
    source: DatasetDirectory, tmp_path: Path, unchecked: None
) -> None:
    out = export_hf(source.path, out=tmp_path / "out", license="cc-by-4.0", pretty_name="Eyes: a test")
    card = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    croissant = json.loads((out / "croissant.json").read_text())
    assert (card["license"], card["pretty_name"]) == ("cc-by-4.0", "Eyes: a test")
    assert (croissant["license"], croissant["alternateName"]) == ("cc-by-4.0", "Eyes: a test")


@pytest.mark.parametrize(
    ("folder", "name"), [("nir-eyes.v2", "nir-eyes.v2"), ("Augen, grün", "Augen-gr-n"), ("目", "syper")]
)
def test_croissant_has_the_datasets_name_in_letters_that_it_allows(
    tmp_path: Path, unchecked: None, folder: str, name: str
) -> None:
    out = export_hf(make_dataset(tmp_path / folder, 3).path, out=tmp_path / "out")
    assert json.loads((out / "croissant.json").read_text())["name"] == name


def test_the_exported_shards_keep_what_the_hub_reads(exported: Path) -> None:
    file = pq.ParquetFile(exported / "data" / "train-00000-of-00003.parquet")
    features = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert file.metadata.row_group(0).column(0).has_offset_index
