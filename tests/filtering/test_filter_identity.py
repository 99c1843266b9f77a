"""``filter`` against real people: who is flagged, what is recorded, and what is refused before long work."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import syper_data
from drawn_crops import drawn_eye, png, write_crops
from simulated_people import People
from small_dataset import make_dataset
from small_recognizers import save_random_recognizer
from syper_data.dataset.directory import DatasetDirectory
from syper_data.errors import InputError, UsageError
from syper_data.filtering.filter import FILTER
from syper_data.filtering.ledger import LEDGER, read_ledger
from syper_data.recognition.recognizer_file import read_recognizer

LEAKED = (2, 5, 11)  # seeds of synthetic images that are somebody's real ones


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_recognizer(tmp_path_factory.mktemp("network") / "random.safetensors")


def real_eyes() -> list[Any]:
    """Two images of each of 30 people; three people's first image is a synthetic one as well."""
    images = [drawn_eye(1000 + i // 2, 32) for i in range(60)]
    images = [np.roll(x, i % 2, axis=1) for i, x in enumerate(images)]
    for person, seed in enumerate(LEAKED):
        images[2 * person] = drawn_eye(seed, 32)
        images[2 * person + 1] = np.roll(drawn_eye(seed, 32), 1, axis=1)
    return images


def synthetic(path: Path) -> DatasetDirectory:
    return make_dataset(path, 16, draw=lambda seed: drawn_eye(seed, 32))


def audit(path: Path, **options: Any) -> Any:
    return syper_data.filter(path, workers=1, **options)


def test_copies_of_real_people_are_flagged_and_the_audit_says_how_well_it_sees(
    tmp_path: Path, network: Path
) -> None:
    dataset = synthetic(tmp_path / "eyes")
    reference = write_crops(tmp_path / "real.parquet", real_eyes())
    told: list[str] = []
    options = {"reference": reference, "embedder": [network], "fpir": 0.1, "typicality": True}
    options |= {"false_rejection_rate": 0.05}
    result = audit(dataset.path, **options, report=lambda stage, at, total: told.append(stage))
    rows = {row["seed"]: row for row in read_ledger(dataset).table.to_pylist()}
    for seed in LEAKED:
        assert rows[seed]["reasons"][0] == "resembles a real person"
        assert rows[seed]["nearest_reference"] == f"real.parquet#{2 * LEAKED.index(seed)}"
        assert rows[seed]["nearest_similarity"] == pytest.approx(1, abs=1e-5)
        assert rows[seed]["centre_similarity"] <= rows[seed]["nearest_similarity"] + 1e-6
    overlap = result.figures["overlap"]
    flagged = sum("resembles a real person" in row["reasons"] for row in rows.values())
    assert overlap["excess"]["flagged"]["value"] == flagged >= 3
    assert overlap["excess"]["expected"]["value"] == pytest.approx(1.6)
    assert overlap["reference"]["images"] == 60 and overlap["reference"]["people"] == 30
    assert overlap["networks"][0]["sha256"] == read_recognizer(network).sha256
    assert overlap["networks"][0]["both_orientations"]
    typical = overlap["typicality"]
    below = [seed for seed, row in rows.items() if row["typicality"] < typical["threshold"]]
    assert [seed for seed, row in rows.items() if "untypical" in row["reasons"]] == below
    assert typical["rejected"] == len(below) and typical["real_images"] == 60
    kinds = {copy["kind"]: copy["flagged"]["value"] for copy in overlap["copies"]}
    assert kinds["mirrored"] == pytest.approx(1)
    assert any("expected by chance" in line for line in overlap["summary"])
    assert "real.parquet" not in " ".join(overlap["summary"])
    assert json.loads((dataset.path / FILTER).read_text()) == result.figures
    stages = list(dict.fromkeys(told))
    assert stages == [
        "calibrating", "measuring", "embedding the images", "embedding reference", "embedding reference, mirrored",
        "searching",
    ]  # fmt: skip


def embeddings_file(path: Path, people: int = 40, **changes: Any) -> Path:
    People(dim=128).images([f"p{i}" for i in range(people)], 2, **changes).write(path)
    return path


def with_nan(path: Path) -> Path:
    table = pq.read_table(embeddings_file(path))
    values = table["embedding"].combine_chunks().flatten().to_numpy().copy()
    values[128 * 7 + 3] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(values), 128)
    where = table.schema.get_field_index("embedding")
    pq.write_table(table.set_column(where, table.schema.field("embedding"), column), path)
    return path


def empty(path: Path) -> Path:
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), path)
    return path


