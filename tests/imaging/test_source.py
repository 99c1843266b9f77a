from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from syper_data.errors import InputError
from syper_data.imaging.codec import decode, encode, encoder_identity
from syper_data.imaging.source import canonical, read_images


def png(seed: int, size: int = 6) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.RandomState(seed).randint(0, 256, (size, size, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def table(path: Path, **columns: list[object]) -> Path:
    count = len(next(iter(columns.values())))
    images = [{"bytes": png(i), "path": f"{i}.png"} for i in range(count)]
    pq.write_table(pa.table({"image": images, **columns}), path)
    return path


def test_a_folder_is_read_in_name_order_with_relative_ids(tmp_path: Path) -> None:
    for name, seed in (("b.png", 1), ("a/z.png", 2), ("a.png", 3)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(seed))
    (tmp_path / "notes.txt").write_text("not an image")
    found = list(read_images(tmp_path))
    assert [i.source_id for i in found] == ["a/z.png", "a.png", "b.png"]
    assert np.array_equal(found[2].pixels, decode(png(1), "RGB", "x"))


def test_parquet_columns_are_read_and_can_be_renamed(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", person=["p", "q"], side=["image_left", "image_right"])
    found = list(read_images(path, {"subject": "person"}))
    assert [(i.subject, i.side) for i in found] == [("p", "image_left"), ("q", "image_right")]
    assert np.array_equal(canonical(found[0]), found[0].pixels)
    assert np.array_equal(canonical(found[1]), found[1].pixels[:, ::-1])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p / "absent", "no such file"),
        (lambda p: p, "neither images nor Parquet"),
        (lambda p: table(p / "t.parquet", side=["left"]), "side is 'left'"),
        (lambda p: write(p / "t.parquet", b"PAR1"), "not a readable Parquet"),
        (lambda p: write(p / "t.txt", b"x"), "an image source is"),
        (lambda p: write(p / "d" / "x.png", b"").parent, "empty"),
        (lambda p: write(p / "d" / "x.png", png(0)[:60]).parent, "not a decodable image"),
    ],
)
def test_a_bad_source_is_one_line_that_names_the_place(tmp_path: Path, make: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        list(read_images(make(tmp_path)))  # type: ignore[operator]
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'who'"):
        list(read_images(table(tmp_path / "t.parquet", x=[1]), {"subject": "who"}))


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_encoding_is_deterministic_and_only_png_is_lossless(image_format: str) -> None:
    pixels = decode(png(4, 24), "RGB", "x")
    options = encoder_identity(image_format)["options"]
    data = encode(pixels, image_format, options)
    assert data == encode(pixels, image_format, options)
    assert np.array_equal(decode(data, "RGB", "x"), pixels) == (image_format == "png")


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path
