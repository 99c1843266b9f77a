"""scores.parquet: the same figures without network or images, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drawn_folds import drawn_fold, drawn_vectors
from syper_data.benchmarking.figures import figures
from syper_data.benchmarking.paired import paired_difference
from syper_data.benchmarking.scores_file import KEY, read_scores, write_scores
from syper_data.benchmarking.scoring import FoldScores, score_fold
from syper_data.errors import InputError, UsageError
from syper_data.protocols.protocol import Fold


def two_models(*, parts: bool = True) -> tuple[Fold, dict[str, FoldScores]]:
    fold = drawn_fold(10, 3, searches=True, training=frozenset({"x"}))
    if parts:
        rows = np.arange(sum(fold.counts()))
        fold = replace(fold, parts=tuple(np.array_split(np.random.default_rng(0).permutation(rows), 10)))
    first = drawn_vectors(fold.identity, 1)
    first[::9] = np.nan
    return fold, {"first": score_fold(fold, first), "second": score_fold(fold, drawn_vectors(fold.identity, 2))}


def test_figures_of_the_file_equal_those_of_the_run_bit_for_bit(tmp_path: Path) -> None:
    fold, scores = two_models()
    write_scores(tmp_path / "scores.parquet", fold, scores)
    again, read = read_scores(tmp_path / "scores.parquet")
    assert list(read) == ["first", "second"]
    for name in scores:
        before = figures(fold, scores[name], repeats=20, paper_compat=True)
        after = figures(again, read[name], repeats=20, paper_compat=True)
        assert json.dumps(before.to_dict()) == json.dumps(after.to_dict())
    assert paired_difference(again, *read.values(), repeats=20) == paired_difference(
        fold, *scores.values(), repeats=20
    )
    assert again.images == fold.images
    assert again.training == fold.training
    assert (again.identity == fold.identity).all()


def test_the_file_is_a_table_that_anybody_can_read(tmp_path: Path) -> None:
    fold, scores = two_models(parts=False)
    write_scores(tmp_path / "scores.parquet", fold, scores)
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table.column_names == ["probe", "reference", "mated", "score:first", "score:second"]
    assert table.column("score:second").to_numpy().tolist() == scores["second"].score.tolist()
    assert json.loads(table.schema.metadata[KEY])["fold"]["sha256"] == fold.sha256()


def test_scores_of_other_comparisons_are_not_written_together(tmp_path: Path) -> None:
    fold, scores = two_models(parts=False)
    scores["second"].probe[0] = 7
    with pytest.raises(UsageError, match="scores of second are not of the same comparisons"):
        write_scores(tmp_path / "scores.parquet", fold, scores)
    with pytest.raises(UsageError, match="no scores to write"):
        write_scores(tmp_path / "scores.parquet", fold, {})
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_file_of_scores_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    with pytest.raises(InputError, match="no such file"):
        read_scores(path)
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_scores(path)
    pq.write_table(pa.table({"probe": [1]}), path)
    with pytest.raises(InputError, match="not a file of scores that write_scores made"):
        read_scores(path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: r | {"schema": "syper-scores/9"}, "has the format syper-scores/9; this version reads"),
        (lambda r: r | {"models": {"third": r["models"]["first"]}}, "not a file of scores"),
        (lambda r: r | {"fold": r["fold"] | {"identity": ["|O8", "AAAA"]}}, "an array is of the kind"),
        (lambda r: r | {"fold": r["fold"] | {"identity": ["<i8", "?"]}}, "not a file of scores"),
        (lambda r: r | {"fold": r["fold"] | {"images": ["a.png"]}}, "1 templates have 60 identities"),
        (lambda r: r | {"fold": r["fold"] | {"sha256": "0" * 64}}, "does not have the digest that it names"),
        (lambda r: r | {"fold": r["fold"] | {"images": [*r["fold"]["images"][1:], "x"]}}, "not have the digest"),
        (lambda r: r | {"fold": {k: v for k, v in r["fold"].items() if k != "sha256"}}, "not have the digest"),
        (lambda r: [], "not a file of scores"),
    ],
)
def test_a_changed_record_is_refused(tmp_path: Path, change, text: str) -> None:  # type: ignore[no-untyped-def]
    fold, scores = two_models(parts=False)
    path = tmp_path / "scores.parquet"
    write_scores(path, fold, scores)
    table = pq.read_table(path)
    record = change(json.loads(table.schema.metadata[KEY]))
    pq.write_table(table.replace_schema_metadata({KEY: json.dumps(record)}), path)
    with pytest.raises(InputError, match=text):
        read_scores(path)


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [(3, np.nan, "row 4: the score"), (0, 60, "template beyond the 60"), (0, 59, "not have the digest")],
)
def test_a_changed_column_is_refused(tmp_path: Path, column: int, value: float, text: str) -> None:
    fold, scores = two_models(parts=False)
    path = tmp_path / "scores.parquet"
    write_scores(path, fold, scores)
    table = pq.read_table(path)
    changed = table.column(column).to_numpy().copy()
    changed[4] = value
    pq.write_table(table.set_column(column, table.schema.field(column).name, pa.array(changed)), path)
    with pytest.raises(InputError, match=text):
        read_scores(path)
