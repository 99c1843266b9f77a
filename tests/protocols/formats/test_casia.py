"""CASIA-Iris: who is on an image by its file's name or its row; everything of one side is compared."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drawn_pictures import drawn_face
from published_layouts import noise_png, write_images
from small_generators import REPOSITORY
from syper_data.cropping.crop import crop
from syper_data.errors import InputError
from syper_data.imaging.source import SourceImage
from syper_data.protocols.reading import open_protocol

NIR = REPOSITORY.parent / "shared/data/nir_lamp100.parquet"
FILES = [f"{p:03d}/{eye}/S2{p:03d}{eye}{i:02d}.jpg" for p in (1, 2, 12) for eye in "LR" for i in (1, 2, 10)]
OWN = (
    "name: own\ntitle: x\ndataset: x\nspectrum: nir\nreader: casia\nfolds: ['1', '2']\n"
    "options:\n  pattern: 'S2(?P<subject>[0-9]{3})(?P<eye>[LR])(?P<sample>[0-9]{2})'\n"
    "  folds:\n    '1': {test: [012], training: ['001-002']}\n    '2': {test: ['001-002']}\n"
)


def table(path: Path) -> Path:
    sides = {"L": "image_right", "R": "image_left"}
    rows = [(name.split("/")[0], sides[name.split("/")[1]], int(name[-6:-4])) for name in FILES]
    columns = dict(zip(("subject", "side", "sample"), map(list, zip(*rows, strict=True)), strict=True))
    cells = [{"bytes": noise_png(i), "path": None} for i in range(len(rows))]
    pq.write_table(pa.table({"image": cells, **columns}), path)
    return path


def test_all_images_of_one_side_are_compared(tmp_path: Path) -> None:
    write_images(tmp_path, FILES)
    protocol = open_protocol("casia-iris-lamp", tmp_path)
    (fold,) = protocol.folds
    assert fold.images[:4] == ("001/image_left/1", "001/image_left/2", "001/image_left/10", "001/image_right/1")
    assert fold.subject_names == ("001", "002", "012")
    assert fold.counts() == (6 * 3, 2 * 3 * 9)
    entries = list(protocol.pictures.read(fold.images))
    assert all(isinstance(entry, SourceImage) and entry.spectrum == "nir" for entry in entries)
    assert [(entry.subject, entry.side) for entry in entries[:4:3]] == [
        ("001", "image_left"),
        ("001", "image_right"),
    ]


def test_files_and_a_table_of_the_same_images_give_the_same_fold(tmp_path: Path) -> None:
    write_images(tmp_path / "files", FILES)
    in_table = open_protocol("casia-iris-lamp", table(tmp_path / "nir.parquet"))
    in_files = open_protocol("casia-iris-lamp", tmp_path / "files")
    assert in_table.folds[0].sha256() == in_files.folds[0].sha256()
    assert len(list(in_table.pictures.read(in_table.folds[0].images))) == len(FILES)


def test_a_descriptor_restricts_folds_to_people(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(OWN.replace("[012]", "['012']"))
    first, second = open_protocol(own, table(tmp_path / "nir.parquet")).folds
    assert (first.subject_names, second.subject_names) == (("012",), ("001", "002"))
    assert (first.training, second.training) == ({"001", "002"}, None)
    own.write_text(OWN.replace("[012]", "['013']"))
    with pytest.raises(InputError, match="1 people of fold 1 have no image, the first is 013"):
        open_protocol(own, table(tmp_path / "nir.parquet"))


@pytest.mark.parametrize(
    ("people", "said"),
    [
        ("['100-061']", "the range 100-061 runs backwards"),
        ("[12]", "subject ids in quotes"),
        ("[]", "names nobody"),
    ],
)
def test_a_fold_of_nobody_is_refused(tmp_path: Path, people: str, said: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(OWN.replace("[012]", people))
    with pytest.raises(InputError, match=said):
        open_protocol(own, table(tmp_path / "nir.parquet"))
    own.write_text(OWN.replace("{test: ['001-002']}", "['001-002']"))
    with pytest.raises(InputError, match=r"options.folds.2 is \['001-002'\]: must have test"):
        open_protocol(own, table(tmp_path / "nir.parquet"), folds=["2"])


def test_eyes_cut_out_of_photos_of_both_are_known_by_the_photos_name(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for person, number in ((0, 0), (0, 1), (1, 0)):
        drawn_face(120).save(photos / f"S4{person:03d}D{number:02d}.png")
    with pytest.raises(InputError, match="the photos show both eyes: cut the eyes out with syper-data crop"):
        open_protocol("casia-iris-distance", photos)
    crop(photos, tmp_path / "eyes", fixed_eyes="0.38,0.45,0.62,0.45", output_size=16, spectrum="nir", workers=1)
    (fold,) = open_protocol("casia-iris-distance", tmp_path / "eyes").folds
    assert fold.images[:2] == ("000/image_left/0", "000/image_left/1")
    assert fold.counts() == (2, 4)


def test_a_name_that_is_there_twice_is_refused_and_other_files_are_counted(tmp_path: Path) -> None:
    write_images(tmp_path, [*FILES, "notes.jpg"])
    assert "1 files are left out, whose names say no eye" in open_protocol("casia-iris-lamp", tmp_path).notes
    write_images(tmp_path, ["again/S2001L01.jpg"])
    with pytest.raises(
        InputError, match=r"001/L/S2001L01\.jpg and again/S2001L01\.jpg are the same image by name"
    ):
        open_protocol("casia-iris-lamp", tmp_path)


def test_a_folder_of_other_files_says_what_is_wanted(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    with pytest.raises(InputError, match="no file's name says person, eye and number"):
        open_protocol("casia-iris-lamp", tmp_path)
    pq.write_table(pa.table({"image": [{"bytes": noise_png(0), "path": None}]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="no row says subject, side and sample"):
        open_protocol("casia-iris-lamp", tmp_path / "t.parquet")


@pytest.mark.parametrize("pattern", ["(", "S2(?P<subject>..)"])
def test_a_wrong_pattern_is_refused(tmp_path: Path, pattern: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        f"name: own\ntitle: x\ndataset: x\nreader: casia\nfolds: [a]\noptions: {{pattern: '{pattern}'}}\n"
    )
    with pytest.raises(InputError, match=r"own\.yaml: options\.pattern"):
        open_protocol(own, tmp_path)


@pytest.mark.skipif(not NIR.is_file(), reason=f"{NIR} is not here: no images of CASIA-Iris-Lamp")
def test_a_hundred_people_of_lamp_are_read() -> None:
    (fold,) = open_protocol("casia-iris-lamp", NIR).folds
    assert len(fold.images) == 3963
    assert len(fold.subject_names) == 100
    assert len(set(fold.identity.tolist())) == 200
