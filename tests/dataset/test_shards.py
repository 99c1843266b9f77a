from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syper_data.dataset.shards import Row, check_shard, open_shard, read_shard, write_shard
from syper_data.errors import InputError


def rows(count: int) -> list[Row]:
    return [Row(bytes([i % 256]) * 40, f"{i}.png", i, i % 3 or None, "nir", f"{i:064x}") for i in range(count)]


def test_a_shard_reads_back_and_has_groups_of_100_with_a_page_index(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    write_shard(path, rows(250))
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [100, 100, 50]
    assert file.metadata.row_group(0).column(2).has_offset_index
    back = list(read_shard(path))
    assert [r["seed"] for r in back] == list(range(250))
    assert back[7] == {
        "image": {"bytes": b"\x07" * 40, "path": "7.png"},
        "seed": 7,
        "label": 1,
        "spectrum": "nir",
        "pixel_sha256": f"{7:064x}",
    }


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    write_shard(tmp_path / "a", rows(120))
    write_shard(tmp_path / "b", iter(rows(120)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_truncated_shard_is_one_clear_error(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "s.parquet"
    write_shard(path, rows(30))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"s\.parquet: (truncated|damaged)") as caught:
        list(read_shard(path))
    assert "\n" not in str(caught.value)


def test_a_parquet_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "s.parquet")
    with pytest.raises(InputError, match="columns"):
        open_shard(tmp_path / "s.parquet")


def test_keys_other_than_planned_are_named_with_their_row(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    write_shard(path, rows(5))
    keys = [(r.seed, r.label) for r in rows(5)]
    check_shard(path, keys)
    with pytest.raises(InputError, match="row 3"):
        check_shard(path, [*keys[:3], (99, None), keys[4]])
    with pytest.raises(InputError, match="5 rows, the manifest plans 4"):
        check_shard(path, keys[:4])
