"""LFW's pair lists, over photos in folders, in tables, and over eyes cut out of them; MFR2's list."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drawn_pictures import drawn_face
from published_layouts import lfw_lines, lfw_photos, noise_png, write_images, write_lines
from small_generators import REPOSITORY
from syper_data.cropping.crop import crop
from syper_data.errors import InputError
from syper_data.imaging.source import SourceImage, Unreadable
from syper_data.protocols.protocol import ListedComparisons
from syper_data.protocols.reading import open_protocol

SHARED = REPOSITORY.parent / "shared/data"
LINES = lfw_lines()
PHOTOS = lfw_photos(LINES)
STEMS = [photo.split("/")[1] for photo in PHOTOS]


def table(path: Path, photos: list[str]) -> Path:
    cells = [{"bytes": noise_png(i), "path": f"{photo.split('/')[1]}.jpg"} for i, photo in enumerate(photos)]
    pq.write_table(pa.table({"image": cells, "subject": [photo.split("/")[0] for photo in photos]}), path)
    return path


def pairs_of(comparisons: object, images: tuple[str, ...]) -> list[tuple[str, str, bool]]:
    assert isinstance(comparisons, ListedComparisons)
    rows = zip(comparisons.probe, comparisons.reference, comparisons.mated, strict=True)
    return [(images[a], images[b], bool(m)) for a, b, m in rows]


def test_view_2_over_photos_in_folders_has_its_parts(tmp_path: Path) -> None:
    write_lines(tmp_path / "pairs.txt", LINES)
    write_images(tmp_path / "lfw", [f"{photo}.jpg" for photo in PHOTOS])
    protocol = open_protocol("lfw-view2", tmp_path)
    (fold,) = protocol.folds
    assert list(fold.images) == STEMS
    assert [fold.subject_names[s] for s in fold.subject] == [photo.split("/")[0] for photo in PHOTOS]
    assert fold.counts() == (4, 4)
    assert fold.parts is not None
    assert [part.tolist() for part in fold.parts] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert pairs_of(fold.comparisons, fold.images)[::3][0] == ("Person_00_0001", "Person_00_0002", True)
    assert pairs_of(fold.comparisons, fold.images)[2] == ("Person_00_0001", "Person_01_0001", False)
    assert all(isinstance(entry, SourceImage) for entry in protocol.pictures.read(fold.images))


def test_the_fold_is_the_same_over_a_table_of_the_photos(tmp_path: Path) -> None:
    write_lines(tmp_path / "pairs.txt", LINES)
    write_images(tmp_path / "lfw", [f"{photo}.jpg" for photo in PHOTOS])
    photos = table(tmp_path / "faces.parquet", PHOTOS[::-1])
    in_table = open_protocol("lfw-view2", tmp_path, images=photos)
    assert in_table.folds[0].sha256() == open_protocol("lfw-view2", tmp_path).folds[0].sha256()
    entries = list(in_table.pictures.read(in_table.folds[0].images))
    assert [entry.subject for entry in entries] == [photo.split("/")[0] for photo in PHOTOS]


def test_over_eyes_each_pair_of_faces_is_one_of_left_and_one_of_right_eyes(tmp_path: Path) -> None:
    write_lines(tmp_path / "pairs.txt", LINES)
    for photo in PHOTOS:
        path = tmp_path / "lfw" / f"{photo}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn_face(120).save(path)
    (tmp_path / "lfw" / f"{PHOTOS[1]}.png").write_bytes(b"broken")
    crop(tmp_path / "lfw", tmp_path / "eyes", fixed_eyes="0.38,0.45,0.62,0.45", output_size=16, workers=1)
    faces = open_protocol("lfw-view2", tmp_path).folds[0]
    protocol = open_protocol("lfw-view2", tmp_path, images=tmp_path / "eyes")
    (fold,) = protocol.folds
    whole = pairs_of(faces.comparisons, faces.images)
    assert pairs_of(fold.comparisons, fold.images) == [
        (f"{a}/{side}", f"{b}/{side}", same) for a, b, same in whole for side in ("image_left", "image_right")
    ]
    assert fold.parts is not None
    assert [len(part) for part in fold.parts] == [8, 8]
    assert sorted(row for part in fold.parts for row in part.tolist()) == list(range(16))
    a, b = fold.identity[:2]
    assert a != b and fold.subject[0] == fold.subject[1]
    entries = list(protocol.pictures.read(fold.images))
    assert [type(entry) for entry in entries[2:4]] == [Unreadable] * 2
    assert sum(isinstance(entry, SourceImage) for entry in entries) == len(entries) - 2
    assert [entry.side for entry in entries[:2]] == ["image_left", "image_right"]


OWN = "name: own\ntitle: x\ndataset: x\nreader: lfw\nfolds: [b, ab]\noptions: {parts: {b: [2], ab: %s}}\n"


def test_folds_can_take_parts_of_view_2(tmp_path: Path) -> None:
    write_lines(tmp_path / "pairs.txt", LINES)
    write_images(tmp_path / "lfw", [f"{photo}.jpg" for photo in PHOTOS])
    own = tmp_path / "own.yaml"
    own.write_text(OWN % "[2, 1]")
    protocol = open_protocol(own, tmp_path)
    second, both = protocol.folds
    whole = open_protocol("lfw-view2", tmp_path).folds[0]
    listed = pairs_of(whole.comparisons, whole.images)
    assert pairs_of(second.comparisons, second.images) == listed[4:]
    assert set(second.images) == {name for pair in listed[4:] for name in pair[:2]}
    assert pairs_of(both.comparisons, both.images) == listed[4:] + listed[:4]
    assert second.parts is not None and both.parts is not None
    assert [p.tolist() for p in second.parts] == [[0, 1, 2, 3]]
    assert [p.tolist() for p in both.parts] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    for fold in protocol.folds:
        assert len(list(protocol.pictures.read(fold.images))) == len(fold.images)
    for wrong in ("[3]", "[0]", "[1, 1]", "[]", "all"):
        own.write_text(OWN % wrong)
        with pytest.raises(InputError, match=r"own\.yaml: options\.parts\.ab is"):
            open_protocol(own, tmp_path)


def test_an_image_that_is_not_in_the_copy_is_missing(tmp_path: Path) -> None:
    write_lines(tmp_path / "pairs.txt", LINES)
    protocol = open_protocol("lfw-view2", tmp_path, images=table(tmp_path / "faces.parquet", PHOTOS[:-1]))
    with pytest.raises(InputError, match=f"the first is {STEMS[-1]}"):
        protocol.pictures.read(protocol.folds[0].images)


def test_view_1_and_lists_without_a_first_line_have_no_parts(tmp_path: Path) -> None:
    body = lfw_lines(1, 2)[1:]
    for lines in (["2", *body], body):
        write_lines(tmp_path / "pairs.txt", lines, end="\r\n")
        (fold,) = open_protocol("lfw-view2", tmp_path).folds
        assert fold.counts() == (2, 2)
        assert fold.parts is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Person_00 1", "line 10: 2 values; must be NAME i j"),
        ("Person_00 1 x", "line 10: 'x' is no number of a photo"),
        (
            "Person_00 1 Person_00 2",
            "line 10: the label is wrong: Person_00 with Person_00, written as two people",
        ),
        ("Person_00 1 1", "line 10: Person_00_0001 is compared with itself"),
        ("Person_00 2 1", "line 10: the same two images as in line 2"),
        ("../../etc 1 2", "line 10: '../../etc' leaves the folder"),
        ("a/b 1 2", "line 10: 'a/b' is no person's name"),
        ("Person_05 1 2", "its first line promises 8 pairs, it holds 9"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    write_lines(tmp_path / "pairs.txt", [*LINES, line])
    with pytest.raises(InputError, match=said):
        open_protocol("lfw-view2", tmp_path)


def test_a_pair_of_the_wrong_kind_at_its_place_is_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "pairs.txt", [*LINES[:3], LINES[4], LINES[3], *LINES[5:]])
    open_protocol("lfw-view2", tmp_path)  # two of one kind exchanged: the same protocol
    write_lines(tmp_path / "pairs.txt", [*LINES[:2], LINES[3], LINES[2], *LINES[4:]])
    with pytest.raises(InputError, match="pair 2: the wrong label: here a pair of one person is due"):
        open_protocol("lfw-view2", tmp_path)


def test_a_missing_list_says_how_it_may_be_called(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no list of pairs; it must be named pairs\.txt or lfw_view2_pairs\.txt"):
        open_protocol("lfw-view2", tmp_path)


def test_mfr2_is_read_with_its_masked_and_unmasked_photos(tmp_path: Path) -> None:
    write_lines(tmp_path / "pairs.txt", ["Anna_B 1 3", "Anna_B 2 Carl 1", "Carl 1 2"])
    write_images(tmp_path / "mfr2", ["Anna_B/Anna_B_0001.png", "Anna_B/Anna_B_0002.png", "Anna_B/Anna_B_0003.png"])
    write_images(tmp_path / "mfr2", ["Carl/Carl_0001.png", "Carl/Carl_0002.png"])
    protocol = open_protocol("mfr2", tmp_path)
    (fold,) = protocol.folds
    assert fold.counts() == (2, 1)
    assert len(list(protocol.pictures.read(fold.images))) == 5
    (tmp_path / "mfr2/Carl/Carl_0002.png").unlink()
    with pytest.raises(InputError, match="1 of 5 images of the protocol are missing, the first is Carl/Carl_0002"):
        protocol.pictures.read(fold.images)


@pytest.mark.skipif(
    not (SHARED / "lfw_faces120.parquet").is_file(), reason=f"{SHARED} is not here: no photos of LFW"
)
def test_the_published_list_finds_all_its_photos() -> None:
    protocol = open_protocol("lfw-view2", SHARED, images=SHARED / "lfw_faces120.parquet")
    (fold,) = protocol.folds
    assert fold.counts() == (3000, 3000)
    assert fold.parts is not None
    assert [len(part) for part in fold.parts] == [600] * 10
    assert protocol.pictures.missing(fold.images) == []  # type: ignore[attr-defined]
