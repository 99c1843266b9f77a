"""Occlusions: seeded, where they belong, and never anything but an image."""

from __future__ import annotations

import numpy as np
import pytest

from drawn_crops import drawn_eye
from syper_data.cropping.geometry import ARCFACE_112
from syper_data.errors import ConfigError, InputError
from syper_data.recognition.occlusion.config import EYE_KINDS, KINDS, ORDER, OcclusionConfig
from syper_data.recognition.occlusion.drawing import cover, oval
from syper_data.recognition.occlusion.image import occlude_image

SIDE = 48
EYE = drawn_eye(3, SIDE)


def only(kind: str, share: float = 1.0) -> OcclusionConfig:
    return OcclusionConfig((kind,), share, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_picture_and_another_seed_another(kind: str) -> None:
    first, kinds = occlude_image(EYE, only(kind), (7, 1))
    assert kinds == (kind,)
    assert np.array_equal(first, occlude_image(EYE, only(kind), (7, 1))[0])
    assert not np.array_equal(first, occlude_image(EYE, only(kind), (7, 2))[0])
    assert first.dtype == np.uint8
    assert first.shape == EYE.shape
    assert (first != EYE).any(axis=2).mean() > 0.005


@pytest.mark.parametrize("kind", KINDS)
def test_a_grey_image_stays_grey_and_the_given_one_is_left_alone(kind: str) -> None:
    grey = np.repeat(EYE[:, :, :1], 3, axis=2)
    before = grey.copy()
    for seed in range(4):
        found = occlude_image(grey, only(kind), (seed,))[0]
        assert (found[:, :, :1] == found).all()
    assert np.array_equal(grey, before)


def test_the_picture_is_much_the_same_at_another_size() -> None:
    large = np.full((96, 96, 3), 128, np.uint8)
    small = np.full((48, 48, 3), 128, np.uint8)
    for kind in ("glasses", "glare"):
        for seed in range(3):
            fine = occlude_image(large, only(kind), (seed,))[0].reshape(48, 2, 48, 2, 3).mean((1, 3))
            coarse = occlude_image(small, only(kind), (seed,))[0]
            assert np.abs(fine - coarse).mean() < 4, (kind, seed)


def test_the_share_says_how_many_images_are_occluded_and_the_others_are_as_they_were() -> None:
    config = OcclusionConfig(("patch",), 0.3, 1)
    found = [occlude_image(EYE, config, (seed,)) for seed in range(200)]
    occluded = [kinds for _, kinds in found if kinds]
    assert 40 <= len(occluded) <= 80
    assert all(pixels is EYE for pixels, kinds in found if not kinds)
    assert not any(kinds for _, kinds in (occlude_image(EYE, only("hair", 0.0), (seed,)) for seed in range(20)))


def test_several_kinds_lie_over_each_other_from_the_eye_outwards() -> None:
    config = OcclusionConfig(EYE_KINDS, 1.0, 3)
    found = {occlude_image(EYE, config, (seed,))[1] for seed in range(30)}
    assert {len(kinds) for kinds in found} == {1, 2, 3}
    assert all(list(kinds) == sorted(kinds, key=ORDER.index) for kinds in found)
    assert {kind for kinds in found for kind in kinds} == set(EYE_KINDS)


def test_a_closing_lid_changes_the_eye_and_nothing_at_the_edges() -> None:
    for seed in range(8):
        changed = (occlude_image(EYE, only("lid"), (seed,))[0] != EYE).any(axis=2)
        assert changed[SIDE // 2 - 4 : SIDE // 2 + 2, SIDE // 3 : -SIDE // 3].mean() > 0.5
        assert not changed[: SIDE // 5].any()
        assert not changed[-SIDE // 4 :].any()
        assert not changed[:, : SIDE // 6].any()


def test_a_mask_covers_mouth_and_nose_and_leaves_the_eyes() -> None:
    face = np.full((112, 112, 3), 128, np.uint8)
    for seed in range(12):
        changed = (occlude_image(face, only("mask"), (seed,))[0] != face).any(axis=2)
        points = ARCFACE_112.astype(int)
        assert all(changed[y, x] for x, y in points[2:]), seed
        assert not any(changed[y - 6 : y + 2, x - 8 : x + 9].any() for x, y in points[:2])


def test_a_mask_follows_its_landmarks() -> None:
    face = np.full((112, 112, 3), 128, np.uint8)
    turned = np.stack([ARCFACE_112[:, 1], 112 - ARCFACE_112[:, 0]], 1)  # a quarter turn
    upright = (occlude_image(face, only("mask"), (4,))[0] != face).any(axis=2)
    lying = (occlude_image(face, only("mask"), (4,), landmarks=turned)[0] != face).any(axis=2)
    assert (np.rot90(upright) == lying).mean() > 0.97


@pytest.mark.parametrize(
    "landmarks", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.ones((4, 2))], ids=["one place", "nan", "four"]
)
def test_landmarks_that_no_face_has_are_refused(landmarks: object) -> None:
    with pytest.raises(InputError, match="landmarks"):
        occlude_image(EYE, only("mask"), (0,), landmarks=landmarks)


def test_shapes_are_antialiased() -> None:
    disc = cover(64, [oval((0.5, 0.5), (0.3, 0.3))])
    assert disc.sum() / 64**2 == pytest.approx(np.pi * 0.09, rel=0.03)
    assert ((disc > 0.05) & (disc < 0.95)).sum() > 60


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kinds": ()}, "occlusion.kinds is"),
        ({"kinds": "hair"}, "occlusion.kinds is 'hair'"),
        ({"kinds": ("hair", "hair")}, "different kinds"),
        ({"kinds": ("scarf",)}, "names 'scarf': must be of glasses"),
        ({"share": 1.5}, "occlusion.share is 1.5"),
        ({"share": float("nan")}, "occlusion.share is nan"),
        ({"most": 0}, "occlusion.most is 0"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OcclusionConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(8, 9, 3), (8, 8, 1), (8, 8)])
def test_what_is_no_square_colour_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="an image to occlude is uint8"):
        occlude_image(np.zeros(shape, np.uint8), OcclusionConfig(), (0,))
