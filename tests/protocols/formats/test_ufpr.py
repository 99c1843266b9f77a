"""UFPR-Periocular's lists: what they mean, and every way in which they can be wrong."""

from __future__ import annotations

from itertools import combinations, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from published_layouts import UFPR_PAIRS, UFPR_PAIRS_FILE, noise_png, ufpr_copy, write_lines
from small_generators import REPOSITORY
from syper_data.errors import InputError, UsageError
from syper_data.imaging.source import SourceImage
from syper_data.protocols.protocol import ListedComparisons
from syper_data.protocols.reading import open_protocol

NAME = "ufpr-periocular-open"
LAYOUT = REPOSITORY.parent / "shared/data/contracts/ufpr_layout"


def test_a_fold_is_what_its_lists_say(tmp_path: Path) -> None:
    protocol = open_protocol(NAME, ufpr_copy(tmp_path))
    assert [fold.name for fold in protocol.folds] == ["1", "2", "3"]
    fold = protocol.folds[0]
    assert fold.images == tuple(sorted(f"C{p}S{s}I1{e}.jpg" for p in (4, 11) for s in (1, 2) for e in "LR"))
    assert [fold.subject_names[s] for s in fold.subject] == ["C11"] * 4 + ["C4"] * 4
    assert len(set(fold.identity.tolist())) == 4
    assert fold.counts() == (3, 3)
    assert fold.training == {"C1", "C2", "C3"}
    assert isinstance(fold.comparisons, ListedComparisons)
    first = fold.comparisons.probe[0], fold.comparisons.reference[0]
    assert [fold.images[i] for i in first] == ["C4S1I1L.jpg", "C4S2I1L.jpg"]
    assert protocol.notes == tuple(
        f"fold {k}: 1 non-mated comparisons are of one person's two eyes: kept, as published" for k in (1, 2, 3)
    )
    assert len(protocol.source_files) == 12
    assert UFPR_PAIRS_FILE in protocol.source_files


def test_the_images_come_with_the_eye_that_their_names_say(tmp_path: Path) -> None:
    protocol = open_protocol(NAME, ufpr_copy(tmp_path), folds=["2"])
    (fold,) = protocol.folds
    entries = list(protocol.pictures.read(fold.images))
    assert all(isinstance(entry, SourceImage) for entry in entries)
    assert {(e.source_id[-5], e.side) for e in entries} == {("L", "image_right"), ("R", "image_left")}
    assert [entry.subject for entry in entries] == ["C11"] * 4 + ["C4"] * 4


def test_the_images_may_lie_in_a_table_or_in_another_folder(tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path)
    (fold,) = open_protocol(NAME, copy, folds=["1"]).folds
    (copy / "periocularCropped").rename(tmp_path / "moved")
    moved = open_protocol(NAME, copy, folds=["1"], images=tmp_path / "moved").pictures
    cells = [{"bytes": noise_png(i), "path": name} for i, name in enumerate(fold.images)]
    pq.write_table(pa.table({"image": cells}), tmp_path / "eyes.parquet")
    tabled = open_protocol(NAME, copy, folds=["1"], images=tmp_path / "eyes.parquet").pictures
    for pictures in (moved, tabled):
        sides = [entry.side for entry in pictures.read(fold.images)]
        assert sides == ["image_right", "image_left"] * 4


def test_merged_eyes_are_one_identity_and_lose_the_pairs_between_them(tmp_path: Path) -> None:
    protocol = open_protocol(NAME, ufpr_copy(tmp_path), folds=["1"], merged=True)
    (fold,) = protocol.folds
    assert np.array_equal(fold.identity, fold.subject)
    assert fold.counts() == (3, 2)
    assert protocol.subset.endswith("both eyes merged")
    assert "dropped" in protocol.notes[0]


def test_only_layouts_with_both_eyes_can_be_merged(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="both eyes can be merged only"):
        open_protocol("mfr2", tmp_path, merged=True)


def test_people_of_the_test_in_the_training_of_an_open_world_are_reported(tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path)
    with (copy / "experimentalProtocol/open_world/val_fold2.txt").open("a") as file:
        file.write("C4S3I1L.jpg 8\n")
    notes = open_protocol(NAME, copy).notes
    assert "fold 2: 1 people of the test are in train or val too, C4 among them" in notes
    assert not any("fold 1: 1 people" in note for note in notes)


