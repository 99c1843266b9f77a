"""Crops: one size, one orientation, classes in an order of their own, a digest of it all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from small_training import crops
from syper_data.errors import InputError
from syper_data.gan.crops import load_crops


def test_crops_are_stacked_in_canonical_orientation() -> None:
    left, right = crops(count=2)
    right = replace(right, side="image_right")
    array = load_crops([left, right], 16).pixels
    assert array.shape == (2, 16, 16, 3)
    assert np.array_equal(array[0], left.pixels)
    assert np.array_equal(array[1], right.pixels[:, ::-1])


def test_the_digest_follows_pixels_orientation_and_order() -> None:
    images = crops(count=3)
    brighter = replace(images[0], pixels=images[0].pixels ^ 1)
    turned = replace(images[0], side="image_right")
    variants = [images, images[::-1], images[:2], [brighter, *images[1:]], [turned, *images[1:]]]
    assert len({load_crops(variant, 16).sha256 for variant in variants}) == 5
    assert load_crops(crops(count=3), 16).sha256 == load_crops(images, 16).sha256


def test_square_crops_of_another_size_are_resized_and_others_refused() -> None:
    loaded = load_crops([*crops(count=1), crops(count=1, side=64)[0]], 16)
    assert loaded.pixels.shape == (2, 16, 16, 3)
    assert (loaded.resized, loaded.sizes) == (1, {16: 1, 64: 1})
    wide = replace(crops(count=1)[0], pixels=np.zeros((64, 80, 3), np.uint8), where="crops/odd.png")
    with pytest.raises(InputError) as caught:
        load_crops([*crops(count=2), wide], 16)
    assert str(caught.value) == "crops/odd.png: 80x64 pixels, a crop is square (syper-data crop makes them)"


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_crops_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="at least two crops"):
        load_crops(crops(count=count), 16)


def test_classes_are_numbered_in_the_order_of_their_names() -> None:
    images = [replace(image, subject=name) for image, name in zip(crops(count=4), "zaza", strict=True)]
    loaded = load_crops(images, 16, "subject")
    assert loaded.classes == ("a", "z")
    assert loaded.labels.tolist() == [1, 0, 1, 0]
    assert loaded.summary()["classes"] == ["a", "z"]
    assert load_crops(images[::-1], 16, "subject").classes == ("a", "z")


def test_an_eye_is_a_subject_and_a_side() -> None:
    sides = ("image_left", "image_right", "image_right")
    images = [replace(image, subject="a", side=side) for image, side in zip(crops(count=3), sides, strict=True)]
    loaded = load_crops(images, 16, "eye")
    assert loaded.classes == ("a image_left", "a image_right")
    assert loaded.labels.tolist() == [0, 1, 1]


def test_the_digest_follows_the_classes() -> None:
    images = [replace(image, subject=name) for image, name in zip(crops(count=3), "aab", strict=True)]
    other = [replace(image, subject=name) for image, name in zip(crops(count=3), "abb", strict=True)]
    assert load_crops(images, 16, "subject").sha256 != load_crops(other, 16, "subject").sha256
    assert load_crops(images, 16).sha256 == load_crops(other, 16).sha256
    assert load_crops(images, 16).classes == ()


@pytest.mark.parametrize(
    ("changes", "class_of", "message"),
    [
        ({"subject": None}, "subject", "crops/0.png: names no subject, .* --columns subject=NAME"),
        ({"subject": "a", "side": None}, "eye", "crops/0.png: names no side"),
        ({"subject": "a"}, "subject", "the data have one class only \\('a'\\): train without classes, c_dim 0"),
    ],
)
def test_data_without_usable_classes_are_refused(
    changes: dict[str, str | None], class_of: str, message: str
) -> None:
    images = [replace(image, **changes) for image in crops(count=3)]  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        load_crops(images, 16, class_of)
