"""One photo to rows and failures, without a worker process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drawn_pictures import DRAWN_EYES, drawn_face
from syper_data.cropping.detector import Face
from syper_data.cropping.settings import CropSettings
from syper_data.cropping.table import Failure
from syper_data.cropping.worker import Result, crop_image
from syper_data.errors import ConfigError, InputError
from syper_data.imaging.codec import decode, encoder_identity
from syper_data.imaging.source import SourceImage

PHOTO = np.asarray(drawn_face(400))
EYES = np.array(DRAWN_EYES) * 400


def crops(*faces: np.ndarray, photo: np.ndarray = PHOTO, **values: object) -> list[Result]:
    settings = CropSettings(encoder=encoder_identity("png"), **values)  # type: ignore[arg-type]
    image = SourceImage(photo, "p", subject="anna", sample="3", source_id="a/p.png")
    return list(crop_image(image, lambda _: [Face(f, 0.9) for f in faces], settings))


def test_a_face_gives_both_eyes_each_at_the_centre_of_its_crop() -> None:
    left, right = crops(EYES)
    assert isinstance(left, dict) and isinstance(right, dict)
    assert [r["side"] for r in (left, right)] == ["image_left", "image_right"]
    assert left["inter_eye_distance"] == pytest.approx(84)
    assert (left["subject"], left["sample"], left["source_id"], left["faces"]) == ("anna", "3", "a/p.png", 1)
    assert left["landmarks"] == EYES.tolist()
    assert left["image"]["path"] == "a_p_0_image_left.png"
    for row in (left, right):  # the pupil is the darkest spot, in the middle; nothing is mirrored
        pixels = decode(row["image"]["bytes"], "L", "x")[:, :, 0]
        assert pixels.shape == (128, 128)
        rows, columns = np.nonzero(pixels[32:96, 32:96] < 40)
        assert np.abs(np.array([rows.mean(), columns.mean()]) + 32.5 - 64).max() < 3  # the catch-light
    glint = decode(left["image"]["bytes"], "L", "x")[52:66, 56:80, 0]
    assert np.unravel_index(glint.argmax(), glint.shape)[1] + 56 > 64  # right of the pupil, as drawn


def test_of_two_faces_the_largest_is_taken_or_all_or_none() -> None:
    small = EYES * 0.4 + 10
    rows = [r for r in crops(small, EYES) if isinstance(r, dict)]
    assert [r["inter_eye_distance"] for r in rows] == pytest.approx([84, 84])
    assert {(r["face"], r["faces"], r["subject"]) for r in rows} == {(0, 2, "anna")}
    every = [r for r in crops(small, EYES, faces="all") if isinstance(r, dict)]
    assert [(r["face"], r["side"], r["subject"]) for r in every] == [
        (0, "image_left", None), (0, "image_right", None), (1, "image_left", None), (1, "image_right", None),
    ]  # fmt: skip
    assert crops(small, EYES, faces="only") == [
        Failure("a/p.png", None, "2 faces found, and only one is allowed", "anna", "3"),
    ]


def test_a_photo_without_a_face_and_one_too_small_say_so() -> None:
    assert crops() == [Failure("a/p.png", None, "no face found (score below 0.5)", "anna", "3")]
    assert crops(landmarks="file") == [Failure("a/p.png", None, "no landmarks listed for it", "anna", "3")]
    (failure,) = crops(EYES * 0.1)
    assert isinstance(failure, Failure)
    assert failure.reason == "inter-eye distance 8.4 px is below 16 px: the face is too small"


def test_of_a_face_half_outside_the_eye_inside_is_kept_and_the_other_is_listed() -> None:
    outside, inside = crops(EYES - (150, 0))
    reason = "41% of the crop lies outside of the photo, more than 20%"
    assert outside == Failure("a/p.png", "image_left", reason, "anna", "3")
    assert isinstance(inside, dict)
    assert (inside["side"], inside["outside"]) == ("image_right", 0)
    kept = crops(EYES - (130, 0))[0]
    assert isinstance(kept, dict)
    assert 0.1 < kept["outside"] < 0.2


def test_a_finder_that_refuses_gives_its_reason() -> None:
    def refuse(_: SourceImage) -> list[Face]:
        raise InputError("listed twice")

    image = SourceImage(PHOTO, "p", source_id="p.png")
    assert list(crop_image(image, refuse, CropSettings())) == [Failure("p.png", None, "listed twice", None, "p")]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"output_size": 4}, "output_size is 4"),
        ({"faces": "both"}, "faces is 'both'"),
        ({"score_threshold": 0.0}, "score_threshold is 0.0"),
        ({"max_outside": float("nan")}, "max_outside is nan"),
        ({"detect_size": 500}, "multiple of 32"),
        ({"landmarks": "fixed"}, "fixed_eyes belongs"),
        ({"landmarks": "fixed", "fixed_eyes": (0.6, 0.4, 0.3, 0.4)}, "x1 < x2"),
        ({"landmarks": "fixed", "fixed_eyes": (0.3, 0.4, 0.6)}, "x1,y1,x2,y2"),
        ({"landmarks": "fixed", "fixed_eyes": (30, 40, 60, 40)}, "shares in 0..1"),
        ({"iris_ratio": 5.4}, "iris_ratio belongs"),
        ({"iris_pixels": 100}, "iris_pixels belongs"),
        ({"iris_pixels": 2, "landmarks": "iris"}, "iris_pixels is 2: must lie in 8"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CropSettings(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "sample"),
    [
        ({"source_id": "anna/anna_0001.jpg"}, "anna_0001"),
        ({"source_id": "faces.parquet#3", "name": "anna_0002.jpg"}, "anna_0002"),
        ({"source_id": "faces.parquet#3"}, None),
        ({"source_id": "anna/anna_0001.jpg", "sample": "7"}, "7"),
        ({"source_id": "faces.parquet#3", "name": "000007.png", "seed": 7}, None),
    ],
)
def test_the_sample_of_a_crop_is_its_column_or_the_name_of_the_photo(
    values: dict[str, Any], sample: str | None
) -> None:
    image = SourceImage(PHOTO, "p", **values)
    settings = CropSettings(encoder=encoder_identity("png"))
    rows = list(crop_image(image, lambda _: [Face(EYES, 0.9)], settings))
    assert [row["sample"] for row in rows if isinstance(row, dict)] == [sample, sample]
    (failure,) = crop_image(image, lambda _: [], settings)
    assert isinstance(failure, Failure)
    assert failure.sample == sample
