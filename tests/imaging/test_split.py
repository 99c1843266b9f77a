"""One rule says who is trained on and who is measured against: a held-out share, or a list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from syper_data.errors import InputError, UsageError
from syper_data.imaging.holdout import is_held_out
from syper_data.imaging.split import Split


@dataclass(frozen=True)
class Image:
    subject: str | None
    where: str = "crops.parquet, row 7"


IMAGES = [Image(f"s{i}") for i in range(40) for _eye in range(2)]


def subjects(split: Split, side: str) -> set[str | None]:
    return {image.subject for image in split.side(IMAGES, side)}


def test_a_list_is_the_training_side_and_everybody_else_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "trained-on.txt").write_text("s1\ns3\n# absent from the data:\ns99\n")
    split = Split.of(None, tmp_path / "trained-on.txt")
    assert subjects(split, "training") == {"s1", "s3"}
    assert subjects(split, "held-out") == {f"s{i}" for i in range(40)} - {"s1", "s3"}
    assert split == Split.of(None, ["s99", "s3", "s1"])
    assert split.record() == Split.of(None, ("s3", "s1", "s99")).record()
    assert split.record()["listed"]["subjects"] == 3
    assert split.record() != Split.of(None, ["s1", "s3"]).record()


def test_a_share_is_the_rule_of_holdout_and_no_split_is_everything() -> None:
    held = {f"s{i}" for i in range(40) if is_held_out(f"s{i}", 0.25)}
    assert held and subjects(Split.of(0.25, None), "held-out") == held
    assert subjects(Split.of(0.25, None), "training") == {f"s{i}" for i in range(40)} - held
    nothing = Split.of(None, None)
    assert not nothing
    assert list(nothing.side([Image(None)], "training")) == list(nothing.side([Image(None)], "held-out"))


def test_what_contradicts_itself_or_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--holdout and --subjects exclude each other"):
        Split.of(0.1, ["a"])
    with pytest.raises(UsageError, match="--holdout-side is 'test'"):
        list(Split().side(IMAGES, "test"))
    with pytest.raises(InputError, match=r"crops.parquet, row 7: no subject"):
        list(Split.of(None, ["a"]).side([Image(None)], "held-out"))
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="names no subject"):
        Split.of(None, tmp_path / "empty.txt")
