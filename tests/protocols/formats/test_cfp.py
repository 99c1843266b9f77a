"""CFP's numbered images and its splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from published_layouts import write_images, write_lines
from syper_data.errors import InputError
from syper_data.imaging.source import SourceImage
from syper_data.protocols.protocol import ListedComparisons
from syper_data.protocols.reading import open_protocol


def cfp_copy(root: Path) -> Path:
    """Twenty people, two frontal and one profile image each; split k compares people 2k - 1 and 2k."""
    frontal = [f"Data/Images/{p:03d}/frontal/{i:02d}.jpg" for p in range(1, 21) for i in (1, 2)]
    profile = [f"Data/Images/{p:03d}/profile/01.jpg" for p in range(1, 21)]
    for letter, names in (("F", frontal), ("P", profile)):
        lines = [f"{i} ../{name}" for i, name in enumerate(names, 1)]
        write_lines(root / f"Protocol/Pair_list_{letter}.txt", lines, end="\r\n")
    for k in range(1, 11):
        first, second = 2 * k - 1, 2 * k
        folder = root / f"Protocol/Split/FF/{k:02d}"
        write_lines(folder / "same.txt", [f"{2 * p - 1},{2 * p}" for p in (first, second)])
        write_lines(folder / "diff.txt", [f"{2 * first},{2 * second}"])
        folder = root / f"Protocol/Split/FP/{k:02d}"
        write_lines(folder / "same.txt", [f"{2 * p},{p}" for p in (first, second)])
        write_lines(folder / "diff.txt", [f"{2 * first},{second}"])
    write_images(root, frontal + profile)
    return root


@pytest.mark.parametrize(("name", "images"), [("cfp-ff", 40), ("cfp-fp", 40)])
def test_the_splits_are_the_parts_of_one_fold(tmp_path: Path, name: str, images: int) -> None:
    protocol = open_protocol(name, cfp_copy(tmp_path))
    (fold,) = protocol.folds
    assert fold.counts() == (20, 10)
    assert fold.parts is not None
    assert [part.tolist() for part in fold.parts] == [[3 * k, 3 * k + 1, 3 * k + 2] for k in range(10)]
    assert isinstance(fold.comparisons, ListedComparisons)
    first = fold.comparisons.probe[0], fold.comparisons.reference[0]
    poses = ["frontal", "frontal" if name == "cfp-ff" else "profile"]
    assert [fold.images[i].split("/")[3] for i in first] == poses
    assert all(fold.images[i].split("/")[2] == "001" for i in first)
    entries = list(protocol.pictures.read(fold.images))
    assert all(isinstance(entry, SourceImage) for entry in entries)
    assert entries[0].subject == "001"


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("Split/FP/03/same.txt", "41,1", "line 3: '41' is no number of an image"),
        ("Split/FP/03/same.txt", "1", "line 3: must be two numbers"),
        ("Split/FP/03/same.txt", "1,2", "line 3: the wrong label: Data/Images/001.*Data/Images/002"),
        ("Split/FP/03/diff.txt", "1,1", "line 2: the wrong label"),
        ("Split/FP/03/same.txt", "10,5", "line 3: the same two images as in"),
        ("Pair_list_P.txt", "1 ../Data/Images/001/profile/01.jpg", "line 21: number 1 is listed already"),
        ("Pair_list_P.txt", "x ../Data/Images/001/profile/01.jpg", "line 21: must be a number and a path"),
        ("Pair_list_P.txt", "99 ../../elsewhere/001/profile/01.jpg", "line 21: '../elsewhere.*leaves the folder"),
        ("Pair_list_P.txt", "99 /etc/passwd/x", "line 21: '/etc/passwd/x' leaves the folder"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, file: str, line: str, said: str) -> None:
    copy = cfp_copy(tmp_path)
    with (copy / "Protocol" / file).open("a") as lines:
        lines.write(line + "\n")
    with pytest.raises(InputError, match=said):
        open_protocol("cfp-fp", copy)


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    copy = cfp_copy(tmp_path)
    (copy / "Protocol/Split/FF/07/diff.txt").unlink()
    with pytest.raises(InputError, match=r"FF/07/diff\.txt: cannot be read"):
        open_protocol("cfp-ff", copy)
