"""Split files: the people of each fold by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelled_images import people, write_rows
from syper_data.errors import InputError, UsageError
from syper_data.protocols.making import make_protocol
from syper_data.protocols.splitting import parts_of, read_split, share_of


def test_a_range_stands_for_the_numbers_between_with_as_many_digits(tmp_path: Path) -> None:
    (tmp_path / "split.yaml").write_text('"1": {test: ["008-011", "x-2"], train: ["1-2"]}\n')
    split = read_split(tmp_path / "split.yaml")["1"]
    assert split.test == {"008", "009", "010", "011", "x-2"}
    assert split.train == {"1", "2"}


def test_the_file_decides_who_is_tested_validated_and_not_enrolled(tmp_path: Path) -> None:
    split = tmp_path / "split.yaml"
    split.write_text(
        '"1": {test: ["001-003"], val: ["004"], unenrolled: ["003"]}\n'
        '"b": {test: ["005", "006"], train: ["001"]}\n'
    )
    source = write_rows(tmp_path / "eyes.parquet", people(7, 3))
    made = make_protocol(source, out=tmp_path / "made", split=split)
    first, second = made.folds
    assert (first.name, second.name) == ("1", "b")
    assert first.subject_names == ("001", "002", "003")
    assert first.training == {"004", "005", "006", "007"}
    assert second.training == {"001"}
    assert made.counts["1"]["gallery_images"] == 2 * 2
    assert made.proof["subjects_never_tested"] == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must map fold names to lists of subjects"),
        ('"../1": {test: ["001"]}', "a fold's name is of letters"),
        ("[1, 2]", "must map fold names"),
        ('"1": {train: ["001"]}', "fold 1: must name the subjects to test"),
        ('"1": {test: [1]}', "fold 1, test: must be a list of subject ids in quotes"),
        ('"1": {test: ["001"], tests: ["002"]}', "unknown list 'tests'"),
        ('"1": {test: ["005-002"]}', "the range 005-002 runs backwards"),
        ('"1": {test: ["001", "099"]}', "fold 1, test: '099' is not in the source"),
        ('"1": {test: ["001"], train: ["001"]}', "fold 1: '001' is in test and in train"),
        ('"1": {test: ["001"], unenrolled: ["002"]}', "fold 1: '002' is not tested"),
        ('"1": {test: ["001"', "not a YAML file"),
        ("\x00", "not a YAML file"),
    ],
)
def test_a_wrong_split_file_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "split.yaml").write_text(text)
    source = write_rows(tmp_path / "eyes.parquet", people(6, 2))
    with pytest.raises(InputError, match=message) as caught:
        make_protocol(source, out=tmp_path / "made", split=tmp_path / "split.yaml")
    assert str(caught.value).startswith(str(tmp_path / "split.yaml"))


def test_an_absent_split_file_and_a_closed_world_are_refused(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "eyes.parquet", people(6, 2))
    with pytest.raises(InputError, match=r"split.yaml: cannot be read"):
        make_protocol(source, out=tmp_path / "made", split=tmp_path / "split.yaml")
    with pytest.raises(UsageError, match="a closed world tests everybody"):
        make_protocol(source, out=tmp_path / "made", split="split.yaml", kind="closed_world")


def test_parts_differ_by_one_at_most_and_a_share_leaves_somebody() -> None:
    names = [f"s{i}" for i in range(100)]
    parts = parts_of(names, 7, 0)
    assert {len(part) for part in parts} == {14, 15}
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert len(share_of(names, 0.25, 0)) == 25
    assert len(share_of(names[:2], 0.01, 0)) == len(share_of(names[:2], 0.99, 0)) == 1
    assert share_of(names[:1], 0.5, 0) == share_of(names, 0.0, 0) == frozenset()
