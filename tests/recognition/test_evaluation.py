"""The evaluation of a recognizer: which pairs, which people, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from drawn_crops import png
from small_recognizer_training import RECIPE, people
from syper_data.cli.evaluate_recognizer import command
from syper_data.errors import InputError, UsageError
from syper_data.imaging.source import SourceImage
from syper_data.metrics.error_rates import Scores
from syper_data.recognition.backbones import build_backbone
from syper_data.recognition.embedder import load_embedder
from syper_data.recognition.evaluation import SCHEMA, evaluate_recognizer, percent
from syper_data.recognition.recognizer_file import identity_digest, write_recognizer


def write_eyes(path: Path, images: list[SourceImage], **columns: list[Any]) -> Path:
    table: dict[str, list[Any]] = {
        "image": [{"bytes": png(x.pixels), "path": None} for x in images],
        "subject": [x.subject for x in images],
        "side": [x.side for x in images],
    }
    pq.write_table(pa.table({**table, **columns}), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained recognizer that says it knows person-0 and person-1, and eyes of persons 0 to 3."""
    root = tmp_path_factory.mktemp("evaluation")
    torch.manual_seed(0)
    digests = [identity_digest(f"person-{i}") for i in (0, 1)]
    fresh = build_backbone(RECIPE.backbone).eval()
    for name, identities in (("known", digests), ("unknown", None)):
        write_recognizer(
            root / f"{name}.safetensors", fresh, RECIPE.backbone, name=name, spectrum="nir", identities=identities,
            summary={},
        )  # fmt: skip
    write_eyes(root / "eyes.parquet", people())
    return root


def test_the_figures_are_those_of_all_pairs_of_new_people(folder: Path, tmp_path: Path) -> None:
    found = evaluate_recognizer(
        folder / "known.safetensors",
        folder / "eyes.parquet",
        tmp_path / "e.json",
        subjects=["person-2", "person-3"],
    )
    assert json.loads((tmp_path / "e.json").read_text()) == found
    assert found["schema"] == SCHEMA
    embedder = load_embedder(folder / "known.safetensors")
    assert found["recognizer"] == {"name": "known", "sha256": embedder.sha256}
    (entry,) = found["sets"]
    assert (entry["name"], entry["images"], entry["subjects"], entry["trained_on"]) == ("eyes", 12, 2, 0)
    assert (entry["mated"], entry["nonmated"]) == (4 * 3, 6 * 6)  # 4 eyes of 3 images; 2 people of 6

    images = [x for x in people() if x.subject in ("person-2", "person-3")]
    vectors = embedder.embed([x.pixels for x in images], [x.side for x in images])
    similar = vectors @ vectors.T
    mated, other = [], []
    for i, a in enumerate(images):
        for j in range(i + 1, len(images)):
            if a.subject != images[j].subject:
                other.append(similar[i, j])
            elif a.side == images[j].side:
                mated.append(similar[i, j])
    expected = Scores(np.array(mated), np.array(other)).equal_error_rate().value
    assert entry["eer"]["value"] == pytest.approx(expected, abs=1e-6)
    assert [point["point"]["target"] for point in entry["at"]] == [0.01, 0.001]


def test_folders_name_the_people_and_the_eyes(folder: Path, tmp_path: Path) -> None:
    for i, eye in enumerate(people()):
        place = tmp_path / "eyes" / str(eye.subject) / str(eye.side)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i:03d}.png").write_bytes(png(eye.pixels))
    options = {"subjects": ["person-2", "person-3"]}
    network = folder / "known.safetensors"
    (found,) = evaluate_recognizer(network, tmp_path / "eyes", tmp_path / "f.json", **options)["sets"]
    (column,) = evaluate_recognizer(network, folder / "eyes.parquet", tmp_path / "c.json", **options)["sets"]
    assert found["eer"]["value"] == pytest.approx(column["eer"]["value"])
    assert found["images"] == column["images"]


def test_a_recognizer_that_is_neither_bundled_nor_a_file_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody: neither a recognizer file nor a bundled recognizer"):
        evaluate_recognizer("nobody", folder / "eyes.parquet", tmp_path / "e.json")


def test_one_class_compares_people(folder: Path, tmp_path: Path) -> None:
    found = evaluate_recognizer(
        folder / "known.safetensors",
        folder / "eyes.parquet",
        tmp_path / "e.json",
        subjects=["person-2", "person-3"],
        both_eyes="one_class",
    )
    assert found["sets"][0]["mated"] == 2 * 15
    assert "the same person" in found["sets"][0]["comparison"]


def test_people_it_was_trained_on_are_refused_unless_asked_for(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was trained on 2 of the 4 subjects; choose others with --subjects"):
        evaluate_recognizer(folder / "known.safetensors", folder / "eyes.parquet", tmp_path / "e.json")
    with pytest.raises(InputError, match="does not say whom it was trained on"):
        evaluate_recognizer(folder / "unknown.safetensors", folder / "eyes.parquet", tmp_path / "e.json")
    assert not (tmp_path / "e.json").exists()
    found = evaluate_recognizer(
        folder / "known.safetensors", folder / "eyes.parquet", tmp_path / "e.json", allow_training_identities=True
    )
    assert found["sets"][0]["trained_on"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": None}, "row 0: names no subject"),
        ({"side": None}, "row 0: names no side"),
        ({"pixels": np.zeros((4, 6, 3), np.uint8)}, "a crop is square"),
    ],
)
def test_an_image_that_cannot_be_compared_is_refused(
    folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    images = [replace(people()[0], **changes), *people()[1:]]
    path = write_eyes(tmp_path / "bad.parquet", images)
    with pytest.raises(InputError, match=message):
        evaluate_recognizer(
            folder / "known.safetensors", path, tmp_path / "e.json", allow_training_identities=True
        )


def test_nobody_to_compare_is_said(folder: Path, tmp_path: Path) -> None:
    known, eyes = folder / "known.safetensors", folder / "eyes.parquet"
    with pytest.raises(InputError, match="no image of the subjects asked for"):
        evaluate_recognizer(known, eyes, tmp_path / "e.json", subjects=["nobody"])
    with pytest.raises(UsageError, match="1 people"):
        evaluate_recognizer(known, eyes, tmp_path / "e.json", subjects=["person-2"])
    with pytest.raises(UsageError, match="--both-eyes is 'three'"):
        evaluate_recognizer(known, eyes, tmp_path / "e.json", both_eyes="three")


def test_the_command_prints_the_rate_and_its_counts(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "subjects.txt").write_text("person-2\nperson-3\n")
    given = [
        str(folder / "known.safetensors"),
        "--data",
        str(folder / "eyes.parquet"),
        "--out",
        str(tmp_path / "e"),
    ]
    done = CliRunner().invoke(command, [*given, "--subjects", str(tmp_path / "subjects.txt")])
    assert done.exit_code == 0
    assert "eyes: EER " in done.output
    assert "2 people, 12 mated, 36 non-mated" in done.output


def test_a_rate_is_shown_with_its_interval_or_as_not_supported() -> None:
    assert percent({"value": 0.0231, "low": 0.018, "high": 0.0295}) == "2.31 % [1.80, 2.95]"
    assert percent({"value": 0.02, "low": None, "high": None}) == "2.00 %"
    assert percent(None) == "not supported"
