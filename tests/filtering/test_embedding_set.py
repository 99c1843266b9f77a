"""Sides of an audit: blocks, parts, centres, and files that are never whole in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulated_people import People, audit_alone, embeddings, names
from syper_data.errors import InputError
from syper_data.filtering import embedding_set
from syper_data.filtering.embedding_set import CentreBlocks, EmbeddingSet, require_same_images
from syper_data.recognition.embeddings import Embeddings


def whole(blocks: Any, rows: int) -> Any:
    starts, parts = zip(*blocks.blocks(rows), strict=True)
    assert list(starts) == np.cumsum([0, *(len(p) for p in parts[:-1])]).tolist()
    assert max(len(p) for p in parts) <= rows
    return np.concatenate(parts)


@pytest.mark.parametrize("rows", [1, 4, 100])
@pytest.mark.parametrize("on_disk", [False, True])
def test_parts_of_a_set_are_its_rows_in_blocks(rows: int, on_disk: bool, tmp_path: Path) -> None:
    given = People().images(names("p", 15), 2)
    given.write(tmp_path / "set.parquet")
    found = EmbeddingSet.of(tmp_path / "set.parquet" if on_disk else given, "reference")
    assert (whole(found.vectors, rows) == given.vectors).all()
    chosen = np.array([0, 3, 4, 17, 29])
    part = found.take(chosen)
    assert (whole(part.vectors, rows) == given.vectors[chosen]).all()
    assert part.subjects == [f"p{i // 2}" for i in chosen]
    assert (part.take(np.array([1, 4])).gather([1, 0, 1]) == given.vectors[[29, 3, 29]]).all()
    assert len(part) == len(part.vectors) == 5


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_centres_are_normalised_means_whatever_the_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_set, "_CENTRES", 5)
    given = People().images(names("p", 9), 3)
    found = EmbeddingSet.of(given, "reference")
    centres = whole(CentreBlocks(found.vectors, found.eyes), rows)
    order = sorted({f"p{i}" for i in range(9)})
    for i, name in enumerate(order):
        mean = given.vectors[[s == name for s in found.subjects]].mean(0)
        assert centres[i] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


def test_the_centre_of_opposite_vectors_is_still_a_direction() -> None:
    found = EmbeddingSet.of(embeddings([[1.0, 0], [-1.0, 0]], subjects=["a", "a"]), "reference")
    assert np.linalg.norm(whole(CentreBlocks(found.vectors, found.eyes), 5)) == pytest.approx(1)


def test_people_and_eyes_are_told_apart_and_unlabelled_images_are_all_their_own() -> None:
    given = People().images(["a", "a", "b", "b"])
    sides = given.table.set_column(
        given.table.column_names.index("side"), "side", [["image_left", "image_right", "image_left", "image_left"]]
    )
    found = EmbeddingSet.of(Embeddings(given.vectors, sides, "a" * 64, "n"), "reference")
    assert found.people.tolist() == [0, 0, 1, 1]
    assert found.eyes.tolist() == [0, 1, 2, 2]
    partly = EmbeddingSet.of(embeddings(given.vectors, subjects=["a", None, "b", "b"]), "reference")
    assert not partly.labelled
    assert partly.people.tolist() == partly.eyes.tolist() == [0, 1, 2, 3]


def test_an_audit_of_files_reads_them_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    who = People()
    parts = {"synthetic": who.images(["x"]), "reference": who.images(names("r", 700), 20)}
    for name, part in parts.items():
        part.write(tmp_path / name)
    sizes: list[int] = []
    blocks = Embeddings.blocks.__func__  # type: ignore[attr-defined]

    def watched(cls: Any, path: Any, rows: int) -> Iterator[Embeddings]:
        for block in blocks(cls, path, rows):
            sizes.append(len(block.vectors))
            yield block

    monkeypatch.setattr(Embeddings, "blocks", classmethod(watched))
    audit_alone(tmp_path / "synthetic", tmp_path / "reference", repeats=10)
    assert max(sizes) <= 8192 < 14_000


def test_sets_of_other_images_are_told_apart() -> None:
    a, b = (EmbeddingSet.of(People().images(["p", "q"], take=t), f"set {t}") for t in (0, 1))
    require_same_images(a, a)
    with pytest.raises(InputError, match="row 0 is 0-0/0 in the set 0 set and 0-1/0 in the set 1 set"):
        require_same_images(a, b)
