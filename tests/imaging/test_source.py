from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from syper_data.errors import InputError, UsageError
from syper_data.imaging.codec import decode, decode_rgb, encode, encoder_identity
from syper_data.imaging.columns import parse_columns
from syper_data.imaging.source import ImageSource, SourceImage, Unreadable, canonical, read_images


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


def test_a_column_of_our_name_that_means_something_else_can_be_left_unread(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", spectrum=["visible 4 K"], side=["lower"], subject=["p"])
    columns = parse_columns(["spectrum=", "side="])
    (image,) = read_images(path, columns)
    assert (image.spectrum, image.side, image.subject) == (None, None, "p")
    (labels,) = ImageSource.open(path, columns).labels()
    assert (labels.spectrum, labels.side, labels.subject) == (None, None, "p")
    with pytest.raises(InputError, match="no column ''"):
        ImageSource.open(path, parse_columns(["image="]))


@pytest.mark.parametrize("pair", ["side", "=eye", "="])
def test_a_pair_without_our_name_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match="must look like side=eye"):
        parse_columns([pair])


def test_a_column_that_is_not_ours_is_refused_and_not_passed_over() -> None:
    with pytest.raises(UsageError, match=r"subjects=person: 'subjects' is no column .*did you mean subject\?"):
        parse_columns(["subjects=person"])
    with pytest.raises(UsageError, match="must be one of image, subject, side, spectrum, sample, source_id, seed"):
        parse_columns(["x=y"])


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


def test_what_is_broken_is_a_value_in_its_place_and_the_rest_is_read(tmp_path: Path) -> None:
    for name, data in (("a.png", png(0)), ("b.png", b""), ("c.png", png(1)[:50]), ("d.png", png(2))):
        write(tmp_path / "d" / name, data)
    source = ImageSource.open(tmp_path / "d")
    entries = list(source.read())
    assert len(source) == 4
    assert [type(e) for e in entries] == [SourceImage, Unreadable, Unreadable, SourceImage]
    assert [e.source_id for e in entries] == ["a.png", "b.png", "c.png", "d.png"]
    assert "empty (0 bytes)" in entries[1].reason  # type: ignore[union-attr]
    assert [e.source_id for e in source.read(2, 4)] == ["c.png", "d.png"]


def test_any_range_of_rows_is_read_across_tables_and_a_broken_table_is_one_entry(tmp_path: Path) -> None:
    table(tmp_path / "a.parquet", sample=[str(i) for i in range(70)])
    write(tmp_path / "b.parquet", b"PAR1 not really")
    table(tmp_path / "c.parquet", sample=["x", "y"], source_id=["one", None])
    source = ImageSource.open(tmp_path)
    assert len(source) == 73
    part = list(source.read(66, 73))
    assert [e.source_id for e in part] == [
        "a.parquet#66", "a.parquet#67", "a.parquet#68", "a.parquet#69", "b.parquet", "one", "c.parquet#1",
    ]  # fmt: skip
    assert [e.sample for e in part if isinstance(e, SourceImage)] == ["66", "67", "68", "69", "x", "y"]
    whole = list(source.read())
    assert np.array_equal(whole[68].pixels, part[2].pixels)  # type: ignore[union-attr]


def test_a_row_without_an_image_is_listed_and_keys_are_carried(tmp_path: Path) -> None:
    images = [{"bytes": png(0), "path": "p.png"}, {"bytes": None, "path": None}, {"bytes": b"x", "path": None}]
    pq.write_table(pa.table({"image": images, "seed": [7, 8, 9], "label": [1, None, 2]}), tmp_path / "t.parquet")
    first, second, third = ImageSource.open(tmp_path / "t.parquet").read()
    assert isinstance(first, SourceImage)
    assert (first.seed, first.label, first.name, first.source_id) == (7, 1, "p.png", "t.parquet#0")
    assert isinstance(second, Unreadable)
    assert "row 1: the image column holds no bytes" in second.reason
    assert isinstance(third, Unreadable)


