"""The dataset directory that ``crop`` writes."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from drawn_pictures import DRAWN_EYES, drawn_eye, drawn_face, encoded, write_pictures
from small_dataset import make_dataset
from syper_data.cropping.crop import Crops, crop
from syper_data.cropping.table import read_failures
from syper_data.errors import DriftError, InputError, SyperError, UsageError
from syper_data.gan.training import load_crops
from syper_data.imaging.source import read_images
from syper_data.publishing.export import export_hf
from syper_data.sampling.verify import verify

EYES = ",".join(str(v) for eye in DRAWN_EYES for v in eye)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Crops]:
    """Photos of every kind, good and bad, cropped once."""
    root = tmp_path_factory.mktemp("crop")
    face, grey = drawn_face(200), drawn_face(200).convert("L")
    photos = write_pictures(
        root / "photos",
        plain=face,
        grey=grey,
        deep=Image.fromarray(np.asarray(grey).astype(np.uint16) * 257),
        alpha=face.convert("RGBA"),
        palette=face.convert("P"),
        empty=b"",
        cut=encoded(face)[:2000],
        text=b"not a picture",
        floats=encoded(grey.convert("F"), "TIFF"),
        large=encoded(drawn_face(400).resize((6400, 6300), Image.Resampling.NEAREST), "PNG", compress_level=1),
        bomb=encoded(Image.new("1", (9000, 9000))),
    )
    (photos / "cmyk.jpg").write_bytes(encoded(face.convert("CMYK"), "JPEG", quality=95))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    (photos / "turned.jpg").write_bytes(encoded(face.rotate(90), "JPEG", quality=95, exif=exif))
    return photos, crop(photos, root / "eyes", fixed_eyes=EYES, output_size=32, workers=1)


def test_every_readable_kind_gives_both_crops_and_the_rest_is_listed_with_its_reason(
    made: tuple[Path, Crops],
) -> None:
    _, crops = made
    failed = {f.source_id: f.reason for f in crops.failures}
    assert set(failed) == {"empty.png", "cut.png", "text.png", "floats.png", "bomb.png"}
    assert failed["empty.png"] == "the image is empty (0 bytes)"  # the file is named beside it, without its folder
    assert failed["cut.png"] == "not a decodable image (truncated)"
    assert failed["text.png"] == "not a decodable image (of no known format)"
    assert ("the image is empty (# bytes)", 1) in crops.reasons()
    assert "floating-point pixel values" in failed["floats.png"]
    assert "9000x9000 is 81 megapixels, more than 64" in failed["bomb.png"]
    assert (crops.entries, crops.crops) == (13, 16)
    assert read_failures(crops.path) == list(crops.failures)


def test_the_same_face_gives_the_same_crop_however_it_is_stored(made: tuple[Path, Crops]) -> None:
    images = {(i.source_id, i.side): i.pixels.astype(int) for i in read_images(made[1].path)}
    for side in ("image_left", "image_right"):
        plain, grey = images["plain.png", side], images["grey.png", side]
        assert np.array_equal(images["alpha.png", side], plain)
        assert np.abs(images["deep.png", side] - grey).max() <= 1
        for name, tolerance in (("palette.png", 25), ("cmyk.jpg", 12), ("turned.jpg", 12), ("large.png", 12)):
            assert np.abs(images[name, side] - plain).mean() < tolerance / 2, name


def test_load_dataset_opens_the_folder_and_sees_the_crops_alone(made: tuple[Path, Crops], tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(made[1].path), cache_dir=str(tmp_path))
    assert list(loaded) == ["train"]
    rows = loaded["train"]
    assert rows.num_rows == 16
    assert rows[0]["image"].size == (32, 32)
    assert rows[0]["side"] == "image_left"
    assert np.array(rows[0]["landmarks"]) == pytest.approx(np.array(DRAWN_EYES) * 200, abs=1e-3)


def test_the_manifest_says_how_and_from_what(made: tuple[Path, Crops]) -> None:
    manifest = json.loads((made[1].path / "manifest.json").read_bytes())
    assert (manifest["schema"], manifest["kind"]) == ("syper-crops/1", "crops")
    assert manifest["source"]["name"] == "photos"
    assert manifest["source"]["entries"] == 13
    assert manifest["settings"]["fixed_eyes"] == pytest.approx([v for eye in DRAWN_EYES for v in eye])
    assert manifest["geometry"]["side"] == "inter-eye distance"
    assert str(made[0].parent) not in json.dumps(manifest)


def test_the_same_command_again_does_nothing_and_another_is_refused(made: tuple[Path, Crops]) -> None:
    photos, crops = made
    before = {p: p.stat().st_mtime_ns for p in crops.path.rglob("*.*") if p.name != ".lock"}
    assert crop(photos, crops.path, fixed_eyes=EYES, output_size=32) == crops
    assert {p: p.stat().st_mtime_ns for p in before} == before
    with pytest.raises(DriftError, match="begun with output_size 32, this command has 48"):
        crop(photos, crops.path, fixed_eyes=EYES, output_size=48)
    with pytest.raises(DriftError, match="begun with source: "):
        crop(
            write_pictures(photos.parent / "other", a=drawn_face(64)), crops.path, fixed_eyes=EYES, output_size=32
        )


def test_training_reads_it_and_verify_and_export_say_that_they_do_not(made: tuple[Path, Crops]) -> None:
    array = load_crops(read_images(made[1].path), 16).pixels
    assert array.shape == (16, 16, 16, 3)
    for step in (lambda p: verify(p), lambda p: export_hf(p, out=p.parent / "hf")):
        with pytest.raises(InputError, match="these are crops of photos") as caught:
            step(made[1].path)
        assert "\n" not in str(caught.value)


def test_an_interrupted_run_makes_what_is_missing_and_ends_the_same(tmp_path: Path) -> None:
    face = encoded(drawn_face(80))
    photos = write_pictures(tmp_path / "photos", **{f"{i:04d}": face for i in range(130)}, broken=b"x")
    whole = crop(photos, tmp_path / "a", fixed_eyes=EYES, output_size=16, workers=1)
    assert (whole.crops, len(whole.failures)) == (260, 1)
    crop(photos, tmp_path / "b", fixed_eyes=EYES, output_size=16, workers=2)
    names = sorted(p.name for p in (tmp_path / "b/data").iterdir())
    assert len(names) == 2
    assert (tmp_path / "a/complete.json").read_bytes() == (tmp_path / "b/complete.json").read_bytes()
    # as a killed run leaves it: one shard, a piece of another, no record
    (tmp_path / "b/complete.json").unlink()
    (tmp_path / "b/failures.parquet").unlink()
    (tmp_path / "b/data" / names[1]).unlink()
    (tmp_path / "b/data" / f".{names[1]}.99.tmp").write_bytes(b"half")
    kept = (tmp_path / "b/data" / names[0]).stat().st_mtime_ns
    again = crop(photos, tmp_path / "b", fixed_eyes=EYES, output_size=16, workers=1)
    assert (tmp_path / "b/data" / names[0]).stat().st_mtime_ns == kept
    assert (tmp_path / "a/complete.json").read_bytes() == (tmp_path / "b/complete.json").read_bytes()
    assert again.failures == whole.failures
    assert not list((tmp_path / "b/data").glob(".*"))
    (tmp_path / "b/data" / names[0]).write_bytes(b"PAR1")
    with pytest.raises(InputError, match=f"{names[0]}: damaged; remove this file"):
        crop(photos, tmp_path / "b", fixed_eyes=EYES, output_size=16)


def test_a_sampled_dataset_keeps_its_keys_and_its_manifests_digest(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "faces", 5)
    crop(dataset.path, tmp_path / "eyes", fixed_eyes="0.2,0.5,0.8,0.5", output_size=16, workers=1)
    (file,) = (tmp_path / "eyes/data").iterdir()
    rows = pq.read_table(file).to_pylist()
    assert [r["seed"] for r in rows] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    manifest = json.loads((tmp_path / "eyes/manifest.json").read_bytes())
    assert manifest["source"]["manifest_sha256"] == dataset.manifest_sha256
    assert manifest["source"]["entries"] == 5


def test_eye_images_are_brought_to_one_scale_and_listed_where_there_is_no_iris(tmp_path: Path) -> None:
    blank = np.full((240, 320, 3), 120, np.uint8)
    photos = write_pictures(tmp_path / "nir", a=drawn_eye(iris=90), b=drawn_eye(iris=110), c=blank)
    crops = crop(photos, tmp_path / "eyes", already_cropped=True, spectrum="nir", output_size=48, workers=1)
    (file,) = (tmp_path / "eyes/data").iterdir()
    rows = pq.read_table(file).to_pylist()
    assert [r["iris_diameter"] for r in rows] == pytest.approx([90, 110], rel=0.05)
    assert {r["spectrum"] for r in rows} == {"nir"}
    (failure,) = crops.failures
    assert failure.source_id == "c.png"
    assert "pupil contrast" in failure.reason


def test_a_photo_of_a_foreign_spectrum_is_listed_unless_that_column_is_left_unread(tmp_path: Path) -> None:
    cells = [{"bytes": encoded(drawn_face(120)), "path": f"{name}.png"} for name in "ab"]
    pq.write_table(pa.table({"image": cells, "spectrum": ["thermal", "vis"]}), tmp_path / "photos.parquet")
    made = crop(tmp_path / "photos.parquet", tmp_path / "eyes", fixed_eyes=EYES, workers=1)
    assert [f.reason.split(";")[0] for f in made.failures] == ["spectrum is 'thermal': must be vis or nir"]
    columns = {"spectrum": ""}
    again = crop(tmp_path / "photos.parquet", tmp_path / "all", columns=columns, fixed_eyes=EYES, workers=1)
    assert not again.failures
    (file,) = (tmp_path / "all/data").iterdir()
    assert pq.read_table(file)["spectrum"].to_pylist() == ["vis"] * 4


def test_where_nothing_gives_a_crop_the_commonest_reason_is_said(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", a=b"x", b=b"y", c=b"")
    with pytest.raises(SyperError, match=r"no image gave a crop; most often \(2 of 3\): not a decodable image"):
        crop(photos, tmp_path / "eyes", fixed_eyes=EYES, workers=1)
    assert len(read_failures(tmp_path / "eyes")) == 3


def test_requests_that_cannot_be_met_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", a=drawn_face(64))
    make_dataset(tmp_path / "begun", 3, complete=False)
    for words, arguments in (
        ("exclude each other", {"fixed_eyes": EYES, "already_cropped": True}),
        ("--iris-ratio belongs to --already-cropped", {"iris_ratio": 5.4}),
        ("--iris-pixels belongs to --already-cropped", {"iris_pixels": 100}),
        ("--iris-pixels belongs", {"iris_pixels": 100, "iris_ratio": 5.4, "already_cropped": True}),
        ("must be x1,y1,x2,y2", {"fixed_eyes": "a,b"}),
        ("--workers is 0", {"workers": 0}),
        ("absent.csv: cannot be read", {"landmarks": tmp_path / "absent.csv"}),
    ):
        with pytest.raises(UsageError, match=words):
            crop(photos, tmp_path / "eyes", **arguments)  # type: ignore[arg-type]
    for words, source, out in (
        ("no such file", tmp_path / "absent", "eyes"),
        ("lies inside", photos, "photos/eyes"),
        ("not complete; finish the dataset first", tmp_path / "begun", "eyes"),
        ("no column 'person'", make_dataset(tmp_path / "d", 3).path, "eyes"),
    ):
        columns = {"subject": "person"} if words.startswith("no column") else None
        with pytest.raises(UsageError, match=words):
            crop(source, tmp_path / out, fixed_eyes=EYES, columns=columns)
    assert not (tmp_path / "eyes").exists()


def test_a_folder_that_holds_something_else_is_left_alone(made: tuple[Path, Crops], tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match=r"holds letter\.txt but no manifest\.json; choose another folder"):
        crop(made[0], tmp_path, fixed_eyes=EYES)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["letter.txt"]
