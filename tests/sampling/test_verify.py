from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import syper_data
from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory, ShardRecord
from syper_data.dataset.manifest import sha256_hex
from syper_data.dataset.settings import SamplingSettings
from syper_data.dataset.shards import Row, file_sha256, read_shard, write_shard
from syper_data.errors import DriftError, InputError, SyperError, UsageError
from syper_data.sampling import verify as verify_module
from syper_data.sampling.environment import current_environment

SHARD = "train-00001-of-00002.parquet"


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "syper"
    syper_data.sample(n=230, out=out, generator=tiny)
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_right_dataset_passes_whole(made: Path, tiny: Path) -> None:
    done = syper_data.verify(made, generator=tiny, rows="all")
    assert (done.shards, done.rows, done.regenerated, done.max_difference) == (2, 230, 230, 0)
    assert syper_data.verify(made, generator=tiny, rows=7).regenerated == 7
    assert syper_data.verify(made, rows=0).regenerated == 0


def rewrite(folder: Path, change: Callable[[list[Row]], list[Row]]) -> None:
    """Replace rows of the second shard and make the completion record fit again."""
    path = folder / "data" / SHARD
    rows = [
        Row(r["image"]["bytes"], r["image"]["path"], r["seed"], r["label"], r["spectrum"], r["pixel_sha256"])
        for r in read_shard(path)
    ]
    write_shard(path, change(rows))
    dataset = DatasetDirectory.open(folder)
    entries = []
    for shard in dataset.manifest.shards:
        file = dataset.shard_path(shard)
        entries.append(ShardRecord(shard.name, shard.rows, file.stat().st_size, file_sha256(file)))
    dataset.complete(tuple(entries), ())


def truncate(folder: Path) -> None:
    path = folder / "data" / SHARD
    path.write_bytes(path.read_bytes()[:-100])


def flip(folder: Path) -> None:
    path = folder / "data" / SHARD
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)


def edit_manifest(folder: Path) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    content["settings"]["psi"] = 0.9
    (folder / "manifest.json").write_text(json.dumps(content))


def edit_complete(folder: Path) -> None:
    content = json.loads((folder / "complete.json").read_text())
    content["rows"] = 7
    (folder / "complete.json").write_text(json.dumps(content))


def swap_images(rows: list[Row]) -> list[Row]:
    from dataclasses import replace

    return [replace(rows[0], image=rows[1].image), *rows[1:]]


def swap_rows(rows: list[Row]) -> list[Row]:
    return [rows[1], rows[0], *rows[2:]]


def forge(rows: list[Row]) -> list[Row]:
    """Another seed's image with its own right digest, under this key."""
    from dataclasses import replace

    return [replace(rows[0], image=rows[1].image, pixel_sha256=rows[1].pixel_sha256), *rows[1:]]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "manifest.json").unlink(), "no dataset directory"),
        (lambda f: (f / "manifest.json").write_text("{"), "not JSON"),
        (lambda f: (f / "complete.json").unlink(), "not complete"),
        (lambda f: (f / "complete.json").write_text("[]"), "completion record"),
        (edit_complete, "totals"),
        (edit_manifest, "manifest was edited"),
        (lambda f: (f / "data" / SHARD).unlink(), f"{SHARD}: missing"),
        (lambda f: shutil.copy(f / "data" / SHARD, f / "data" / "extra.parquet"), "extra.parquet"),
        (truncate, "bytes, complete.json says"),
        (flip, "SHA-256"),
        (lambda f: rewrite(f, swap_rows), r"row 0 \(seed 200, label null\): holds seed 201"),
        (lambda f: rewrite(f, swap_images), "row 0 .*the pixels are not those recorded"),
        (lambda f: rewrite(f, lambda r: r[:-1]), "29 rows, the manifest plans 30"),
        (lambda f: rewrite(f, forge), "row 0 .*made again, the pixels differ"),
    ],
)
def test_the_first_thing_that_is_wrong_is_named(
    copy: Path, tiny: Path, damage: Callable[[Path], object], words: str
) -> None:
    damage(copy)
    with pytest.raises(SyperError, match=words) as caught:
        syper_data.verify(copy, generator=tiny, rows="all")
    assert "\n" not in str(caught.value)


def test_a_lossy_dataset_is_verified_by_making_it_again(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "syper"
    syper_data.sample(n=230, out=out, generator=tiny, image_format="jpeg")
    rewrite(out, swap_images)
    syper_data.verify(out, generator=tiny, rows=0)
    with pytest.raises(SyperError, match="encoded image differs"):
        syper_data.verify(out, generator=tiny, rows="all")


def test_another_kind_of_machine_compares_within_the_tolerance_only_when_asked(
    made: Path, copy: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = verify_module.current_environment
    monkeypatch.setattr(verify_module, "current_environment", lambda s: {**real(s), "cpu_capability": "NEON"})
    with pytest.raises(DriftError, match="cpu_capability is NEON here"):
        syper_data.verify(made, generator=tiny)
    assert syper_data.verify(made, generator=tiny, rows=20, accept_drift=True).max_difference == 0
    rewrite(copy, forge)
    with pytest.raises(SyperError, match=r"differs by .* levels"):
        syper_data.verify(copy, generator=tiny, rows="all", accept_drift=True)


def test_a_generator_that_is_not_there_is_said_before_rows_are_read(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "eyes", 4, environment=current_environment(SamplingSettings(output_size=32)))
    told: list[str] = []
    with pytest.raises(InputError, match=f"no bundled generator has the SHA-256 {'ab' * 32}"):
        syper_data.verify(dataset.path, rows=2, report=lambda stage, at, of: told.append(stage))
    assert told == []
    assert syper_data.verify(dataset.path, rows=0, report=lambda stage, at, of: told.append(stage)).rows == 4
    assert told == ["reading"]


@pytest.mark.parametrize("rows", [-1, "some", True, 1.5])
def test_a_row_count_that_is_none_is_refused(made: Path, rows: object) -> None:
    with pytest.raises(UsageError, match="--rows"):
        syper_data.verify(made, rows=rows)  # type: ignore[arg-type]


def test_the_recorded_digest_is_that_of_the_pixels(made: Path) -> None:
    import io

    import numpy as np
    from PIL import Image

    row = pq.read_table(made / "data" / SHARD).slice(3, 1).to_pylist()[0]
    pixels = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
    assert sha256_hex(pixels.tobytes()) == row["pixel_sha256"]
