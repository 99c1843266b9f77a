"""insightface's verification files: every way in which they were written, and none in which they could run."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hostile_pickles import GADGETS, program, tuple_of
from published_layouts import noise_png
from small_generators import REPOSITORY
from syper_data.errors import InputError
from syper_data.imaging.source import SourceImage
from syper_data.protocols.formats.insightface_bin import read_bin
from syper_data.protocols.reading import open_protocol

SAMPLE = REPOSITORY.parent / "shared/data/contracts/tiny_pairs.bin"
IMAGES = [noise_png(i) for i in range(6)]
LABELS = [True, False, True]

WRITTEN: dict[str, Callable[[], object]] = {
    "bytes": lambda: (IMAGES, LABELS),
    "lists": lambda: [IMAGES, LABELS],
    "byte arrays": lambda: ([bytearray(i) for i in IMAGES], LABELS),
    "arrays": lambda: ([np.frombuffer(i, np.uint8) for i in IMAGES], np.array(LABELS)),
    "own arrays": lambda: ([np.frombuffer(i, np.uint8).copy() for i in IMAGES], [np.bool_(x) for x in LABELS]),
    "numbers": lambda: (IMAGES, [int(x) for x in LABELS]),
}


def python2(images: list[bytes], labels: list[bool]) -> bytes:
    """What Python 2 writes with protocol 2: strings of bytes."""
    strings = b"".join(b"T" + len(i).to_bytes(4, "little") + i for i in images)
    return b"\x80\x02](" + strings + b"e](" + b"".join(b"\x88" if x else b"\x89" for x in labels) + b"e\x86."


def write(path: Path, value: object, protocol: int = 4) -> Path:
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", WRITTEN)
def test_images_and_labels_come_back_however_they_were_written(tmp_path: Path, kind: str, protocol: int) -> None:
    images, labels = read_bin(write(tmp_path / "x.bin", WRITTEN[kind](), protocol))
    assert images == IMAGES
    assert labels.tolist() == LABELS


def test_a_file_of_python_2_is_read(tmp_path: Path) -> None:
    images, labels = read_bin(write(tmp_path / "x.bin", python2(IMAGES, LABELS)))
    assert images == IMAGES
    assert labels.tolist() == LABELS


def test_mated_pairs_and_equal_bytes_join_images_to_people(tmp_path: Path) -> None:
    a, b, c, d, e, f = IMAGES
    path = write(
        tmp_path / "lfw.bin", ([a, b, b, c, d, e, a, d, f, f, a, c], [True, True, True, False, True, False])
    )
    protocol = open_protocol("lfw-bin", tmp_path)
    (fold,) = protocol.folds
    assert len(fold.images) == 6
    assert fold.identity.tolist() == [0, 0, 0, 1, 1, 2]
    assert fold.counts() == (4, 2)
    assert fold.parts is None  # six pairs make no ten parts
    assert not fold.named
    assert any("names nobody" in note for note in protocol.notes)
    assert any(note.startswith("1 pairs are of one image with itself") for note in protocol.notes)
    assert any(note.startswith("1 non-mated pairs are of images that mated pairs join") for note in protocol.notes)
    entries = list(protocol.pictures.read(fold.images))
    assert all(isinstance(entry, SourceImage) for entry in entries)
    assert protocol.source_files.keys() == {path.name}


def test_ten_parts_follow_the_file_order(tmp_path: Path) -> None:
    images = [noise_png(i) for i in range(40)]
    write(tmp_path / "lfw.bin", (images, [True, False] * 10))
    (fold,) = open_protocol("lfw-bin", tmp_path / "lfw.bin").folds
    assert fold.parts is not None
    assert [part.tolist() for part in fold.parts] == [[2 * k, 2 * k + 1] for k in range(10)]


@pytest.mark.parametrize("gadget", GADGETS)
def test_a_hostile_file_runs_nothing(tmp_path: Path, gadget: str) -> None:
    marker = tmp_path / "marker"
    payload = program(tuple_of(GADGETS[gadget](marker), b"]"))
    with pytest.raises(InputError) as caught:
        read_bin(write(tmp_path / "x.bin", payload))
    assert not marker.exists()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ((IMAGES, LABELS, []), "not a pair of images and labels"),
        ({"images": IMAGES}, "not a pair of images and labels"),
        ((IMAGES, [True]), "6 images for 1 pairs"),
        ((IMAGES, []), "holds other things than"),
        (([1, 2], [True]), "holds other things than"),
        ((IMAGES, [True, 2, False]), "holds other things than"),
        ((IMAGES, ["1", "0", "1"]), "holds other things than"),
        (([np.zeros((2, 2), np.uint8)] * 2, [True]), "holds other things than"),
        (([np.zeros(4, np.float64)] * 2, [True]), "holds other things than"),
        (b"", "not a pickle of protocol 2 to 5"),
        (b"\x80\x04]", "damaged|truncated"),
        (python2(IMAGES, LABELS)[:-40], "truncated"),
        (python2(IMAGES, LABELS) + b"x", "1 bytes follow"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, value: object, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_bin(write(tmp_path / "x.bin", value))
    assert str(tmp_path / "x.bin") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lfw\.bin: no such file"):
        open_protocol("lfw-bin", tmp_path)


@pytest.mark.skipif(not SAMPLE.is_file(), reason=f"{SAMPLE} is not here: no sample of the published format")
def test_the_sample_of_the_published_format_is_read() -> None:
    images, labels = read_bin(SAMPLE)
    assert len(images) == 12
    assert labels.tolist() == [True, False] * 3
    assert all(image[:2] == b"\xff\xd8" for image in images)
