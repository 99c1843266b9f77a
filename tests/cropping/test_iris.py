from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from drawn_pictures import drawn_eye
from syper_data.cropping.eye_image import crop_eye_image
from syper_data.cropping.iris_search import Iris, find_iris
from syper_data.cropping.settings import CropSettings
from syper_data.cropping.table import Failure
from syper_data.cropping.worker import crop_row
from syper_data.imaging.codec import decode, encoder_identity
from syper_data.imaging.source import SourceImage


def settings(**values: object) -> CropSettings:
    return CropSettings(encoder=encoder_identity("png"), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("centre", "iris", "pupil"), [((165, 125), 100, 40), ((120, 110), 88, 50), ((200, 140), 112, 34)]
)
def test_a_near_infrared_iris_is_found_with_its_pupil(
    centre: tuple[float, float], iris: float, pupil: float
) -> None:
    found = find_iris(drawn_eye(centre, iris, pupil), "nir")
    assert isinstance(found, Iris)
    assert (found.x, found.y) == pytest.approx(centre, abs=0.03 * iris)
    assert found.diameter == pytest.approx(iris, rel=0.05)
    assert found.pupil_diameter == pytest.approx(pupil, rel=0.1)


def test_a_known_width_keeps_the_search_from_the_edge_of_a_lid() -> None:
    eye = drawn_eye((165, 125), 100, 40)
    covered = eye.copy()
    covered[:112] = 170  # a lid over the upper part, whose edge makes circles of its own
    covered[138:] = 170
    free, known = find_iris(covered, "nir"), find_iris(covered, "nir", 100)
    assert isinstance(known, Iris)
    assert known.diameter == pytest.approx(100, rel=0.12)
    assert isinstance(free, str) or abs(known.diameter - 100) <= abs(free.diameter - 100)
    far = find_iris(eye, "nir", 30)
    assert isinstance(far, str) or far.diameter <= 40
    image = SourceImage(eye, "x", source_id="x.png", spectrum="nir")
    row = crop_eye_image(image, settings(landmarks="iris", spectrum="nir", iris_pixels=100), crop_row)
    assert isinstance(row, dict)
    assert row["iris_diameter"] == pytest.approx(100, rel=0.05)


def test_the_iris_of_a_visible_light_crop_is_sought_at_its_centre() -> None:
    image = Image.new("RGB", (128, 128), (205, 160, 135))
    draw = ImageDraw.Draw(image)
    draw.ellipse((32, 50, 98, 78), fill=(230, 225, 222))
    draw.ellipse((66 - 12, 63 - 12, 66 + 12, 63 + 12), fill=(70, 50, 40))
    found = find_iris(np.asarray(image.filter(ImageFilter.GaussianBlur(1))), "vis")
    assert isinstance(found, Iris)
    assert (found.x, found.y) == pytest.approx((66, 63), abs=1)
    assert found.diameter == pytest.approx(24, rel=0.08)


def test_images_without_an_iris_say_why_with_value_and_bound() -> None:
    skin = np.clip(np.random.default_rng(0).normal(150, 4, (240, 320, 1)), 0, 255).astype(np.uint8).repeat(3, 2)
    reason = find_iris(skin, "nir")
    assert isinstance(reason, str)
    assert "pupil contrast" in reason
    assert "of 255 is below 10" in reason
    assert "is below" in str(find_iris(skin, "vis"))
    assert find_iris(skin[:20], "nir") == "the image is 320x20 pixels: too small to show an iris"


def test_two_sets_come_to_one_scale() -> None:
    widths = []
    for iris in (84.0, 100.0, 112.0):
        image = SourceImage(drawn_eye(iris=iris), "x", source_id="x.png", side="image_left", spectrum="nir")
        row = crop_eye_image(image, settings(landmarks="iris", spectrum="nir", output_size=96), crop_row)
        assert isinstance(row, dict)
        crop = decode(row["image"]["bytes"], "L", "x")[48, :, 0]
        widths.append(int((crop[8:88] < 148).sum()))  # the iris is darker than skin and sclera
        assert (row["side"], row["spectrum"]) == ("image_left", "nir")
        assert row["iris_diameter"] == pytest.approx(iris, rel=0.05)
    assert max(widths) - min(widths) <= 4
    assert np.mean(widths) == pytest.approx(96 / 2.4, rel=0.06)


def test_a_known_ratio_replaces_the_measurement() -> None:
    image = SourceImage(np.zeros((108, 108, 3), np.uint8), "x", source_id="x.png")
    fixed = settings(landmarks="iris_ratio", iris_ratio=5.4, iris_diameters=2.7)
    row = crop_eye_image(image, fixed, crop_row)
    assert isinstance(row, dict)
    assert (row["iris_x"], row["iris_diameter"], row["pupil_diameter"]) == (54, pytest.approx(20), None)


def test_an_iris_at_the_edge_is_refused_with_the_share_outside() -> None:
    image = SourceImage(drawn_eye((40, 120), 100, 40), "x", source_id="x.png")
    failure = crop_eye_image(image, settings(landmarks="iris", spectrum="nir"), crop_row)
    assert isinstance(failure, Failure)
    assert "of the crop lies outside of the image, more than 20%" in failure.reason
