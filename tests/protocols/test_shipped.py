"""The protocols that ship: what their files promise is what they give."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from small_generators import REPOSITORY
from syper_data.protocols.generated import GeneratedPictures, GeneratedSettings, generated_fold
from syper_data.protocols.making import make_protocol
from syper_data.protocols.parquet_format import namer, read_parquet_protocol, read_table

PROTOCOLS = REPOSITORY / "protocols"
LAMP = PROTOCOLS / "nir-lamp100.yaml"
SOURCE = REPOSITORY.parent / "shared" / "data" / "nir_lamp100.parquet"

needs_source = pytest.mark.skipif(not SOURCE.is_file(), reason=f"{SOURCE.name} is not here (licensed images)")


def numbered(first: int, last: int) -> frozenset[str]:
    return frozenset(f"{n:03d}" for n in range(first, last + 1))


def test_lamp_trains_on_60_people_and_tests_the_other_40_of_which_ten_are_not_enrolled() -> None:
    tested = {"1": (61, 100), "2": (1, 40), "3": (41, 80)}
    folds = read_parquet_protocol(LAMP)
    assert [fold.name for fold in folds] == list(tested)
    for fold in folds:
        first, last = tested[fold.name]
        assert frozenset(fold.subject_names) == numbered(first, last)
        assert fold.training == numbered(1, 100) - numbered(first, last)
        assert fold.identification is not None
        enrolled = [fold.images[i] for i in fold.identification.gallery]
        assert {name.split("/")[0] for name in enrolled} == numbered(first, last - 10)
        assert len(enrolled) == 30 * 2 * 2
        assert len(enrolled) + len(fold.identification.probe) == len(fold.images)
    table = read_table(LAMP)
    assert len(table) == 3963
    assert len(set(table.identity)) == 200


def test_lamp_holds_names_and_no_image() -> None:
    schema = pq.read_schema(PROTOCOLS / "nir-lamp100" / "images.parquet")
    assert {str(field.type) for field in schema} == {"string"}
    assert (PROTOCOLS / "nir-lamp100" / "images.parquet").stat().st_size < 40_000


def test_the_counts_that_a_descriptor_promises_are_those_of_its_folds() -> None:
    promised = yaml.safe_load(LAMP.read_text("utf-8"))["expects"]["folds"]
    assert {fold.name: list(fold.counts()) for fold in read_parquet_protocol(LAMP)} == promised
    synthetic = yaml.safe_load((PROTOCOLS / "synthetic.yaml").read_text("utf-8"))
    fold = generated_fold(GeneratedSettings.from_options(synthetic["options"]))
    assert {fold.name: list(fold.counts())} == synthetic["expects"]["folds"]


@needs_source
def test_lamp_is_made_again_by_the_command_that_it_names(tmp_path: Path) -> None:
    split = PROTOCOLS / "nir-lamp100" / "split.yaml"
    made = make_protocol(SOURCE, out=tmp_path / "nir-lamp100", split=split, enrol=2, spectrum="nir")
    shipped = yaml.safe_load(LAMP.read_text("utf-8"))
    again = yaml.safe_load((tmp_path / "nir-lamp100" / "protocol.yaml").read_text("utf-8"))
    assert again["made"] == shipped["made"]
    assert again["options"]["fold_sha256"] == shipped["options"]["fold_sha256"]
    assert made.table == read_table(LAMP)


def test_the_synthetic_protocol_names_the_bundled_generator_as_it_is() -> None:
    options = yaml.safe_load((PROTOCOLS / "synthetic.yaml").read_text("utf-8"))["options"]
    file = REPOSITORY / "generator" / options["generator"] / "generator.safetensors"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == options["sha256"]
    settings = GeneratedSettings.from_options(options)
    assert settings == GeneratedSettings(options["generator"], options["sha256"])  # the defaults, written out
    (entry,) = GeneratedPictures(settings).read([generated_fold(settings).images[-1]])
    assert entry.name == "1000299/3"
    assert np.asarray(entry.pixels).shape == (128, 128, 3)  # type: ignore[union-attr]


@dataclass
class Entry:
    source_id: str
    subject: str | None = None
    side: str | None = None
    sample: int | None = None


def test_an_image_is_found_by_its_labels_and_a_failure_that_has_none_by_its_place() -> None:
    table = read_table(LAMP)
    name = namer(table, ["subject", "side", "sample"])
    assert name(Entry("x", "001", "image_right", 2)) == "001/image_right/2"
    assert name(Entry("nir_lamp100.parquet#1")) == "001/image_right/2"
    assert name(Entry("other.parquet#1")) is None
    assert name(Entry("other.parquet#1", "101", "image_right", 2)) is None
