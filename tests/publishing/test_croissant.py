"""``croissant.json`` passes the reference validator, and its reader gives the images."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pytest

from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory
from syper_data.dataset.manifest import Run
from syper_data.dataset.shards import file_sha256
from syper_data.publishing.card import Publication
from syper_data.publishing.croissant import render_croissant

pytestmark = [  # of the validator's own dependencies
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword"),
]

PUSHED = {"repo_id": "me/eyes", "url": "http://127.0.0.1/datasets/me/eyes"}


def describe(dataset: DatasetDirectory, **terms: Any) -> Path:
    """Write the record beside the data that it describes."""
    completion = dataset.completion()
    assert completion is not None
    publication = Publication(dataset.manifest, dataset.manifest_sha256, completion, 1000, **terms)
    path = dataset.path / "croissant.json"
    size = (dataset.path / "manifest.json").stat().st_size
    path.write_text(render_croissant(publication, size, "2026-01-31"))
    return path


@pytest.mark.parametrize(
    ("options", "terms"),
    [
        ({"n": 20}, {}),
        ({"n": 20}, PUSHED),
        ({"runs": [Run(0, 3, 0), Run(0, 3, 1)], "c_dim": 2}, {"license": "cc-by-4.0"}),
        ({"n": 3, "image_format": "jpeg", "spectrum": "nir"}, {"pretty_name": 'Eyes "<b>" \\ {x}'}),
        ({"n": 101, "shard_rows": 1, "generator_name": '"}], {{'}, {}),
    ],
    ids=["folder", "pushed", "conditional", "odd title", "more than 100 shards"],
)
def test_the_reference_validator_finds_no_error_and_no_warning(
    options: dict[str, Any], terms: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = describe(make_dataset(tmp_path / "d", **options), **terms)
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(jsonld=path)
    assert dataset.metadata.ctx.issues.errors == set()
    assert dataset.metadata.ctx.issues.warnings == set()
    assert caplog.records == []
    assert dataset.metadata.url == terms.get("url")


def test_the_validator_would_find_an_error(tmp_path: Path) -> None:
    path = describe(make_dataset(tmp_path / "d", 3))
    record = json.loads(path.read_text())
    del record["distribution"][0]["sha256"]
    with pytest.raises(mlcroissant.ValidationError, match="sha256"):
        mlcroissant.Dataset(jsonld=record)


@pytest.mark.parametrize("labels", [False, True], ids=["unconditional", "conditional"])
def test_its_reader_gives_every_image_key_and_digest(labels: bool, tmp_path: Path) -> None:
    runs = [Run(7, 12, 1), Run(3, 9, 0)] if labels else [Run(7, 18)]
    dataset = make_dataset(tmp_path / "d", runs=runs, c_dim=2 if labels else 0)
    records = list(mlcroissant.Dataset(jsonld=describe(dataset)).records("default"))
    keys = [(r["default/seed"], r["default/label"]) for r in records]
    assert keys == dataset.manifest.keys(0, 11)
    for record in records:
        pixels = np.asarray(record["default/image"])
        assert pixels.shape == (32, 32, 3)
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        assert digest.encode() == record["default/pixel_sha256"]
        assert record["default/spectrum"] == b"vis"


def test_every_file_is_listed_with_its_digest(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", 20)
    record = json.loads(describe(dataset).read_text())
    files = {f["contentUrl"]: f for f in record["distribution"] if f["@type"] == "cr:FileObject"}
    assert set(files) == {"manifest.json", *(f"data/{s.name}" for s in dataset.manifest.shards)}
    for name, file in files.items():
        assert file["sha256"] == file_sha256(dataset.path / name)
        assert file["contentSize"] == f"{(dataset.path / name).stat().st_size} B"


def test_the_key_of_a_conditional_dataset_holds_the_label(tmp_path: Path) -> None:
    plain = json.loads(describe(make_dataset(tmp_path / "a", 3)).read_text())
    labels = json.loads(describe(make_dataset(tmp_path / "b", runs=[Run(0, 2, 0)], c_dim=1)).read_text())
    assert plain["recordSet"][0]["key"] == [{"@id": "default/seed"}]
    assert labels["recordSet"][0]["key"] == [{"@id": "default/seed"}, {"@id": "default/label"}]


def test_a_new_manifest_is_another_version(tmp_path: Path) -> None:
    versions = {json.loads(describe(make_dataset(tmp_path / str(n), n)).read_text())["version"] for n in (1, 2)}
    assert len(versions) == 2
    assert all(version.startswith("1.0.0+") for version in versions)
