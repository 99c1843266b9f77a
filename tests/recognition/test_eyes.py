"""Training data of a recognizer: who is a class, who is left out, and what a bad image says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from small_recognizer_training import people
from syper_data.errors import InputError
from syper_data.recognition.eyes import load_eyes

SIDE = 32


def test_two_eyes_are_one_class_or_two() -> None:
    one = load_eyes([people()], SIDE, "one_class").training
    two = load_eyes([people()], SIDE, "two_classes").training
    assert (one.classes, two.classes) == (4, 8)
    assert (len(set(one.people)), len(set(two.people))) == (4, 4)
    assert one.labels.tolist() == one.people.tolist()
    assert one.subjects == two.subjects == {f"person-{i}" for i in range(4)}


def test_right_eyes_are_mirrored_and_other_sizes_resized() -> None:
    images = people(samples=2)
    eyes = load_eyes([images], SIDE, "one_class").training
    assert np.array_equal(eyes.pixels[0], images[0].pixels)
    assert np.array_equal(eyes.pixels[2], images[2].pixels[:, ::-1])
    assert load_eyes([images], 112, "one_class").training.pixels[0].shape == (112, 112, 3)


def test_the_same_id_in_two_sources_is_two_classes_and_one_identity() -> None:
    data = load_eyes([people(), people(2, seed=1)], SIDE, "one_class")
    assert data.training.classes == 6
    assert len(set(data.training.people)) == 6
    assert len(data.training.subjects) == 4
    assert data.summary["subjects_in_several_sources"] == 2


def test_classes_with_too_few_images_are_left_out_and_counted() -> None:
    images = people()[:-2]  # the last eye has one image
    data = load_eyes([images], SIDE, "two_classes", at_least=2)
    assert data.training.classes == 7
    assert data.summary["left_out"] == 1
    assert load_eyes([images], SIDE, "two_classes", at_least=1).training.classes == 8


def test_nobody_left_out_is_among_the_subjects() -> None:
    lonely = replace(people()[0], subject="seen-once")
    assert "seen-once" not in load_eyes([[*people(), lonely]], SIDE, "two_classes").training.subjects


def test_held_out_subjects_are_for_validation_only() -> None:
    data = load_eyes([people()], SIDE, "two_classes", held_out=lambda s: s in ("person-1", "person-3"))
    assert data.validation is not None
    assert data.training.subjects == {"person-0", "person-2"}
    assert data.validation.subjects == {"person-1", "person-3"}
    assert len(data.training) + len(data.validation) == len(people())
    assert data.summary["validation_sha256"] == data.validation.sha256


def test_the_digest_is_of_pixels_classes_and_order() -> None:
    digests = {
        load_eyes([images], SIDE, both).training.sha256
        for images, both in (
            (people(), "one_class"),
            (people(), "two_classes"),
            (people()[::-1], "one_class"),
            (people(seed=1), "one_class"),
            ([replace(x, subject=f"{x.subject}!") for x in people()], "one_class"),
        )
    }
    assert len(digests) == 5
    assert load_eyes([people()], SIDE, "one_class").training.sha256 in digests


def test_the_first_images_come_with_whole_classes() -> None:
    eyes = load_eyes([people()], SIDE, "two_classes").training
    assert [len(eyes.first(n)) for n in (1, 3, 4, 7, 24, 99)] == [3, 3, 3, 6, 24, 24]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": None}, r"eyes.parquet, row 0: names no subject.*--columns subject=NAME"),
        ({"side": None}, r"eyes.parquet, row 0: names no side.*two_classes.*--columns side=NAME"),
        ({"pixels": np.zeros((4, 6, 3), np.uint8)}, r"eyes.parquet, row 0: 6x4 pixels, a crop is square"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(changes: dict[str, Any], message: str) -> None:
    images = people()
    images[0] = replace(images[0], **changes)
    with pytest.raises(InputError, match=message):
        load_eyes([images], SIDE, "two_classes")


@pytest.mark.parametrize("images", [[], people(1, 2)[:2]], ids=["none", "one class"])
def test_fewer_than_two_classes_are_refused(images: Any) -> None:
    with pytest.raises(InputError, match=r"two are needed to train on$"):
        load_eyes([images], SIDE, "two_classes")


def test_one_held_out_person_is_nobody_to_compare_with() -> None:
    with pytest.raises(InputError, match=r"1 people .* two are needed to compare held-out subjects"):
        load_eyes([people()], SIDE, "two_classes", held_out=lambda s: s == "person-1")
