"""What ``protocol check`` finds in a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelled_images import people, write_rows
from published_layouts import UFPR_PAIRS_FILE, lfw_lines, lfw_photos, ufpr_copy, write_images, write_lines
from syper_data.errors import InputError, UsageError
from syper_data.protocols.check import ProtocolCheck, check_protocol
from syper_data.protocols.making import make_protocol
from syper_data.protocols.parquet_format import read_parquet_protocol
from syper_data.protocols.reading import list_sha256

NAME = "ufpr-periocular-open"


def states(check: ProtocolCheck) -> dict[str, list[str]]:
    return {s: [f.text for f in check.findings if f.state == s] for s in ("ok", "note", "missing", "wrong")}


def test_a_complete_copy_is_complete_whatever_else_lies_there(tmp_path: Path) -> None:
    check = check_protocol(NAME, ufpr_copy(tmp_path))
    assert check.complete
    found = states(check)
    assert found["ok"][0] == "12 lists are there"
    assert found["ok"][1] == "fold 1: 8 images of 2 people, 3 mated and 3 non-mated comparisons"
    assert any("8 image files" in note and "published: 33,660" in note for note in found["note"])
    assert check.lines()[-1] == "complete"


def test_missing_images_and_lists_are_named_with_where_to_ask(tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path)
    (copy / "periocularCropped/C4S1I1L.jpg").unlink()
    check = check_protocol(NAME, copy, folds=["2"])
    assert states(check)["missing"] == ["fold 2: 1 of 8 images: C4S1I1L.jpg"]
    (copy / UFPR_PAIRS_FILE).unlink()
    check = check_protocol(NAME, copy)
    assert states(check)["missing"] == [f"list {UFPR_PAIRS_FILE}"]
    assert "cannot be read" in states(check)["wrong"][0]
    assert not check.complete
    lines = check.lines()
    assert "incomplete" in lines
    assert any(line.startswith("data: on request") for line in lines)


def test_a_wrong_line_is_a_finding(tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path)
    with (copy / UFPR_PAIRS_FILE).open("a") as file:
        file.write("C4S1I1L.jpg C4S1I1L.jpg 1\n")
    check = check_protocol(NAME, copy)
    assert not check.complete
    assert any("line 7: C4S1I1L.jpg is compared with itself" in text for text in states(check)["wrong"])


def test_lists_are_checked_by_their_digest_and_folds_by_their_counts(tmp_path: Path) -> None:
    lines = lfw_lines()
    digest = list_sha256(write_lines(tmp_path / "pairs.txt", lines))
    write_images(tmp_path / "lfw", [f"{photo}.jpg" for photo in lfw_photos(lines)])
    own = tmp_path / "own.yaml"
    text = (
        "name: own\ntitle: x\ndataset: x\nreader: lfw\nfolds: [all]\n"
        f"expects:\n  lists: {{pairs.txt or other.txt: {digest}}}\n  folds: {{all: [4, 4]}}\n"
    )
    own.write_text(text)
    assert check_protocol(own, tmp_path).complete
    write_lines(tmp_path / "pairs.txt", lines, end="\r\n")
    assert check_protocol(own, tmp_path).complete
    own.write_text(text.replace("[4, 4]", "[4, 5]"))
    (wrong,) = states(check_protocol(own, tmp_path))["wrong"]
    assert wrong.endswith("4 mated and 4 non-mated comparisons; published: 4 and 5")
    own.write_text(text)
    write_lines(tmp_path / "pairs.txt", [*lines[:3], lines[4], lines[3], *lines[5:]])
    (wrong,) = states(check_protocol(own, tmp_path))["wrong"]
    assert wrong.startswith("list pairs.txt: another SHA-256 than that of a right copy")


def test_where_everything_is_compared_the_number_of_images_decides(tmp_path: Path) -> None:
    write_images(tmp_path, [f"S2{p:03d}L{i:02d}.jpg" for p in (1, 2) for i in (1, 2)])
    check = check_protocol("casia-iris-lamp", tmp_path)
    assert states(check)["wrong"] == ["4 images; published: 16,212", "2 people; published: 411"]


def test_a_place_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such file or folder; the data: on request"):
        check_protocol(NAME, tmp_path / "nowhere")
    with pytest.raises(UsageError, match=f"{NAME}: --root must say where the data lie; the data: on request"):
        check_protocol(NAME)


def test_a_made_protocol_is_known_by_its_folder_and_one_fold_need_not_show_everybody(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "eyes.parquet", people(9, 2))
    make_protocol(source, out=tmp_path / "made", name="made", folds=3)
    whole = check_protocol(tmp_path / "made", source)
    one = check_protocol(tmp_path / "made", source, folds=["1"])
    assert whole.complete
    assert one.complete
    assert any("9 people" in text for text in states(whole)["ok"])
    assert not any(" people; " in text for text in states(one)["ok"])


def test_a_made_protocol_needs_the_images_that_it_lists_and_no_others(tmp_path: Path) -> None:
    rows = people(9, 2)
    make_protocol(write_rows(tmp_path / "eyes.parquet", rows), out=tmp_path / "made", name="made", folds=3)
    (fold,) = read_parquet_protocol(tmp_path / "made", folds=["1"])
    tested = [row for row in rows if row["subject"] in fold.subject_names]
    part = write_rows(tmp_path / "part.parquet", tested)
    check = check_protocol(tmp_path / "made", part, folds=["1"])
    assert check.complete
    assert "12 images; measured: 36" in states(check)["note"]
    assert not check_protocol(tmp_path / "made", part, folds=["2"]).complete
