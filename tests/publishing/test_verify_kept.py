"""An export of kept images can be checked by whoever gets it: nothing changed, added, exchanged or left out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import syper_data
from filter_thresholds import write_thresholds
from small_dataset import make_dataset
from small_recognizers import save_random_recognizer
from syper_data.dataset.directory import Completion, DatasetDirectory
from syper_data.dataset.manifest import Run
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError, SyperError
from syper_data.filtering.ledger import write_ledger
from syper_data.filtering.quality.thresholds import Thresholds

SHARD, REJECTED = "data/train-00000-of-00001.parquet", "rejected/train-00000-of-00001.parquet"


def export(dataset: DatasetDirectory, rejected: set[int], out: Path) -> Path:
    """Publish a dataset whose images of these rows were found to be blurred."""
    thresholds = Thresholds.read(write_thresholds(out.parent / "thresholds.json", exposure=(90.0, None)))
    share = len(rejected) / len(dataset)
    quality = {"thresholds": thresholds.to_dict(), "share": share, "expected_share": 0.05}
    reasons = [["blurred"] if row in rejected else [] for row in range(len(dataset))]
    scores = {"exposure": np.arange(float(len(dataset)))}
    write_ledger(dataset, scores, reasons, {"quality": quality, "overlap": None})
    return syper_data.export_hf(dataset.path, out=out)


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 images of a generator, of which 7 were rejected."""
    folder = tmp_path_factory.mktemp("kept")
    syper_data.sample(n=30, out=folder / "eyes", generator=tiny)
    return export(DatasetDirectory.open(folder / "eyes"), {0, 3, 4, 8, 19, 28, 29}, folder / "hf")


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "hf")
    return tmp_path / "hf"


def test_every_kept_image_is_read_and_made_again(made: Path, tiny: Path) -> None:
    told: list[tuple[str, int, int]] = []
    done = syper_data.verify(made, generator=tiny, rows="all", report=lambda *told_now: told.append(told_now))
    assert (done.shards, done.rows, done.regenerated, done.max_difference) == (1, 23, 23, 0)
    assert ("reading", 23, 23) in told and ("regenerating", 23, 23) in told
    assert syper_data.verify(made, generator=tiny, rows=5).regenerated == 5
    assert syper_data.verify(made, rows=0).rows == 23


def test_kept_images_of_a_top_up_follow_those_of_the_first_plan(tmp_path: Path) -> None:
    dataset, more = make_dataset(tmp_path / "eyes", 8), make_dataset(tmp_path / "more", runs=[Run(50, 58)])
    topped = dataset.add_topup(replace(more.manifest, parent_sha256=dataset.manifest_sha256, first_shard=1))
    target = topped.shard_path(topped.shards[1])
    target.write_bytes(more.shard_path(more.shards[0]).read_bytes())
    extra = replace(more.require_complete().shards[0], name=target.name)
    topped.complete((*Completion.from_json((dataset.path / "complete.json").read_bytes(), "").shards, extra), ())
    out = export(DatasetDirectory.open(dataset.path), {2, 9}, tmp_path / "hf")
    assert syper_data.verify(out, rows=0).rows == 14
    (out / "topups/0001.json").unlink()
    with pytest.raises(SyperError, match=r"kept\.json: belongs to other top-ups"):
        syper_data.verify(out, rows=0)


def test_nothing_rejected_is_checked_as_well(tmp_path: Path) -> None:
    out = export(make_dataset(tmp_path / "eyes", 20), set(), tmp_path / "hf")
    assert not (out / "rejected").exists()
    assert syper_data.verify(out, rows=0).rows == 20


def test_it_is_embedded_like_a_dataset(made: Path, tmp_path: Path) -> None:
    recognizer = save_random_recognizer(tmp_path / "r.safetensors", spectrum="vis")
    found = syper_data.embed(made, embedder=recognizer, workers=1)
    assert found.table["seed"].to_pylist() == [s for s in range(30) if s not in {0, 3, 4, 8, 19, 28, 29}]


