"""Files of embeddings: what is written comes back, what is wrong is one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syper_data.errors import InputError, OutputError
from syper_data.recognition.embedding_table import NotEmbedded, read_header
from syper_data.recognition.embeddings import Embeddings, reasons, require_same_embedder

SHA = "ab" * 32


def some(n: int = 10, d: int = 128, sha256: str = SHA, **columns: Any) -> Embeddings:
    """Random vectors of length 1; subjects a, b, a, b, ..."""
    raw = np.random.default_rng(n).normal(size=(n, d)).astype(np.float32)
    table = {
        "source_id": [f"{i}.png" for i in range(n)],
        "subject": ["ab"[i % 2] for i in range(n)],
        "seed": [None if i % 3 else i for i in range(n)],
        "pixel_sha256": [hashlib.sha256(bytes([i % 256])).hexdigest() for i in range(n)],
    }
    vectors = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    return Embeddings(vectors, pa.table({**table, **columns}), sha256, "some-v1")


def test_what_is_written_comes_back_bit_by_bit(tmp_path: Path) -> None:
    made = some(5000)
    lost = (NotEmbedded("x.png", "x.png: not a decodable image"),)
    made = Embeddings(made.vectors, made.table, made.embedder_sha256, made.embedder_name, lost)
    made.write(tmp_path / "e.parquet")
    found = Embeddings.read(tmp_path / "e.parquet")
    assert found.vectors.tobytes() == made.vectors.tobytes()
    assert found.table.equals(made.table)
    assert (found.embedder_name, found.embedder_sha256, found.dim, len(found)) == ("some-v1", SHA, 128, 5000)
    assert found.unreadable == lost
    header = read_header(tmp_path / "e.parquet")
    assert (header.rows, header.dim, header.unreadable) == (5000, 128, lost)
    made.write(tmp_path / "again.parquet")
    assert (tmp_path / "e.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()


def test_whom_the_recognizer_knows_comes_back_and_older_files_do_not_say_it(tmp_path: Path) -> None:
    known = replace(some(4), identities=frozenset({"0" * 64, "f" * 64}), spectrum="nir")
    known.write(tmp_path / "e.parquet")
    for found in (Embeddings.read(tmp_path / "e.parquet"), next(Embeddings.blocks(tmp_path / "e.parquet", 2))):
        assert (found.identities, found.spectrum) == (known.identities, "nir")
    assert known.select([1]).header == replace(read_header(tmp_path / "e.parquet"), rows=1)
    nobody = replace(known, identities=frozenset())
    nobody.write(tmp_path / "e.parquet")
    assert read_header(tmp_path / "e.parquet").identities == frozenset()
    some(4).write(tmp_path / "e.parquet")
    said = json.loads(pq.read_schema(tmp_path / "e.parquet").metadata[b"syper_embeddings"])
    assert said["embedder"] == {"name": "some-v1", "sha256": SHA}
    assert read_header(tmp_path / "e.parquet").identities is None


def test_other_readers_find_a_plain_table(tmp_path: Path) -> None:
    made = some(3)
    made.write(tmp_path / "e.parquet")
    table = pq.read_table(tmp_path / "e.parquet")
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 128)
    assert np.array_equal(np.array(table["embedding"].to_pylist(), np.float32), made.vectors)
    assert table["subject"].to_pylist() == ["a", "b", "a"]
    assert table["label"].to_pylist() == [None] * 3


def test_blocks_are_the_rows_in_order_a_few_at_a_time(tmp_path: Path) -> None:
    made = some(10000, 128)
    made.write(tmp_path / "e.parquet")
    blocks = list(Embeddings.blocks(tmp_path / "e.parquet", 999))
    assert max(len(b) for b in blocks) <= 999
    assert np.concatenate([b.vectors for b in blocks]).tobytes() == made.vectors.tobytes()
    assert [s for b in blocks for s in b.table["source_id"].to_pylist()] == made.table["source_id"].to_pylist()
    assert all(b.embedder_sha256 == SHA for b in blocks)


def test_no_row_is_a_file_too(tmp_path: Path) -> None:
    some(3).select([]).write(tmp_path / "e.parquet")
    found = Embeddings.read(tmp_path / "e.parquet")
    assert (len(found), found.dim, found.vectors.shape) == (0, 128, (0, 128))
    assert all(len(b) == 0 for b in Embeddings.blocks(tmp_path / "e.parquet"))


def test_rows_are_selected_by_number_or_by_truth() -> None:
    made = some(4)
    assert made.select([3, 1]).table["source_id"].to_pylist() == ["3.png", "1.png"]
    assert np.array_equal(made.select([3, 1]).vectors, made.vectors[[3, 1]])
    chosen = made.select(np.array([False, True, True, False]))
    assert chosen.table["source_id"].to_pylist() == ["1.png", "2.png"]
    assert np.array_equal(chosen.vectors, made.vectors[1:3])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda v: v.__setitem__((2, 5), np.nan), "row 2: the embedding holds values that are not finite"),
        (lambda v: v.__setitem__((2, 5), np.inf), "row 2: the embedding holds values that are not finite"),
        (lambda v: v.__setitem__(3, 2 * v[3]), "row 3: the embedding has length 2, not 1"),
        (lambda v: v.__setitem__(0, 0), "row 0: the embedding has length 0, not 1"),
    ],
)
def test_vectors_that_are_no_embeddings_are_refused(
    tmp_path: Path, change: Callable[[np.ndarray], None], text: str
) -> None:
    made = some(4)
    vectors = made.vectors.copy()
    change(vectors)
    with pytest.raises(InputError, match=text):
        Embeddings(vectors, made.table, SHA, "n")
    made.write(tmp_path / "e.parquet")
    table = pq.read_table(tmp_path / "e.parquet")
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 128)
    damaged = table.set_column(table.schema.get_field_index("embedding"), "embedding", column)
    pq.write_table(damaged, tmp_path / "e.parquet")
    with pytest.raises(InputError, match=rf"e\.parquet, {text}"):
        Embeddings.read(tmp_path / "e.parquet")
    with pytest.raises(InputError, match=text):
        list(Embeddings.blocks(tmp_path / "e.parquet", 2))


def test_arrays_and_tables_that_do_not_fit_are_refused() -> None:
    made = some(4)
    with pytest.raises(InputError, match="4 embeddings and 3 rows"):
        Embeddings(made.vectors, made.table.slice(0, 3), SHA, "n")
    with pytest.raises(InputError, match=r"float64 \[4, 128\]: must be float32"):
        Embeddings(made.vectors.astype(np.float64), made.table, SHA, "n")
    with pytest.raises(InputError, match="unknown column 'person'"):
        Embeddings(made.vectors, made.table.append_column("person", made.table["subject"]), SHA, "n")
    with pytest.raises(InputError, match="columns are not those of embeddings"):
        some(2, label=["one", "two"])


def rewritten(path: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    some(4).write(path)
    pq.write_table(change(pq.read_table(path)), path)
    return path


def about(**changes: Any) -> Callable[[pa.Table], pa.Table]:
    """Another metadata entry."""

    def change(table: pa.Table) -> pa.Table:
        old = json.loads(table.schema.metadata[b"syper_embeddings"])
        return table.replace_schema_metadata({b"syper_embeddings": json.dumps({**old, **changes})})

    return change


WRONG: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "no metadata": (
        lambda t: t.replace_schema_metadata(None),
        "no file of embeddings; syper-data embed",
    ),
    "metadata no JSON": (
        lambda t: t.replace_schema_metadata({b"syper_embeddings": b"{"}),
        "say not what embedded",
    ),
    "no embedder": (about(embedder=None), "say not what embedded it"),
    "people who are no digests": (
        about(embedder={"name": "n", "sha256": SHA, "identities": ["anna"]}),
        "say not what embedded it",
    ),
    "people who are no list": (
        about(embedder={"name": "n", "sha256": SHA, "identities": "0"}),
        "say not what embedded it",
    ),
    "an unknown spectrum": (
        about(embedder={"name": "n", "sha256": SHA, "spectrum": ["x"]}),
        "say not what embedded it",
    ),
    "another version": (about(format=9), "format version 9, this toolkit reads 1"),
    "another dimension": (about(dim=512), "columns are not those of embeddings of 512 values"),
    "dimension no number": (about(dim="x"), "columns are not those"),
    "a column less": (lambda t: t.drop_columns(["seed"]), "columns are not those"),
    "doubles": (
        lambda t: t.set_column(8, "embedding", t["embedding"].cast(pa.list_(pa.float64(), 128))),
        "columns are not those",
    ),
    "a null": (
        lambda t: t.set_column(
            8, "embedding", pa.array([None, *t["embedding"].to_pylist()[1:]], t.schema[8].type)
        ),
        "rows 0 to 3: an embedding is null",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_file_is_refused(tmp_path: Path, name: str) -> None:
    change, text = WRONG[name]
    path = rewritten(tmp_path / "e.parquet", change)
    with pytest.raises(InputError, match=text) as caught:
        Embeddings.read(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_damaged_or_absent_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    some(2000).write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match="not a readable Parquet file"):
        Embeddings.read(path)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(InputError, match="damaged"):
        Embeddings.read(path)
    with pytest.raises(InputError, match="not a readable Parquet file"):
        Embeddings.read(tmp_path / "absent")
    with pytest.raises(OutputError, match="cannot be written"):
        some(2).write(tmp_path)


def test_embeddings_of_two_recognizers_do_not_mix() -> None:
    require_same_embedder(some(2), some(3))
    with pytest.raises(InputError, match=r"recognizers, some-v1 \(SHA-256 abab.*\) and some-v1 \(SHA-256 cd"):
        require_same_embedder(some(2), some(3), some(2, sha256="cd" * 32))


def test_reasons_are_counted_without_their_places() -> None:
    lost = [NotEmbedded(n, f"/data/{n}: not a decodable image (truncated)") for n in ("a", "b")]
    assert reasons([*lost, NotEmbedded("c", "c: 2x1 pixels")]) == [
        ("not a decodable image (truncated)", 2),
        ("2x1 pixels", 1),
    ]
