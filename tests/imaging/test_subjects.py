"""Choosing subjects: by a file, or by halves that no list is needed for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from syper_data.errors import InputError, UsageError
from syper_data.imaging.holdout import is_held_out
from syper_data.imaging.source import SourceImage
from syper_data.imaging.subjects import by_folder, half_of, one_half, only_subjects, read_subjects

NAMES = [f"subject-{i}" for i in range(4000)]


@dataclass(frozen=True)
class Image:
    subject: str | None
    where: str = "crops.parquet, row 7"


def write(folder: Path, content: bytes) -> Path:
    path = folder / "subjects.txt"
    path.write_bytes(content)
    return path


def test_one_id_a_line_with_blank_lines_comments_windows_ends_and_a_mark_at_the_start(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff001\r\n# people of the second session\n\n 002 \nÄda Löve\n".encode())
    assert read_subjects(path) == {"001", "002", "Äda Löve"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no subject"),
        (b"# nobody\n\n", "names no subject"),
        (b"a\nb\n\na\n", "line 4: 'a' is in line 1 already"),
        (b"\xff\xfe\x00", "not a text file in UTF-8"),
        (b"PAR1\x00\x01", "line 1: not a text file"),
    ],
)
def test_a_file_that_lists_nobody_or_is_none_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_subjects(write(tmp_path, content))
    assert str(caught.value).startswith(str(tmp_path))


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.txt", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_subjects(path)


def test_only_the_listed_subjects_come_through_in_order() -> None:
    images = [Image("b"), Image("a"), Image("c"), Image("b")]
    assert [x.subject for x in only_subjects(images, {"b", "c", "nobody"})] == ["b", "c", "b"]


def test_a_half_is_the_last_bit_of_the_digest() -> None:
    for name in NAMES[:300]:
        assert half_of(name) == int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2


def test_the_halves_share_no_subject_lose_no_image_and_are_about_equal() -> None:
    images = [Image(name) for name in NAMES]
    first, second = ({x.subject for x in one_half(images, half)} for half in (0, 1))
    assert not first & second
    assert len(first) + len(second) == len(NAMES)
    assert len(first) / len(NAMES) == pytest.approx(0.5, abs=0.03)


def test_the_halves_are_independent_of_the_held_out_share() -> None:
    held = [half_of(name) for name in NAMES if is_held_out(name, 0.2)]
    assert sum(held) / len(held) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("half", [2, -1, True, "0"])
def test_another_half_is_refused(half: int) -> None:
    with pytest.raises(UsageError, match="--subjects-half is"):
        list(one_half([Image("a")], half))


def test_a_folder_names_the_subject_and_one_below_it_the_side() -> None:
    def named(source_id: str, **known: str) -> tuple[str | None, str | None]:
        image = SourceImage(np.zeros((2, 2, 3), np.uint8), source_id, source_id=source_id, **known)
        (found,) = by_folder([image])
        return found.subject, found.side

    assert named("001/a.png") == ("001", None)
    assert named("001/image_right/monday/a.png") == ("001", "image_right")
    assert named("image_left/a.png") == ("image_left", None)
    assert named("a.png") == (None, None)
    assert named("001/a.png", subject="007", side="image_left") == ("007", "image_left")


def test_an_image_without_a_subject_is_named() -> None:
    for chosen in (only_subjects([Image(None)], {"a"}), one_half([Image(None)], 0)):
        with pytest.raises(InputError, match=r"crops.parquet, row 7: no subject.*--columns subject="):
            list(chosen)
