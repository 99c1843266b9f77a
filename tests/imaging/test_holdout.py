"""The held-out subjects: a fixed rule, whole subjects, no list."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction

import pytest

from syper_data.errors import InputError, UsageError
from syper_data.imaging.holdout import is_held_out, one_side

NAMES = [f"subject-{i}" for i in range(20_000)]


@dataclass(frozen=True)
class Image:
    subject: str | None
    where: str = "crops.parquet, row 7"


def test_a_tenth_is_the_documented_rule() -> None:
    for name in NAMES[:500]:
        digest = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
        assert is_held_out(name, 0.1) == (digest % 10 == 0)
    assert [i for i in range(60) if is_held_out(f"subject-{i}", 0.1)] == [19, 26, 31, 33, 42, 43, 46, 52, 54]


@pytest.mark.parametrize("share", [0.1, 0.25, 1 / 3, 0.07, 0.9])
def test_about_the_share_is_held_out(share: float) -> None:
    found = sum(is_held_out(name, share) for name in NAMES) / len(NAMES)
    assert found == pytest.approx(share, abs=0.01)


def test_a_share_that_is_a_multiple_holds_the_smaller_ones_subjects() -> None:
    tenth = {n for n in NAMES if is_held_out(n, 0.1)}
    assert tenth < {n for n in NAMES if is_held_out(n, float(Fraction(1, 5)))}


def test_the_two_sides_share_no_subject_and_lose_no_image() -> None:
    images = [Image(name) for name in NAMES[:300] for _eye in range(2)]
    held, training = list(one_side(images, 0.2, "held-out")), list(one_side(images, 0.2, "training"))
    assert len(held) + len(training) == len(images)
    assert not {i.subject for i in held} & {i.subject for i in training}
    assert held


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, True, "0.1", 1e-9])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="--holdout is"):
        is_held_out("a", share)


def test_an_image_without_a_subject_is_named() -> None:
    with pytest.raises(
        InputError, match=r"crops.parquet, row 7: no subject.*--columns subject=NAME \(subject=source_id"
    ):
        list(one_side([Image(None)], 0.1, "training"))


def test_an_unknown_side_is_refused() -> None:
    with pytest.raises(UsageError, match="must be training or held-out"):
        list(one_side([Image("a")], 0.1, "test"))
