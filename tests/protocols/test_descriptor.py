"""Descriptors: those that ship, and what none may hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from small_generators import REPOSITORY
from syper_data.errors import InputError, UsageError
from syper_data.protocols.descriptor import Descriptor, find_descriptor, shipped

LFW_LIST = REPOSITORY.parent / "shared/data/lfw_view2_pairs.txt"
WHOLE = {"name": "x", "title": "t", "dataset": "d", "reader": "pairs", "folds": ["1", "2"]}


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_descriptor_is_whole_and_goes_by_its_files_name(name: str) -> None:
    descriptor = find_descriptor(name)
    assert descriptor.name == name
    assert descriptor.ask or descriptor.made or descriptor.reader == "generated"
    assert Descriptor.from_dict(yaml.safe_load(descriptor.to_yaml())) == descriptor


@pytest.mark.parametrize(
    "name",
    ["ufpr-periocular-closed", "ufpr-periocular-open", "ufpr-periocular-open-valopen", "casia-iris-lamp",
     "casia-iris-distance", "lfw-view2", "cfp-ff", "cfp-fp", "lfw-bin", "agedb-30", "calfw", "cplfw", "cfp-fp-bin",
     "mfr2", "ijb-b", "ijb-c", "pairs", "templates"],
)  # fmt: skip
def test_published_protocols_ship_and_say_where_to_ask(name: str) -> None:
    descriptor = find_descriptor(name)
    assert descriptor.ask
    if name not in ("pairs", "templates"):
        assert descriptor.citation and descriptor.licence and descriptor.spectrum


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "a b"}, "name is 'a b'"),
        ({"name": None}, "name is None"),
        ({"reader": "mxnet"}, "reader is 'mxnet': must be one of ufpr"),
        ({"spectrum": "uv"}, "spectrum is 'uv'"),
        ({"folds": []}, "must name each fold once"),
        ({"folds": ["1", "1"]}, "must name each fold once"),
        ({"folds": [1]}, "folds is .* must be a list of texts"),
        ({"options": [1]}, "options is .* must be a mapping"),
        ({"colour": 1}, "unknown key 'colour'"),
        ({"title": 3}, "title is 3"),
        ({"expects": {"images": -1}}, "expects.images is -1"),
        ({"expects": {"images": True}}, "expects.images is True"),
        ({"expects": {"colour": 1}}, "unknown key expects.colour"),
        ({"expects": {"basis": "guessed"}}, "expects.basis is 'guessed'"),
        ({"expects": {"lists": {"a": "12"}}}, "'12' is no SHA-256"),
        ({"expects": {"folds": {"1": [1]}}}, "expects.folds, 1: must be"),
        ({"expects": {"folds": {"3": [1, 2]}}}, "expects.folds names '3', which is no fold"),
    ],
)
def test_a_wrong_value_is_named_with_its_file(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({**WHOLE, **change}))
    with pytest.raises(InputError, match=said) as caught:
        Descriptor.read(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("key", WHOLE)
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in WHOLE.items() if k != key}))
    with pytest.raises(InputError, match=f"no '{key}'"):
        Descriptor.read(path)


@pytest.mark.parametrize("text", ["- a", "a: [", "!!python/object/apply:os.system [ls]", "\0", "5: 6"])
def test_other_yaml_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Descriptor.read(path)
    assert "\n" not in str(caught.value)


def test_names_and_folds_that_are_not_there_are_mistakes(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no protocol 'ufpr': give a descriptor file \(\*\.yaml\) or one of agedb-30"
    ):
        find_descriptor("ufpr")
    with pytest.raises(InputError, match=r"x\.yaml: cannot be read: No such file"):
        find_descriptor(tmp_path / "x.yaml")
    descriptor = Descriptor.from_dict(WHOLE)
    assert descriptor.chosen(None) == ("1", "2")
    assert descriptor.chosen(["2"]) == ("2",)
    for wanted in (["3"], []):
        with pytest.raises(UsageError, match=r"x: no fold .*; it has 1, 2"):
            descriptor.chosen(wanted)


@pytest.mark.skipif(not LFW_LIST.is_file(), reason=f"{LFW_LIST} is not here: LFW's list of View 2")
def test_the_digest_of_lfws_list_is_that_of_the_list() -> None:
    from syper_data.protocols.reading import list_sha256

    assert list_sha256(LFW_LIST) in find_descriptor("lfw-view2").expects.lists.values()
