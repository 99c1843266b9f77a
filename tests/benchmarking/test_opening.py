"""Before anything is measured, the copy of a protocol's data is looked at as ``protocol check`` does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from published_layouts import UFPR_PAIRS_FILE, ufpr_copy, write_images, write_lines
from small_protocols import drawn_protocol
from syper_data.benchmarking.leaderboard import leaderboard
from syper_data.errors import InputError
from syper_data.protocols.check import check_protocol

Run = Callable[..., Any]
OWN = """name: own
title: x
dataset: x
reader: ufpr
folds: ["1", "2", "3"]
options: {protocol: open_world, open: true}
expects:
  folds: {"1": [3, %d], "2": [3, 3], "3": [3, 3]}
  lists:
    experimentalProtocol/open_world/test_pairs/fold1/pairs.txt: %s
"""


def own_protocol(folder: Path, nonmated: int = 3, digest: str = "null") -> Path:
    path = folder / "own.yaml"
    path.write_text(OWN % (nonmated, digest))
    return path


def test_a_right_copy_is_measured_and_the_results_say_that_it_is_right(run: Run, tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path / "copy")
    done = run(protocol=own_protocol(tmp_path), root=copy, models=["halves"])
    assert done.results["protocol"]["differences"] == []
    assert [fold["name"] for fold in done.results["folds"]] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"nonmated": 5},
            r"fold 1: 8 images of 2 people, 3 mated and 3 non-mated comparisons; published: 3 and 5",
        ),
        ({"digest": "ab" * 32}, r"list pairs\.txt: another SHA-256 than that of a right copy"),
    ],
)
def test_another_copy_is_refused_or_measured_and_labelled_everywhere(
    given: dict[str, Any], words: str, run: Run, tmp_path: Path
) -> None:
    copy, protocol = ufpr_copy(tmp_path / "copy"), own_protocol(tmp_path, **given)
    with pytest.raises(
        InputError, match=f"own: this is not the copy that the protocol expects: {words}"
    ) as refused:
        run(protocol=protocol, root=copy, models=["halves"])
    assert f"syper-data protocol check {protocol} --root {copy} lists all" in str(refused.value)
    assert "--allow-other-copy" in str(refused.value)
    assert not (tmp_path / "out" / "results.json").exists()
    done = run(protocol=protocol, root=copy, models=["halves"], allow_other_copy=True)
    (found,) = done.results["protocol"]["differences"]
    assert done.results["settings"]["allow_other_copy"] is True
    assert str(tmp_path) not in (done.path / "results.json").read_text("utf-8")
    page = (done.path / "report.html").read_text("utf-8")
    assert f"<strong>own</strong>: measured on a copy that is not the expected one: {found}." in page
    assert "--allow-other-copy" in page
    leaderboard(tmp_path / "results", add=[done.path], page=tmp_path / "board.md")
    assert "own: measured on a copy that is not the expected one: " in (tmp_path / "board.md").read_text("utf-8")


def test_missing_images_are_named_at_once_and_nothing_allows_them(run: Run, tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path / "copy")
    (copy / "periocularCropped/C4S1I1L.jpg").unlink()
    for allow in (False, True):
        with pytest.raises(
            InputError, match=r"own: this copy can't be measured: missing: fold 1: 1 of 8 images: C4S1"
        ):
            run(protocol=own_protocol(tmp_path), root=copy, models=["halves"], allow_other_copy=allow)


def test_a_list_that_is_not_needed_but_missing_names_no_path_in_the_results(run: Run, tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path / "copy")
    (copy / UFPR_PAIRS_FILE).unlink()
    options = {"protocol": own_protocol(tmp_path), "root": copy, "models": ["halves"], "folds": ["2"]}
    with pytest.raises(InputError, match=f"protocol expects: missing: list {UFPR_PAIRS_FILE}; "):
        run(**options)
    done = run(**options, allow_other_copy=True)
    assert done.results["protocol"]["differences"] == [f"missing: list {UFPR_PAIRS_FILE}"]


def test_another_folder_is_told_by_its_missing_lists_with_where_to_ask(run: Run, tmp_path: Path) -> None:
    root = ufpr_copy(tmp_path / "copy") / "periocularCropped"
    lists = r"Cropped: does not hold the list experimentalProtocol/open_world/train_fold1\.txt"
    with pytest.raises(InputError, match=rf"{lists} \(nor 11 more\); the data: .*give that folder as --root"):
        run(protocol="ufpr-periocular-open", root=root, models=["halves"])


def test_both_eyes_merged_have_fewer_comparisons_and_that_is_no_fault(run: Run, tmp_path: Path) -> None:
    done = run(protocol=own_protocol(tmp_path), root=ufpr_copy(tmp_path / "copy"), models=["halves"], merged=True)
    assert done.results["protocol"]["folds"][0]["nonmated"] == 2
    assert done.results["protocol"]["differences"] == []


@pytest.mark.parametrize(("label", "words"), [("1", "2 mated and 0 non-mated"), ("0", "0 mated and 2 non-mated")])
def test_a_list_of_one_kind_of_comparisons_is_refused_by_its_name_before_anything_is_embedded(
    label: str, words: str, run: Run, tmp_path: Path
) -> None:
    write_images(tmp_path / "copy", [f"{name}.png" for name in "abcd"])
    write_lines(
        tmp_path / "copy" / "pairs.csv", ["probe,reference,mated", f"a.png,b.png,{label}", f"c.png,d.png,{label}"]
    )
    options = {"protocol": "pairs", "root": tmp_path / "copy", "models": ["halves"]}
    text = (
        rf"fold all of .*copy/pairs\.csv: {words} comparisons of \d people: error rates need both kinds; list both"
    )
    for allow in (False, True):
        with pytest.raises(InputError, match=text):
            run(**options, allow_other_copy=allow)
    assert not (tmp_path / "out").exists()
    assert any(re.search(text, line) for line in check_protocol("pairs", tmp_path / "copy").lines())


def test_an_opened_protocol_of_one_kind_is_refused_before_anything_is_embedded(run: Run) -> None:
    protocol = drawn_protocol(people=1)
    with pytest.raises(
        InputError, match=r"fold 1: 6 mated and 0 non-mated comparisons of 1 people: .*take people"
    ):
        run(protocol=protocol)
    assert protocol.pictures.reads == 0  # type: ignore[attr-defined]
