"""Where a protocol's images lie: order, what is missing, what is broken, what leads out of the folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drawn_pictures import drawn_face
from published_layouts import noise_png, write_images
from syper_data.cropping.crop import crop
from syper_data.errors import InputError
from syper_data.imaging.source import ImageSource, SourceImage, Unreadable
from syper_data.protocols.pictures import BinPictures, FolderPictures, SourcePictures, name_fault

NAMES = ("b/2.png", "a/1.png", "a/3.png")


def table(path: Path, rows: int = 7, **columns: list[object]) -> Path:
    images = [{"bytes": noise_png(i), "path": f"{i}.png"} for i in range(rows)]
    pq.write_table(pa.table({"image": images, **columns}), path, row_group_size=3)
    return path


def test_a_folder_gives_its_images_in_the_order_asked_for(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", NAMES)
    pictures = FolderPictures(tmp_path, "photos", sides={"a/1.png": "image_left"}, spectrum="vis")
    entries = list(pictures.read(("a/3.png", "b/2.png", "a/1.png", "b/2.png")))
    assert [entry.source_id for entry in entries] == ["a/3.png", "b/2.png", "a/1.png", "b/2.png"]
    assert [getattr(entry, "side", "") for entry in entries] == [None, None, "image_left", None]
    assert isinstance(entries[1], SourceImage) and isinstance(entries[3], SourceImage)
    assert np.array_equal(entries[1].pixels, entries[3].pixels)
    assert entries[1].spectrum == "vis"


def test_a_path_without_an_ending_finds_the_image_that_is_there(tmp_path: Path) -> None:
    write_images(tmp_path, ("a/x_0001.jpg", "a/x_0002.png"))
    pictures = FolderPictures(tmp_path, files={"x1": "a/x_0001", "x2": "a/x_0002", "x3": "a/x_0003"})
    assert pictures.missing(("x1", "x2", "x3")) == ["x3"]
    assert [entry.source_id for entry in pictures.read(("x2", "x1"))] == ["x2", "x1"]


def test_missing_files_are_counted_before_anything_is_read(tmp_path: Path) -> None:
    write_images(tmp_path, NAMES)
    with pytest.raises(InputError, match=r"2 of 4 images of the protocol are missing, the first is c\.png"):
        FolderPictures(tmp_path).read(("a/1.png", "c.png", "b/2.png", "d.png"))


def test_a_damaged_file_is_a_failure_to_acquire_not_an_error(tmp_path: Path) -> None:
    write_images(tmp_path, NAMES)
    (tmp_path / "a/1.png").write_bytes(b"no image")
    first, second = FolderPictures(tmp_path).read(("a/1.png", "b/2.png"))
    assert isinstance(first, Unreadable)
    assert "not a decodable image" in first.reason
    assert isinstance(second, SourceImage)


def test_a_link_is_followed_inside_of_the_folder_and_refused_out_of_it(tmp_path: Path) -> None:
    write_images(tmp_path / "copy", NAMES)
    write_images(tmp_path / "elsewhere", ("secret.png",))
    (tmp_path / "copy/inside.png").symlink_to("a/1.png")
    (tmp_path / "copy/outside.png").symlink_to(tmp_path / "elsewhere/secret.png")
    (tmp_path / "copy/out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "linked").symlink_to(tmp_path / "copy")
    for root in (tmp_path / "copy", tmp_path / "linked"):
        pictures = FolderPictures(root)
        assert [type(entry) for entry in pictures.read(("inside.png", "b/2.png"))] == [SourceImage] * 2
        for name in ("outside.png", "out/secret.png"):
            with pytest.raises(InputError, match="a link out of"):
                list(pictures.read((name,)))


@pytest.mark.parametrize(
    "name", ["../a.png", "a/../../b.png", "/etc/passwd", "C:/a.png", "a\\b.png", "", "a//b.png", "a/./b", "a\nb"]
)
def test_names_that_could_leave_the_folder_are_faults(name: str) -> None:
    assert name_fault(name) is not None


@pytest.mark.parametrize("name", ["a.png", "001/L/S2001L01.jpg", "José 1:2.png", "..a/b..png"])
def test_plain_relative_paths_are_none(name: str) -> None:
    assert name_fault(name) is None


def test_a_table_gives_its_images_by_the_fields_of_the_key(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", subject=[f"p{i // 2}" for i in range(7)], sample=list(range(7)))
    source = ImageSource.open(path)
    pictures = SourcePictures.of(source, ("subject", "sample"))
    whole = list(source.read())
    names = [f"p{i // 2}/{i}" for i in (6, 0, 3, 0, 5)]
    entries = list(pictures.read(names))
    for entry, i in zip(entries, (6, 0, 3, 0, 5), strict=True):
        expected = whole[i]
        assert isinstance(entry, SourceImage) and isinstance(expected, SourceImage)
        assert np.array_equal(entry.pixels, expected.pixels)
        assert entry.name == f"p{i // 2}/{i}"
    with pytest.raises(InputError, match="1 of 1 images of the protocol are missing, the first is p9/1"):
        pictures.read(["p9/1"])


def test_two_rows_of_one_name_and_an_unknown_key_are_refused(tmp_path: Path) -> None:
    source = ImageSource.open(table(tmp_path / "t.parquet", subject=["p"] * 7))
    with pytest.raises(InputError, match="images 0 and 1 are both p"):
        SourcePictures.of(source, ("subject",))
    for key in ((), ("colour",)):
        with pytest.raises(InputError, match="can't be told apart by"):
            SourcePictures.of(source, key)


def test_a_damaged_row_of_a_table_is_a_failure_to_acquire(tmp_path: Path) -> None:
    images = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate((noise_png(0), b"x", noise_png(2)))]
    pq.write_table(pa.table({"image": images}), tmp_path / "t.parquet")
    pictures = SourcePictures.of(ImageSource.open(tmp_path / "t.parquet"), ("name",))
    assert [type(e) for e in pictures.read(("2.png", "1.png", "0.png"))] == [SourceImage, Unreadable, SourceImage]


def test_eyes_that_crop_could_not_cut_are_failures_to_acquire(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "Anna").mkdir(parents=True)
    drawn_face(120).save(photos / "Anna/Anna_0001.png")
    (photos / "Anna/Anna_0002.png").write_bytes(b"broken")
    drawn_face(20).save(photos / "Anna/Anna_0003.png")  # too small
    crops = crop(photos, tmp_path / "eyes", fixed_eyes="0.38,0.45,0.62,0.45", output_size=16, workers=1)
    assert crops.crops == 2
    pictures = SourcePictures.of(ImageSource.open(crops.path), ("sample", "side"))
    names = [f"Anna_000{k}/{side}" for k in (1, 2, 3) for side in ("image_left", "image_right")]
    assert not pictures.missing(names)
    entries = list(pictures.read(names))
    assert [type(entry) for entry in entries] == [SourceImage] * 2 + [Unreadable] * 4
    assert [getattr(entry, "side", None) for entry in entries] == ["image_left", "image_right"] * 3
    reasons = [entry.reason for entry in entries[2:] if isinstance(entry, Unreadable)]
    assert "not a decodable image" in reasons[0] and "too small" in reasons[3]
    assert pictures.missing(["Anna_0004/image_left"]) == ["Anna_0004/image_left"]


def test_images_in_memory_are_decoded_when_they_are_read() -> None:
    pictures = BinPictures(Path("x.bin"), {"0": noise_png(1), "1": b"no image"})
    first, second = pictures.read(("1", "0"))
    assert isinstance(first, Unreadable) and isinstance(second, SourceImage)
    with pytest.raises(InputError, match=r"x\.bin: 1 of 2 images"):
        pictures.read(("0", "2"))
