"""Pair lists of one's own, CSV and Parquet."""

from __future__ import annotations

import os
from itertools import combinations, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from published_layouts import noise_png, write_images, write_lines
from syper_data.errors import InputError
from syper_data.imaging.source import SourceImage
from syper_data.protocols.protocol import Protocol
from syper_data.protocols.reading import open_protocol

ROWS = ("a/1.png,a/2.png,1", "a/1.png,b/1.png,0", "b/1.png,b/image_left/2.png,true", "a/2.png,c.png,False")
WITH_PEOPLE = (
    "probe,reference,mated,probe_subject,reference_subject",
    "a/1.png,a/2.png,1,007,007",
    "a/1.png,b/1.png,0,007,Bo",
)


def listed(root: Path, *rows: str, header: str = "probe,reference,mated", end: str = "\n") -> Protocol:
    write_lines(root / "pairs.csv", [header, *rows], end)
    return open_protocol("pairs", root)


def test_people_are_what_mated_pairs_join(tmp_path: Path) -> None:
    protocol = listed(tmp_path, *ROWS)
    (fold,) = protocol.folds
    assert fold.images == ("a/1.png", "a/2.png", "b/1.png", "b/image_left/2.png", "c.png")
    assert fold.identity.tolist() == [0, 0, 1, 1, 2]
    assert fold.counts() == (2, 2)
    assert not fold.named
    assert any("names nobody" in note for note in protocol.notes)


def test_parquet_line_ends_a_mark_and_a_missing_newline_change_nothing(tmp_path: Path) -> None:
    digest = listed(tmp_path, *ROWS).folds[0].sha256()
    assert listed(tmp_path, *ROWS, end="\r\n").folds[0].sha256() == digest
    text = "\n".join(["probe,reference,mated", "", *ROWS]).encode()
    (tmp_path / "pairs.csv").write_bytes(b"\xef\xbb\xbf" + text)
    assert open_protocol("pairs", tmp_path).folds[0].sha256() == digest
    columns = list(zip(*(row.split(",") for row in ROWS), strict=True))
    mated = [value in ("1", "true") for value in columns[2]]
    pq.write_table(
        pa.table({"probe": columns[0], "reference": columns[1], "mated": mated}), tmp_path / "p.parquet"
    )
    assert open_protocol("pairs", tmp_path / "p.parquet").folds[0].sha256() == digest


def test_images_are_files_beside_the_list_or_rows_of_a_table(tmp_path: Path) -> None:
    protocol = listed(tmp_path, *ROWS)
    with pytest.raises(InputError, match=r"5 of 5 images of the protocol are missing, the first is a/1\.png"):
        protocol.pictures.read(protocol.folds[0].images)
    write_images(tmp_path, protocol.folds[0].images)
    sides = [e.side for e in protocol.pictures.read(protocol.folds[0].images) if isinstance(e, SourceImage)]
    assert sides == [None, None, None, "image_left", None]
    cells = [{"bytes": noise_png(i), "path": name} for i, name in enumerate(("x.png", "y.png", "z.png"))]
    pq.write_table(pa.table({"image": cells}), tmp_path / "t.parquet")
    write_lines(tmp_path / "pairs.csv", ["probe,reference,mated", "x.png,z.png,1", "y.png,z.png,0"])
    protocol = open_protocol("pairs", tmp_path, images=tmp_path / "t.parquet")
    assert [e.source_id for e in protocol.pictures.read(protocol.folds[0].images)] == [
        "t.parquet#0", "t.parquet#1", "t.parquet#2",
    ]  # fmt: skip


