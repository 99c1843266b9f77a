from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from syper_data.cropping.landmark_file import LandmarkFile
from syper_data.errors import InputError

CELEBA = " ".join(f"{p}_{a}" for p in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for a in "xy")
HEADER = "source_id,left_eye_x,left_eye_y,right_eye_x,right_eye_y"
FIVE = [[69, 109], [106, 113], [77, 142], [73, 152], [108, 154]]


def written(tmp_path: Path, name: str, text: str) -> LandmarkFile:
    (tmp_path / name).write_text(text, "utf-8")
    return LandmarkFile(tmp_path / name)


def ffhq(folder: str, size: int, shift: float) -> dict[str, object]:
    points = [[float(i) + shift, float(2 * i)] for i in range(68)]
    return {"file_path": f"{folder}/00000.png", "pixel_size": [size, size + 5], "face_landmarks": points}


def test_our_csv_takes_two_or_five_points_and_several_faces_a_photo(tmp_path: Path) -> None:
    file = written(tmp_path, "eyes.csv", f"{HEADER}\na.jpg,10,20,30,21\nsub/b.jpg,1,2,3,4\na.jpg,50,20,80,21.5\n")
    assert [f.landmarks.tolist() for f in file.faces(["a.jpg"], 100, 100)] == [
        [[10, 20], [30, 21]],
        [[50, 20], [80, 21.5]],
    ]
    assert file.faces(["sub/b.jpg"], 9, 9)[0].landmarks.tolist() == [[1, 2], [3, 4]]
    assert file.faces(["elsewhere/b.jpg"], 9, 9)[0].landmarks.shape == (2, 2)  # by the file's name
    assert file.faces(["c.jpg", None], 9, 9) == []


def test_celebas_text_and_csv_give_the_same_points(tmp_path: Path) -> None:
    numbers = [n for point in FIVE for n in point]
    text = f"2\n{CELEBA}\n000001.jpg  {'  '.join(map(str, numbers))}\n000002.jpg {' '.join(map(str, numbers))}\n"
    table = f"image_id,{CELEBA.replace(' ', ',')}\n000001.jpg,{','.join(map(str, numbers))}\n"
    for name, content in (("list_landmarks_align_celeba.txt", text), ("list_landmarks.csv", table)):
        assert written(tmp_path, name, content).faces(["000001.jpg"], 178, 218)[0].landmarks.tolist() == FIVE


def test_ffhqs_68_points_become_five_of_the_picture_whose_size_fits(tmp_path: Path) -> None:
    content = {"0": {"image": ffhq("images1024x1024", 1024, 0), "in_the_wild": ffhq("in-the-wild", 2000, 0.5)}}
    content["0"]["image"]["pixel_size"] = [1024, 1024]
    file = written(tmp_path, "ffhq.json", json.dumps(content))
    aligned = file.faces(["00000.png"], 1024, 1024)[0].landmarks
    assert aligned.tolist() == [[38.5, 77], [44.5, 89], [30, 60], [48, 96], [54, 108]]
    assert np.allclose(file.faces(["00000.png"], 2000, 2005)[0].landmarks[:, 0], aligned[:, 0] + 0.5)
    assert np.allclose(file.faces(["00000.png"], 256, 256)[0].landmarks, aligned / 4)  # a smaller copy
    assert file.faces(["00000.png"], 300, 200) == []


def test_our_json_holds_one_face_or_several(tmp_path: Path) -> None:
    file = written(tmp_path, "l.json", json.dumps({"a": [[1, 2], [3, 4]], "b": [FIVE, FIVE]}))
    assert file.faces(["a"], 9, 9)[0].landmarks.tolist() == [[1, 2], [3, 4]]
    assert len(file.faces(["b"], 9, 9)) == 2


def test_a_name_that_is_listed_under_two_paths_is_not_guessed(tmp_path: Path) -> None:
    file = written(tmp_path, "l.json", json.dumps({"x/a": [[1, 2], [3, 4]], "y/a": [[1, 2], [3, 4]]}))
    assert file.faces(["y/a"], 9, 9)
    with pytest.raises(InputError, match="a is listed under 2 paths"):
        file.faces(["a"], 9, 9)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "photo,x,y\na,1,2\n", "no known layout"),
        (
            "a.csv",
            f"{HEADER}\na,1,2,3\n",
            "line 2: needs a name and 4",
        ),
        (
            "a.csv",
            f"{HEADER}\na,1,2,3,nan\n",
            "line 2: a coordinate",
        ),
        ("a.csv", f"{HEADER}\n", "holds no landmarks"),
        ("a.txt", f"1\n{CELEBA}\n000001.jpg 1 2 3\n", "line 3: needs a name and 10"),
        ("a.json", "{", "not JSON"),
        ("a.json", "[]", "must look like"),
        ("a.json", '{"a": [[1, 2], [3, "x"]]}', "must be 2 or 5 points"),
        ("a.json", '{"0": {"image": {"file_path": "x"}}}', "lacks file_path, pixel_size or face_landmarks"),
        ("a.csv", "", "no known layout"),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_place(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        written(tmp_path, name, text)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