def text_file(path: Path) -> Path:
    path.write_text("no image")
    return path


def missing(path: Path) -> Path:
    return path.with_name("absent")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "no such file or folder"),
        (empty, "the reference is empty"),
        (text_file, "not a readable Parquet file"),
        (with_nan, "row 7: the embedding holds values that are not finite"),
        (embeddings_file, r"was made by simulated \(SHA-256 aaaaaaaaaaaa\), which is needed"),
    ],
)
def test_a_reference_that_can_not_be_used_is_named_before_long_work(
    tmp_path: Path, network: Path, make: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = synthetic(tmp_path / "eyes")
    monkeypatch.setattr("syper_data.filtering.scoring.open_pool", None)
    monkeypatch.setattr("syper_data.recognition.embeddings.open_pool", None)
    with pytest.raises(InputError, match=message):
        audit(
            dataset.path,
            reference=make(tmp_path / "real.parquet"),
            embedder=[network],
            quality_thresholds="bundled",
        )
    assert not (dataset.path / LEDGER).exists()


def test_an_unreadable_real_image_is_refused_and_named(tmp_path: Path, network: Path) -> None:
    dataset = synthetic(tmp_path / "eyes")
    stored = [png(x) for x in real_eyes()]
    stored[4] = b"broken"
    table = {"image": [{"bytes": b, "path": "x"} for b in stored], "subject": [f"p{i // 2}" for i in range(60)]}
    pq.write_table(pa.table(table), tmp_path / "real.parquet")
    with pytest.raises(InputError, match=r"1 of 60 images of the reference can't be used.*real.parquet, row 4"):
        audit(
            dataset.path,
            reference=tmp_path / "real.parquet",
            embedder=[network],
            fpir=0.1,
            quality_thresholds="bundled",
        )
    assert not (dataset.path / LEDGER).exists()


@pytest.fixture
def no_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syper_data.filtering.scoring.open_pool", None)
    monkeypatch.setattr("syper_data.recognition.embeddings.open_pool", None)


@pytest.mark.usefixtures("no_long_work")
def test_people_that_the_recognizer_was_trained_on_are_refused_before_long_work(tmp_path: Path) -> None:
    dataset = synthetic(tmp_path / "eyes")
    digest = hashlib.sha256(b"face-3").hexdigest()
    network = save_random_recognizer(tmp_path / "seen.safetensors", identities=[digest])
    other = save_random_recognizer(tmp_path / "other.safetensors", seed=1)
    real = write_crops(tmp_path / "real.parquet", real_eyes())
    options = {"fpir": 0.1, "quality_thresholds": "bundled"}
    with pytest.raises(InputError, match=r"1 of the reference subjects \(such as face-3\) were in the training"):
        audit(dataset.path, reference=real, embedder=[network], **options)
    with pytest.raises(InputError, match=r"1 of the calibration subjects \(such as face-3\) were in the training"):
        audit(dataset.path, reference=real, calibration=real, embedder=[other, network], **options)


@pytest.mark.usefixtures("no_long_work")
def test_too_few_people_for_the_fpir_are_refused_before_long_work(tmp_path: Path, network: Path) -> None:
    dataset = synthetic(tmp_path / "eyes")
    real = write_crops(tmp_path / "real.parquet", real_eyes())
    options = {"fpir": 0.01, "quality_thresholds": "bundled", "embedder": [network], "reference": real}
    with pytest.raises(
        UsageError, match=r"reference holds 30 people, .*needs 199, .*--calibration SOURCE with 99"
    ):
        audit(dataset.path, **options)
    with pytest.raises(UsageError, match=r"calibration holds 30 people, .*needs 99; .*--fpir 0.0323, a weaker"):
        audit(dataset.path, calibration=real, **options)


@pytest.mark.usefixtures("no_long_work")
def test_too_few_people_for_several_auditors_are_refused_before_long_work(tmp_path: Path, network: Path) -> None:
    dataset = synthetic(tmp_path / "eyes")
    other = save_random_recognizer(tmp_path / "other.safetensors", seed=1)
    options = {"embedder": [network, other], "quality_thresholds": "bundled"}
    options["reference"] = write_crops(tmp_path / "real.parquet", real_eyes())
    message = (
        r"reference holds 30 people, (\d+) of whom .* judges, and its share of --fpir 0.01 .* needs (\d+), each"
    )
    with pytest.raises(UsageError, match=message) as caught:
        audit(dataset.path, **options)
    assert "give --calibration SOURCE with 99 or more other people" in str(caught.value)
    assert "\n" not in str(caught.value)
    unnamed = pa.table({"image": [{"bytes": png(x), "path": "x"} for x in real_eyes()]})
    pq.write_table(unnamed, tmp_path / "unnamed.parquet")
    with pytest.raises(InputError, match="reference row 0 has no subject: with several auditors"):
        audit(dataset.path, **options | {"reference": tmp_path / "unnamed.parquet"})


def as_folders(path: Path, images: list[Any], who: str) -> Path:
    """Consecutive pairs in a folder of their own, as :func:`write_crops` names them."""
    for i, image in enumerate(images):
        place = path / f"{who}-{i // 2}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i:03d}.png").write_bytes(png(image))
    return path