def test_windows_line_ends_a_mark_and_no_last_newline_change_nothing(tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path)
    fold = open_protocol(NAME, copy).folds[0]
    path = copy / UFPR_PAIRS_FILE
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(UFPR_PAIRS).encode())
    assert open_protocol(NAME, copy).folds[0].sha256() == fold.sha256()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("C4S1I1L.jpg C9S1I1L.jpg 0",), "line 7: 'C9S1I1L.jpg' is not in the test list of fold 1"),
        (("C4S1I1L.jpg C1S1I1L.jpg 0",), "line 7: 'C1S1I1L.jpg' is not in the test list"),
        (("C4S1I1L.jpg ../../passwd 0",), r"line 7: '../../passwd' leaves the folder"),
        (("C4S1I1L.jpg /etc/passwd 0",), r"line 7: '/etc/passwd' leaves the folder"),
        (("C4S1I1L.jpg C4S1I1L.jpg 1",), "line 7: C4S1I1L.jpg is compared with itself"),
        (("C4S2I1L.jpg C4S1I1L.jpg 1",), "line 7: the same two images as in line 1; 'repeated: keep'"),
        (("C4S2I1L.jpg C4S1I1L.jpg 0",), "line 7: the same two images as in line 1, with another label"),
        (("C4S1I1L.jpg C11S2I1L.jpg 2",), "line 7: the label is '2': must be 0 or 1"),
        (("C4S1I1L.jpg C11S2I1L.jpg 1",), "line 7: the label is 1, but these are two eyes"),
        (("C11S1I1R.jpg C11S2I1R.jpg 0",), "line 7: the label is 0, but this is one eye"),
        (("C4S1I1L.jpg C11S2I1L.jpg",), "line 7: 2 values; must be two images and 0 or 1"),
    ],
)
def test_a_wrong_line_of_the_pairs_is_named(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    copy = ufpr_copy(tmp_path, images=False)
    write_lines(copy / UFPR_PAIRS_FILE, [*UFPR_PAIRS, *lines])
    with pytest.raises(InputError, match=said) as caught:
        open_protocol(NAME, copy)
    assert "\n" not in str(caught.value)
    assert UFPR_PAIRS_FILE in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("C4S1I1L.jpg 8", "line 9: C4S1I1L.jpg is listed already"),
        ("C4S9I1L.jpg 77", "line 9: class '77', but another image of this eye has '8'"),
        ("C5S9I1L.jpg 8", "two eyes have one class"),
        ("C4S9I1X.jpg 8", "line 9: 'C4S9I1X.jpg' says no eye"),
        ("photo.jpg 8", "line 9: 'photo.jpg' names no person"),
        ("C4S9I1L.jpg", "line 9: 1 values; must be an image and its class"),
        ("../C4S9I1L.jpg 8", "line 9: '../C4S9I1L.jpg' leaves the folder"),
    ],
)
def test_a_wrong_line_of_the_test_list_is_named(tmp_path: Path, line: str, said: str) -> None:
    copy = ufpr_copy(tmp_path, images=False)
    with (copy / "experimentalProtocol/open_world/test_fold1.txt").open("a") as file:
        file.write(line)
    with pytest.raises(InputError, match=said):
        open_protocol(NAME, copy)


def test_pairs_listed_twice_are_kept_where_the_descriptor_says_so(tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path, images=False)
    write_lines(copy / UFPR_PAIRS_FILE, [*UFPR_PAIRS, UFPR_PAIRS[0]])
    own = tmp_path / "own.yaml"
    own.write_text(
        "name: own\ntitle: x\ndataset: x\nreader: ufpr\nfolds: ['1']\n"
        "options: {protocol: open_world, repeated: keep}\n"
    )
    protocol = open_protocol(own, copy)
    assert protocol.folds[0].counts() == (4, 3)
    assert "fold 1: 1 comparisons are listed again" in protocol.notes


@pytest.mark.parametrize("text", [b"", b"\n\n", b"\xff\xfe\x00", b"C4S1I1L.jpg\0 C4S2I1L.jpg 1\n"])
def test_a_list_that_is_empty_or_no_text_is_refused(tmp_path: Path, text: bytes) -> None:
    copy = ufpr_copy(tmp_path, images=False)
    (copy / UFPR_PAIRS_FILE).write_bytes(text)
    with pytest.raises(InputError, match=r"pairs\.txt.*(lists no comparison|not a? ?text)"):
        open_protocol(NAME, copy)


def test_a_missing_list_and_a_missing_image_are_named(tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path)
    protocol = open_protocol(NAME, copy)
    for name in ("C4S2I1L.jpg", "C11S1I1R.jpg"):
        (copy / "periocularCropped" / name).unlink()
    with pytest.raises(InputError, match=r"2 of 8 images of the protocol are missing, the first is C11S1I1R\.jpg"):
        protocol.pictures.read(protocol.folds[0].images)
    (copy / UFPR_PAIRS_FILE).unlink()
    with pytest.raises(InputError, match=r"pairs\.txt: cannot be read: No such file"):
        open_protocol(NAME, copy)


def test_two_million_pairs_are_read(tmp_path: Path) -> None:
    copy = ufpr_copy(tmp_path, images=False)
    folder = copy / "experimentalProtocol/open_world"
    images = [f"C{p}S{s}I{i}{e}.jpg" for p in range(50, 100) for s in range(3) for i in range(7) for e in "LR"]
    write_lines(folder / "test_fold1.txt", [f"{n} {2 * int(n[1:3]) + (n[-5] == 'R')}" for n in images])
    eyes = {n: n.partition("S")[0] + n[-5] for n in images}
    every = islice(combinations(images, 2), 2_000_000)
    lines = [f"{a} {b} {int(eyes[a] == eyes[b])}" for a, b in every]
    write_lines(folder / "test_pairs/fold1/pairs.txt", lines)
    (fold,) = open_protocol(NAME, copy, folds=["1"]).folds
    assert sum(fold.counts()) == 2_000_000


@pytest.mark.skipif(not LAYOUT.is_dir(), reason=f"{LAYOUT} is not here: no sample of the published layout")
@pytest.mark.parametrize(
    ("name", "merged", "counts"),
    [
        ("ufpr-periocular-closed", False, None),
        ("ufpr-periocular-open", False, (20, 70)),
        ("ufpr-periocular-open-valopen", False, (20, 70)),
        ("ufpr-periocular-open", True, (20, 54)),
    ],
)
def test_the_sample_of_the_published_layout_is_read(
    name: str, merged: bool, counts: tuple[int, int] | None
) -> None:
    protocol = open_protocol(name, LAYOUT, merged=merged)
    assert len(protocol.folds) == 3
    assert counts is None or {fold.counts() for fold in protocol.folds} == {counts}
    assert not any("people of the test" in note for note in protocol.notes)
