"""UFPR-Periocular's text layout, read back by a parser that knows nothing of the toolkit."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from labelled_images import people, write_rows
from syper_data.errors import UsageError
from syper_data.protocols.making import make_protocol

GRAMMAR = re.compile(r"C([0-9]+)S([0-9]+)I([0-9]+)([LR])\.jpg")


def labels(path: Path) -> dict[str, int]:
    lines = path.read_bytes().decode("ascii").split("\n")
    assert lines.pop() == ""
    found = {name: int(label) for name, label in (line.split(" ") for line in lines)}
    assert len(found) == len(lines)
    assert all(GRAMMAR.fullmatch(name) for name in found)
    return found


def pairs(path: Path) -> list[tuple[str, str, bool]]:
    return [
        (a, b, {"1": True, "0": False}[c]) for a, b, c in (x.split(" ") for x in path.read_text().splitlines())
    ]


@pytest.mark.parametrize("kind", ["closed_world", "open_world", "open_world_valopen"])
def test_the_layout_says_what_the_protocol_does(tmp_path: Path, kind: str) -> None:
    source = write_rows(tmp_path / "eyes.parquet", people(9, 6))
    made = make_protocol(source, out=tmp_path / "made", kind=kind, ufpr=True)
    with (tmp_path / "made" / "names.csv").open(newline="") as file:
        ours = {row["ufpr_name"]: row for row in csv.DictReader(file)}
    assert len(ours) == 9 * 2 * 6
    root = tmp_path / "made" / "experimentalProtocol" / kind
    for fold in made.folds:
        test = labels(root / f"test_fold{fold.name}.txt")
        train = labels(root / f"train_fold{fold.name}.txt")
        val = labels(root / f"val_fold{fold.name}.txt")
        assert [ours[name]["name"] for name in test] == list(fold.images)
        assert not set(test) & set(train) | set(test) & set(val) | set(train) & set(val)
        for name, label in {**test, **train, **val}.items():
            number, _, _, eye = GRAMMAR.fullmatch(name).groups()  # type: ignore[union-attr]
            assert label == 2 * int(number) + (eye == "R")
            assert ours[name]["side"] == {"R": "image_left", "L": "image_right"}[eye]
        read = pairs(root / "test_pairs" / f"fold{fold.name}" / "pairs.txt")
        assert all(mated == (test[a] == test[b]) for a, b, mated in read)
        mated = sum(m for _, _, m in read)
        assert (mated, len(read) - mated) == fold.counts()
        assert len({frozenset(pair[:2]) for pair in read}) == len(read)


def test_what_the_layout_cannot_say_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sided = write_rows(tmp_path / "eyes.parquet", people(9, 3))
    with pytest.raises(UsageError, match="the layout can't say that both eyes of a person are mated"):
        make_protocol(sided, out=tmp_path / "made", across="side", ufpr=True)
    rows = [{"subject": r["subject"], "sample": f"{r['side']}{r['sample']}"} for r in people(9, 3)]
    unsided = write_rows(tmp_path / "faces.parquet", rows)
    with pytest.raises(UsageError, match=r"image '001/image_left1' names no side, which UFPR's names need"):
        make_protocol(unsided, out=tmp_path / "made", ufpr=True)
    monkeypatch.setattr("syper_data.protocols.ufpr_writing.MOST_PAIRS", 10)
    with pytest.raises(UsageError, match=r"fold 1 has 72 comparisons, more than 10 lines"):
        make_protocol(sided, out=tmp_path / "made", ufpr=True)
    assert not (tmp_path / "made").exists()