def test_a_folder_that_datasets_saved_is_read(tmp_path: Path) -> None:
    import datasets

    images = [{"bytes": png(i), "path": None} for i in range(3)]
    features = datasets.Features({"image": datasets.Image(), "subject": datasets.Value("string")})
    saved = datasets.Dataset.from_dict({"image": images, "subject": ["a", "b", "c"]}, features)
    saved.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": saved, "test": saved.select([0])}).save_to_disk(str(tmp_path / "two"))
    assert [i.subject for i in read_images(tmp_path / "one")] == ["a", "b", "c"]
    assert sorted(str(i.subject) for i in read_images(tmp_path / "two")) == ["a", "a", "b", "c"]


def test_a_class_label_column_gives_the_names_and_not_the_numbers(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as Picture

    classes = {"person": ClassLabel(names=["ann", "bob"]), "label": ClassLabel(names=["x", "y"])}
    features = Features({"image": Picture(), **classes})
    cells = [{"bytes": png(i), "path": None} for i in range(3)]
    rows = Dataset.from_dict({"image": cells, "person": [1, 0, -1], "label": [1, 0, 1]}, features=features)
    rows.to_parquet(tmp_path / "table.parquet")
    rows.save_to_disk(tmp_path / "saved")
    for place in ("table.parquet", "saved"):
        source = ImageSource.open(tmp_path / place, {"subject": "person"})
        assert [(image.subject, image.label) for image in source.read()] == [("bob", 1), ("ann", 0), (None, 1)]
        assert [image.subject for image in source.labels()] == ["bob", "ann", None]
        assert [image.subject for image in source.take([1])] == ["ann"]


@pytest.mark.parametrize("ending", ["gif", "jp2", "jfif", "pgm", "ppm", "JPG"])
def test_pictures_of_every_usual_format_are_listed(tmp_path: Path, ending: str) -> None:
    kind = {"jp2": "JPEG2000", "jfif": "JPEG", "pgm": "PPM", "JPG": "JPEG"}.get(ending, ending.upper())
    Image.new("L", (8, 8), 77).save(tmp_path / f"a.{ending}", kind)
    (image,) = read_images(tmp_path)
    assert image.pixels.shape == (8, 8, 3)
    assert abs(int(image.pixels.mean()) - 77) <= 2


def test_a_link_to_nowhere_is_an_unreadable_picture_and_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "b.png").write_bytes(png(1))
    source = ImageSource.open(tmp_path)
    assert [type(entry) for entry in source.read()] == [Unreadable, SourceImage]
    assert len(source.listing_sha256()) == 64


def test_a_changed_source_has_another_listing_digest(tmp_path: Path) -> None:
    write(tmp_path / "d" / "a.png", png(0))
    before = ImageSource.open(tmp_path / "d").listing_sha256()
    assert ImageSource.open(tmp_path / "d").listing_sha256() == before
    write(tmp_path / "d" / "b.png", png(1))
    assert ImageSource.open(tmp_path / "d").listing_sha256() != before


def test_photos_are_decoded_upright_and_as_8_bit_rgb() -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    deep = io.BytesIO()
    Image.fromarray(grey.astype(np.uint16) * 256 + 200).save(deep, "PNG")
    assert np.array_equal(decode_rgb(deep.getvalue(), "x"), np.repeat(grey[:, :, None], 3, 2))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = io.BytesIO()
    Image.fromarray(grey[::-1, ::-1].copy()).save(turned, "PNG", exif=exif)
    assert np.array_equal(decode_rgb(turned.getvalue(), "x")[:, :, 0], grey)
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0, 0] = (10, 20, 30, 255)
    alpha = io.BytesIO()
    Image.fromarray(clear).save(alpha, "PNG")
    assert decode_rgb(alpha.getvalue(), "x").tolist() == [[[10, 20, 30], [255] * 3], [[255] * 3, [255] * 3]]


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = io.BytesIO()
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    with pytest.raises(InputError, match="9000x9000 is 81 megapixels, more than 64"):
        decode_rgb(bomb.getvalue(), "x")


