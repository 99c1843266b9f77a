"""``filter`` on quality: the ledger, its reuse, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import load_dataset

import syper_data
from drawn_crops import drawn_eye, write_crops
from filter_thresholds import write_thresholds
from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory
from syper_data.errors import InputError, LockedError, SyperError, UsageError, VerificationError
from syper_data.filtering.filter import FILTER, THRESHOLDS
from syper_data.filtering.ledger import LEDGER, read_ledger, write_ledger
from syper_data.filtering.quality.measures import MeasureSet
from syper_data.filtering.scoring import CACHE


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetDirectory:
    return make_dataset(tmp_path / "eyes", 20)


def quality(path: Path, **options: Any) -> Any:
    return syper_data.filter(path, quality_only=True, workers=1, **options)


def files(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_every_image_has_a_row_with_scores_verdict_and_reasons(tmp_path: Path, dataset: DatasetDirectory) -> None:
    before = files(dataset.path)
    exact = MeasureSet("vis")
    from syper_data.imaging.source import read_images

    wanted = [exact.measure(image.pixels, "x") for image in read_images(dataset.path)]
    middle = float(np.median([row["exposure"] for row in wanted]))
    result = quality(
        dataset.path, quality_thresholds=write_thresholds(tmp_path / "t.json", exposure=(middle, None))
    )
    ledger = read_ledger(dataset)
    rows = ledger.table.to_pylist()
    assert [(r["seed"], r["label"]) for r in rows] == [(seed, None) for seed in range(20)]
    for row, scores in zip(rows, wanted, strict=True):
        assert {name: row[name] for name in scores} == scores
        dark = scores["exposure"] < middle
        assert row["reasons"] == (["too dark"] if dark else [])
        assert row["keep"] is not dark
    assert result.figures["rows"] == 20 == result.figures["kept"] + sum(result.figures["rejected"].values())
    assert result.figures["rejected"] == {"too dark": 10}
    stored = json.loads((dataset.path / FILTER).read_text())
    assert stored == result.figures
    after = files(dataset.path)
    assert all(after[name] == data for name, data in before.items()), "an image was changed"
    assert len(load_dataset(str(dataset.path), split="train", cache_dir=str(tmp_path / "cache"))) == 20


def test_rows_are_kept_or_rejected_by_their_first_reason(tmp_path: Path, dataset: DatasetDirectory) -> None:
    file = write_thresholds(tmp_path / "t.json", exposure=(300, None), contrast=(300, None))
    result = quality(dataset.path, quality_thresholds=file)
    assert result.figures["kept"] == 0
    assert result.figures["rejected"] == {"too dark": 20}
    assert result.figures["reasons"] == {"too dark": 20, "low contrast": 20}


def test_other_thresholds_reuse_the_scores(
    tmp_path: Path, dataset: DatasetDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    quality(dataset.path, quality_thresholds=write_thresholds(tmp_path / "a.json"))
    first = (dataset.path / LEDGER).read_bytes()
    monkeypatch.setattr("syper_data.filtering.scoring.open_pool", None)  # a worker would be a failure
    other = write_thresholds(tmp_path / "b.json", exposure=(300, None))
    assert quality(dataset.path, quality_thresholds=other).figures["kept"] == 0
    assert quality(dataset.path, quality_thresholds=tmp_path / "a.json").figures["kept"] == 20
    assert (dataset.path / LEDGER).read_bytes() == first
    assert quality(dataset.path, quality_thresholds=dataset.path / THRESHOLDS).figures["kept"] == 20


def test_scores_that_were_damaged_are_computed_again(tmp_path: Path, dataset: DatasetDirectory) -> None:
    file = write_thresholds(tmp_path / "t.json")
    quality(dataset.path, quality_thresholds=file)
    first = (dataset.path / LEDGER).read_bytes()
    victim = sorted((dataset.path / CACHE).glob("*.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:50])
    quality(dataset.path, quality_thresholds=file)
    assert (dataset.path / LEDGER).read_bytes() == first


def test_real_crops_set_the_thresholds_at_the_rate_asked_for(tmp_path: Path, dataset: DatasetDirectory) -> None:
    crops = write_crops(tmp_path / "real.parquet", (drawn_eye(i, 32) for i in range(40)))
    figures = quality(dataset.path, reference=crops, false_rejection_rate=0.05).figures["quality"]
    assert figures["origin"] == "reference"
    assert figures["thresholds"]["crops"]["images"] == 40
    assert figures["thresholds"]["rate"] == 0.05
    assert figures["rejected"] == 20  # noise is no eye


def test_a_rate_that_a_file_of_thresholds_would_silence_is_refused(
    tmp_path: Path, dataset: DatasetDirectory
) -> None:
    file = write_thresholds(tmp_path / "t.json")
    with pytest.raises(
        UsageError, match=r"t\.json: its limits are for .* of 0\.005, which --false-rejection-rate"
    ):
        quality(dataset.path, quality_thresholds=file, false_rejection_rate=0.05)
    assert not (dataset.path / "ledger.parquet").exists()
    assert quality(dataset.path, quality_thresholds=file, false_rejection_rate=0.005).figures["kept"] == 20


def test_too_few_real_crops_leave_the_bundled_thresholds(tmp_path: Path, dataset: DatasetDirectory) -> None:
    crops = write_crops(tmp_path / "real.parquet", (drawn_eye(i, 32) for i in range(4)))
    assert quality(dataset.path, reference=crops).figures["quality"]["origin"] == "bundled"
    with pytest.raises(UsageError, match=r"bundled quality thresholds are for a false-rejection rate of 0.005"):
        quality(dataset.path, false_rejection_rate=0.01)
    with pytest.raises(UsageError, match=r"real.parquet: 4 crops are too few .* rate of 0.01, .*give 100 or more"):
        quality(dataset.path, reference=crops, false_rejection_rate=0.01)
    with pytest.raises(
        UsageError, match=r"real.parquet: 4 crops are too few .* rate of 0.005, .*give 200 or more"
    ):
        quality(dataset.path, reference=crops, utility=True)


def test_an_unreadable_real_crop_is_named_and_the_old_ledger_stays(
    tmp_path: Path, dataset: DatasetDirectory
) -> None:
    quality(dataset.path, quality_thresholds="bundled")
    before = (dataset.path / LEDGER).read_bytes()
    folder = tmp_path / "real"
    folder.mkdir()
    for i in range(25):
        (folder / f"{i}.png").write_bytes(b"no image" if i == 13 else b"")
    with pytest.raises(InputError, match=r"real/.*png"):
        quality(dataset.path, reference=folder, false_rejection_rate=0.1)
    assert (dataset.path / LEDGER).read_bytes() == before


def test_a_damaged_shard_is_named_and_nothing_is_written(tmp_path: Path, dataset: DatasetDirectory) -> None:
    victim = dataset.shard_path(dataset.shards[1])
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 255
    victim.write_bytes(bytes(data))
    with pytest.raises(VerificationError, match=rf"{victim.name}: SHA-256 .* damaged or changed"):
        quality(dataset.path, quality_thresholds="bundled")
    assert not (dataset.path / LEDGER).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "say whom to compare with: --reference"),
        ({"quality_only": True, "embedder": "x"}, "--quality-only and --embedder exclude each other"),
        ({"reference": "x", "fpir": 0}, "--fpir is 0"),
        ({"reference": "x", "neighbours": 0}, "--neighbours is 0"),
        ({"quality_only": True, "false_rejection_rate": 0.7}, "--false-rejection-rate is 0.7"),
        ({"quality_only": True, "iris_diameters": 99.0}, "--iris-diameters is 99.0"),
        ({"quality_only": True, "measure": ["nothing"]}, "must look like module:Class"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    dataset: DatasetDirectory, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        syper_data.filter(dataset.path, workers=1, **options)
    assert not (dataset.path / LEDGER).exists()


def test_an_unfinished_dataset_and_a_locked_one_are_refused(tmp_path: Path, dataset: DatasetDirectory) -> None:
    from syper_data.dataset.lock import folder_lock

    with pytest.raises(InputError, match="not complete"):
        quality(make_dataset(tmp_path / "half", 9, complete=False).path)
    with folder_lock(dataset.path), pytest.raises(LockedError):
        quality(dataset.path)


def test_the_ledger_of_another_dataset_is_refused(tmp_path: Path, dataset: DatasetDirectory) -> None:
    quality(dataset.path, quality_thresholds=write_thresholds(tmp_path / "t.json"))
    other = make_dataset(tmp_path / "other", 20, generator_name="other-v1")
    (other.path / LEDGER).write_bytes((dataset.path / LEDGER).read_bytes())
    with pytest.raises(InputError, match="ledger of another dataset"):
        read_ledger(other)
    with pytest.raises(InputError, match=r"has no ledger.parquet; make it with syper-data filter"):
        read_ledger(make_dataset(tmp_path / "none", 3))


def test_a_ledger_whose_counts_do_not_add_up_is_refused(tmp_path: Path, dataset: DatasetDirectory) -> None:
    import pyarrow.parquet as pq

    write_ledger(dataset, {"score": np.arange(20.0)}, [[]] * 19 + [["blurred"]], {})
    path = dataset.path / LEDGER
    good = pq.read_table(path)
    damaged = {
        "kept with a reason": good.set_column(3, "keep", [[True] * 20]),
        "keys in order": good.slice(0, 19).replace_schema_metadata(good.schema.metadata),
        "add up": good.replace_schema_metadata(
            {b"syper_ledger": good.schema.metadata[b"syper_ledger"].replace(b'"kept": 19', b'"kept": 18')}
        ),
        "no ledger of this toolkit": good.replace_schema_metadata({}),
        "not a readable ledger": good.drop_columns(["reasons"]),
    }
    assert read_ledger(dataset).kept == 19
    for message, table in damaged.items():
        pq.write_table(table, path)
        with pytest.raises(InputError, match=message):
            read_ledger(dataset)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="truncated or damaged"):
        read_ledger(dataset)


def test_a_score_that_is_not_finite_is_not_written(dataset: DatasetDirectory) -> None:
    scores = np.arange(20.0)
    scores[7] = np.nan
    with pytest.raises(SyperError, match="seed 7: score is nan"):
        write_ledger(dataset, {"score": scores}, [[]] * 20, {})
    with pytest.raises(SyperError, match="19 values of score for 20 images"):
        write_ledger(dataset, {"score": np.arange(19.0)}, [[]] * 20, {})
    assert not (dataset.path / LEDGER).exists()