def test_people_in_folders_are_known_by_their_folders(tmp_path: Path, network: Path) -> None:
    dataset = synthetic(tmp_path / "eyes")
    outsiders = [drawn_eye(5000 + i, 32) for i in range(40)]
    options = {"fpir": 0.1, "quality_thresholds": "bundled", "embedder": [network]}
    people = as_folders(tmp_path / "real", real_eyes(), "face")
    calibration = as_folders(tmp_path / "others", outsiders, "other")
    found = audit(dataset.path, reference=people, calibration=calibration, **options).figures["overlap"]
    assert (found["reference"]["people"], found["reference"]["named_by_folder"]) == (30, True)
    assert "30 people (taken for one a folder), with the recognizer" in found["summary"][0]
    assert found["networks"][0]["calibration_people"] == 20
    assert found["second_samples"]["eyes"] == 30
    assert found["copies"][0]["kind"] == "unchanged"
    assert found["copies"][0]["flagged"]["value"] == 1
    table = read_ledger(dataset).table
    assert [table["nearest_reference"][seed].as_py() for seed in LEAKED] == [
        f"face-{i}/{2 * i:03d}.png" for i in range(3)
    ]


@pytest.mark.usefixtures("no_long_work")
def test_a_calibration_that_can_not_be_used_is_refused_before_long_work(tmp_path: Path, network: Path) -> None:
    dataset = synthetic(tmp_path / "eyes")
    real = write_crops(tmp_path / "real.parquet", real_eyes())
    unnamed = write_crops(tmp_path / "unnamed.parquet", real_eyes(), subjects=False)
    deep = as_folders(tmp_path / "deep" / "session", real_eyes(), "face").parent
    options = {"fpir": 0.1, "quality_thresholds": "bundled", "embedder": [network], "reference": real}
    for nobody in (unnamed, deep):
        with pytest.raises(InputError, match=r"calibration row 0 \(.+\) has no subject: .*a folder of their own"):
            audit(dataset.path, calibration=nobody, **options)
    with pytest.raises(InputError, match=r"30 calibration subjects are in the reference \(such as face-0\)"):
        audit(dataset.path, calibration=real, **options)


def test_membership_is_inferred_where_it_is_asked_for(tmp_path: Path, network: Path) -> None:
    dataset = synthetic(tmp_path / "eyes")
    reference = write_crops(tmp_path / "real.parquet", real_eyes())
    others = [drawn_eye(5000 + i, 32) for i in range(40)]
    unseen = write_crops(tmp_path / "unseen.parquet", others, who="other")
    options = {"fpir": 0.1, "quality_thresholds": "bundled", "embedder": [network], "reference": reference}
    with pytest.raises(UsageError, match=r"--membership compares --reference.*give those: --calibration SOURCE"):
        audit(dataset.path, membership=True, **options)
    found = audit(dataset.path, membership=True, calibration=unseen, **options).figures["overlap"]
    assert found["membership"]["train_people"] == 30
    assert found["membership"]["held_out_people"] == 20
    assert 0.4 < found["membership"]["auc"]["value"] <= 1
    assert any("Membership inference by the nearest image" in line for line in found["summary"])