def test_a_hub_dataset_is_loaded_only_when_hf_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    features = datasets.Features({"image": datasets.Image()})
    made = datasets.Dataset.from_dict({"image": [{"bytes": png(i), "path": None} for i in range(2)]}, features)
    made.save_to_disk(str(tmp_path / "cache"))
    asked = []

    def load(name: str) -> object:
        asked.append(name)
        if name == "owner/absent":
            raise FileNotFoundError("nothing in it\nmore")
        return datasets.DatasetDict({"train": datasets.load_from_disk(str(tmp_path / "cache"))})

    monkeypatch.setattr(datasets, "load_dataset", load)
    found = list(ImageSource.open("hf:owner/faces").read())
    assert [e.source_id for e in found] == ["train/0#0", "train/0#1"]
    with pytest.raises(InputError, match=r"hf:owner/absent: datasets cannot load it \(nothing in it\)$"):
        ImageSource.open("hf:owner/absent")
    with pytest.raises(InputError, match="no such file or folder"):
        ImageSource.open("owner/faces")
    assert asked == ["owner/faces", "owner/absent"]


def test_labels_and_chosen_rows_are_those_of_a_whole_reading(tmp_path: Path) -> None:
    for number, side in enumerate(("image_left", "image_right")):
        cells = [{"bytes": png(10 * number + i), "path": f"{number}_{i}.png"} for i in range(7)]
        columns = {"image": cells, "person": [f"p{i // 2}" for i in range(7)], "side": [side] * 7}
        pq.write_table(pa.table({**columns, "sample": range(7)}), tmp_path / f"{number}.parquet", row_group_size=3)
    source = ImageSource.open(tmp_path, {"subject": "person"})
    whole = [entry for entry in source.read() if isinstance(entry, SourceImage)]
    fields = ("source_id", "subject", "side", "spectrum", "sample", "seed", "label", "name")
    assert [[getattr(x, f) for f in fields] for x in source.labels()] == [
        [getattr(entry, f) for f in fields] for entry in whole
    ]
    taken = list(source.take([0, 2, 3, 6, 7, 13]))
    assert [entry.source_id for entry in taken] == [whole[i].source_id for i in (0, 2, 3, 6, 7, 13)]
    assert all(
        isinstance(entry, SourceImage) and (entry.pixels == whole[i].pixels).all()
        for entry, i in zip(taken, (0, 2, 3, 6, 7, 13), strict=True)
    )


def test_a_picture_folder_can_be_listed_and_chosen_from(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    for name in ("anna/1.png", "anna/2.png", "b.png"):
        (tmp_path / name).write_bytes(png(len(name)))
    source = ImageSource.open(tmp_path)
    assert [(x.source_id, x.name) for x in source.labels()] == [
        ("anna/1.png", "1.png"), ("anna/2.png", "2.png"), ("b.png", "b.png"),
    ]  # fmt: skip
    assert [entry.source_id for entry in source.take([1, 2])] == ["anna/2.png", "b.png"]


def test_labels_say_their_place_and_what_a_column_masked_holds(tmp_path: Path) -> None:
    cells = [{"bytes": b"x", "path": f"{i}.png"} for i in range(2)]
    pq.write_table(pa.table({"image": cells, "masked": ["yes", None], "seed": [7, 8]}), tmp_path / "eyes.parquet")
    source = ImageSource.open(tmp_path)
    assert [(x.where, x.masked, x.seed) for x in source.labels()] == [
        ("eyes.parquet, row 0", "yes", 7),
        ("eyes.parquet, row 1", None, 8),
    ]
    assert source.labels_in(source.tables[0]) == source.labels()