def test_named_people_are_taken_as_they_are_written(tmp_path: Path) -> None:
    write_lines(tmp_path / "pairs.csv", [*WITH_PEOPLE, "a/1.png,a/3.png,0,007,007"])
    protocol = open_protocol("pairs", tmp_path)
    (fold,) = protocol.folds
    assert fold.subject_names == ("007", "Bo")
    assert fold.subject.tolist() == [0, 0, 0, 1]
    assert len(set(fold.identity.tolist())) == 3  # the third image is of another eye of 007
    assert protocol.notes == ("1 non-mated comparisons are of one person: kept, as listed",)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a/1.png,a/1.png,1", "line 6: a/1.png is compared with itself"),
        ("a/2.png,a/1.png,1", "line 6: the same two images as in line 2; 'repeated: keep'"),
        ("a/2.png,a/1.png,0", "line 6: the same two images as in line 2, with another label"),
        ("a/1.png,d.png,yes", "line 6: the label is 'yes': must be 0 or 1"),
        ("a/1.png,d.png,", "line 6: an empty cell"),
        (",d.png,1", "line 6: an empty cell"),
        ("../x.png,d.png,1", r"line 6: '../x.png' leaves the folder"),
        ("a/1.png,/etc/passwd,1", r"line 6: '/etc/passwd' leaves the folder"),
        ("a/1.png", "not a readable list .*Expected 3 columns"),
        (
            "b/image_left/2.png,a/2.png,1",
            "line 3: the wrong label: non-mated, but mated pairs of the list join them",
        ),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        listed(tmp_path, *ROWS, row)
    assert "\n" not in str(caught.value)
    assert "pairs.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a/1.png,d.png,1,007,Bo", "line 4: the wrong label: mated, but of two people"),
        ("b/1.png,d.png,1,Carl,Carl", "line (3|4): b/1.png is another person's in another row"),
        ("b/1.png,d.png,1,Bo,", "line 4: an empty cell"),
    ],
)
def test_people_must_fit_the_labels(tmp_path: Path, row: str, said: str) -> None:
    write_lines(tmp_path / "pairs.csv", [*WITH_PEOPLE, row])
    with pytest.raises(InputError, match=said):
        open_protocol("pairs", tmp_path)


def test_a_list_without_a_column_rows_or_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'mated'; it has probe, reference"):
        listed(tmp_path, "a.png,b.png", header="probe,reference")
    with pytest.raises(InputError, match="lists nothing"):
        listed(tmp_path)
    with pytest.raises(InputError, match="two columns have one name"):
        listed(tmp_path, "a,b,c", header="probe,probe,mated")
    for data in (b"", b"\xff\xfe\x00\x01", b"PK\x03\x04\x80\x81"):
        (tmp_path / "pairs.csv").write_bytes(data)
        with pytest.raises(InputError, match=r"pairs\.csv"):
            open_protocol("pairs", tmp_path)
    (tmp_path / "pairs.csv").unlink()
    with pytest.raises(InputError, match=r"it must be named pairs\.csv or pairs\.parquet"):
        open_protocol("pairs", tmp_path)
    (tmp_path / "pairs.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"pairs\.parquet: not a readable list"):
        open_protocol("pairs", tmp_path)
    pq.write_table(pa.table({"probe": [1.5], "reference": ["a"], "mated": [1]}), tmp_path / "pairs.parquet")
    with pytest.raises(InputError, match="column 'probe' holds double"):
        open_protocol("pairs", tmp_path)


def test_own_names_of_columns_and_repeated_pairs_are_options(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "name: own\ntitle: x\ndataset: x\nreader: pairs\nfolds: [all]\n"
        "options: {file: list.csv, repeated: keep, columns: {probe: one, reference: two, mated: same}}\n"
    )
    write_lines(tmp_path / "list.csv", ["one,two,same", "001,2,1", "2,001,1", "001,3,0"])
    protocol = open_protocol(own, tmp_path)
    assert protocol.folds[0].images == ("001", "2", "3")
    assert protocol.folds[0].counts() == (2, 1)
    assert "1 comparisons are listed again" in protocol.notes


def test_two_million_rows_are_read_and_the_last_can_be_wrong(tmp_path: Path) -> None:
    m = 2_000_000
    images = [f"{i // 3}/{i}.png" for i in range(2001)]
    every = combinations(range(2001), 2)
    lines = [f"{images[a]},{images[b]},{int(a // 3 == b // 3)}" for a, b in islice(every, m)]
    (fold,) = listed(tmp_path, *lines).folds
    assert sum(fold.counts()) == m
    a, b, label = lines[0].split(",")
    with (tmp_path / "pairs.csv").open("a") as file:
        file.write(f"{b},{a},{label}{os.linesep}")
    with pytest.raises(InputError, match="line 2000002: the same two images as in line 2;"):
        open_protocol("pairs", tmp_path)