def test_the_record_comes_last_and_says_what_is_there(made: Path) -> None:
    record = json.loads((made / "kept.json").read_text())
    assert record["schema"] == "syper-kept/1"
    assert [(s["name"], s["rows"]) for s in record["shards"]] == [("train-00000-of-00001.parquet", 23)]
    assert (record["rejected"]["name"], record["rejected"]["rows"]) == (REJECTED, 7)
    assert record["rejected"]["sha256"] == file_sha256(made / REJECTED)
    assert not (made / "complete.json").exists()
    with pytest.raises(InputError, match="is an export of kept images only"):
        DatasetDirectory.open(made).require_complete()


def table(folder: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Replace a Parquet file of the export, and make its record fit, as a forger would."""
    path = folder / name
    pq.write_table(change(pq.read_table(path)), path)
    record = json.loads((folder / "kept.json").read_text())
    entry = record["rejected"] if name == REJECTED else record["shards"][0]
    entry |= {"rows": pq.read_metadata(path).num_rows, "bytes": path.stat().st_size, "sha256": file_sha256(path)}
    record |= {"rows": record["shards"][0]["rows"], "bytes": record["shards"][0]["bytes"]}
    (folder / "kept.json").write_text(json.dumps(record))


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        record = json.loads((folder / "kept.json").read_text())
        change(record)
        (folder / "kept.json").write_text(json.dumps(record))

    return edit


def column(name: str, row: int, value: Any) -> Callable[[pa.Table], pa.Table]:
    def change(rows: pa.Table) -> pa.Table:
        values = rows[name].to_pylist()
        values[row] = value
        at = rows.schema.get_field_index(name)
        return rows.set_column(at, rows.schema.field(at), pa.array(values, rows.schema.field(at).type))

    return change


def forged(rows: pa.Table) -> pa.Table:
    """Another seed's image with its own right digest, under the first key."""
    values = rows.slice(5, 1).to_pylist()[0]
    return column("image", 0, values["image"])(column("pixel_sha256", 0, values["pixel_sha256"])(rows))


def lists_as_seeds(rows: pa.Table) -> pa.Table:
    return rows.set_column(0, "seed", pa.array([[seed] for seed in rows["seed"].to_pylist()]))


def without_rejected(folder: Path) -> None:
    (folder / REJECTED).unlink()
    edited(lambda record: record.update(rejected=None))(folder)


def no_text(rows: pa.Table) -> pa.Table:
    """A spectrum that is not UTF-8."""
    spectrum = pa.array([b"\xff"] * len(rows), pa.binary()).cast(pa.string(), safe=False)
    return rows.set_column(rows.schema.get_field_index("spectrum"), rows.schema.field("spectrum"), spectrum)


def flip(folder: Path) -> None:
    data = bytearray((folder / SHARD).read_bytes())
    data[500] ^= 1
    (folder / SHARD).write_bytes(data)


DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (flip, r"SHA-256 \w+\.\.\., kept.json says"),
    (lambda f: (f / SHARD).write_bytes((f / SHARD).read_bytes()[:-100]), "bytes, kept.json says"),
    (lambda f: (f / SHARD).unlink(), "parquet: missing"),
    (lambda f: (f / REJECTED).unlink(), "rejected/train-00000-of-00001.parquet: missing"),
    (
        lambda f: shutil.copy(f / SHARD, f / "data/more.parquet"),
        "more.parquet: a shard that kept.json does not list",
    ),
    (lambda f: (f / "kept.json").write_text("[]"), "not a readable record of kept images"),
    (lambda f: (f / "kept.json").unlink(), "is an export of kept images without its kept.json"),
    (edited(lambda r: r.update(schema="syper-kept/9")), "schema is 'syper-kept/9'"),
    (edited(lambda r: r.update(manifest_sha256="00" * 32)), "belongs to another manifest"),
    (edited(lambda r: r.update(topups=["00" * 32])), "belongs to other top-ups"),
    (
        edited(lambda r: r["shards"][0].update(name="../../eyes/data/x.parquet")),
        "not numbered as those of an export",
    ),
    (edited(lambda r: r["rejected"].update(name="../x.parquet")), r"lie in '\.\./x.parquet', not in"),
    (edited(lambda r: r.update(rows=7)), "totals"),
    (edited(lambda r: r["shards"][0].update(rows=float("inf"))), "not a readable completion record"),
    (edited(lambda r: r["shards"][0].update(rows=23.0)), "not a readable completion record"),
    (edited(lambda r: r["rejected"].update(rows=True)), "not a readable record of kept images"),
    (edited(lambda r: r.update(rows=23.0)), "totals"),
    (edited(lambda r: r["rejected"].update(rows=6)), "7 rows, kept.json says 6"),
    (edited(lambda r: r.update(drift=["x"])), "not a readable completion record"),
    (edited(lambda r: r.update(shards=[], rows=0, bytes=0)), "kept.json: lists no shard"),
    (lambda f: (f / "complete.json").write_text("{}"), "has complete.json and kept.json"),
    (
        lambda f: (f / "data/x=1").mkdir() or shutil.copy(f / SHARD, f / "data/x=1/m.PARQUET"),
        "m.PARQUET: a shard that",
    ),
    (
        lambda f: shutil.copy(f / REJECTED, f / "rejected/more.parquet"),
        "more.parquet: a shard that kept.json does not",
    ),
    (edited(lambda r: r["rejected"].update(bytes=float("inf"))), "not a readable record of kept images"),
    (
        without_rejected,
        "7 of the 30 planned images are neither kept nor rejected, seed 0",
    ),
    (
        lambda f: table(f, SHARD, lambda t: t.slice(1)),
        "1 of the 30 planned .* neither kept nor rejected, seed 1, label",
    ),
    (lambda f: table(f, SHARD, lambda t: pa.concat_tables([t.slice(0, 1), t])), "row 1: seed 1, .* comes twice"),
    (
        lambda f: table(f, SHARD, lambda t: t.take([1, 0, *range(2, 23)])),
        "row 1: seed 1, .* not in the plan's order",
    ),
    (lambda f: table(f, SHARD, column("seed", 2, 77)), "row 2: seed 77, label null is not in the plan"),
    (lambda f: table(f, SHARD, column("spectrum", 2, "x-ray")), "row 2 .*spectrum is 'x-ray'"),
    (lambda f: table(f, SHARD, column("image", 2, {"bytes": b"", "path": "x"})), r"row 2 \(seed 5, label null\)"),
    (lambda f: table(f, SHARD, column("pixel_sha256", 2, "0")), "row 2 .*the pixels are not those recorded"),
    (lambda f: table(f, SHARD, forged), "row 0 .seed 1, label null.: made again, the pixels differ"),
    (lambda f: table(f, SHARD, lambda t: t.drop_columns(["label"])), "columns are not those of a dataset shard"),
    (lambda f: table(f, SHARD, lambda t: t.append_column("n", pa.array(["a"] * 23))), "column n holds no numbers"),
    (lambda f: table(f, REJECTED, column("seed", 0, 1)), "row 0: seed 1, label null is kept, or comes twice"),
    (lambda f: table(f, REJECTED, column("seed", 0, 99)), "row 0: seed 99, label null is not in the plan"),
    (lambda f: table(f, REJECTED, lambda t: t.drop_columns(["seed"])), "no list of keys"),
    (lambda f: table(f, REJECTED, lists_as_seeds), "no list of keys"),
    (lambda f: table(f, SHARD, lambda t: t.append_column("seed", t["seed"])), "the column seed more than once"),
    (lambda f: table(f, SHARD, no_text), "data/train-00000-of-00001.parquet: damaged"),
]


@pytest.mark.parametrize(
    ("damage", "words"), DAMAGE, ids=[f"{i} {words[:30]}" for i, (_, words) in enumerate(DAMAGE)]
)
def test_the_first_thing_that_is_wrong_is_named(
    copy: Path, tiny: Path, damage: Callable[[Path], object], words: str
) -> None:
    damage(copy)
    with pytest.raises(SyperError, match=words) as caught:
        syper_data.verify(copy, generator=tiny, rows="all")
    assert "\n" not in str(caught.value)
