"""All comparisons of a set against a double loop."""

from __future__ import annotations

import numpy as np
import pytest

from syper_data.errors import InputError, UsageError
from syper_data.metrics.pairs import all_pairs, listed_pairs

RNG = np.random.default_rng(0)


def people(count: int = 6, images: int = 3, d: int = 8) -> tuple[np.ndarray, list[str], list[str], list[str]]:
    """Two eyes a person, ``images`` images an eye, shuffled: vectors, eyes, people, sides."""
    rng = np.random.default_rng(1)
    rows = [(f"p{p}", side) for p in range(count) for side in ("left", "right") for _ in range(images)]
    rng.shuffle(rows)
    vectors = rng.normal(size=(len(rows), d)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, [f"{p}/{s}" for p, s in rows], [p for p, _ in rows], [s for _, s in rows]


@pytest.mark.parametrize("block", [5, 7, 1000])
@pytest.mark.parametrize("same_side", [False, True])
def test_every_pair_is_compared_once_and_other_eyes_of_a_person_never(block: int, same_side: bool) -> None:
    vectors, eyes, persons, sides = people()
    found = all_pairs(vectors, eyes, persons, sides if same_side else None, block=block)
    mated, nonmated, left_out = [], [], 0
    for i in range(len(vectors)):
        for j in range(i + 1, len(vectors)):
            if same_side and sides[i] != sides[j]:
                continue
            score = float(vectors[i] @ vectors[j])
            if eyes[i] == eyes[j]:
                mated.append((score, persons[i]))
            elif persons[i] != persons[j]:
                nonmated.append((score, *sorted((persons[i], persons[j]))))
            else:
                left_out += 1
    names = sorted(set(persons))
    assert sorted(zip(found.mated.tolist(), [names[s] for s in found.mated_subject], strict=True)) == [
        (pytest.approx(s, abs=1e-6), p) for s, p in sorted(mated)
    ]
    listed = sorted(
        (s, *sorted((names[a], names[b])))
        for s, a, b in zip(found.nonmated.tolist(), found.first, found.second, strict=True)
    )
    assert listed == [(pytest.approx(s, abs=1e-6), a, b) for s, a, b in sorted(nonmated)]
    assert found.left_out == left_out
    assert (found.subjects, found.identities, found.drawn) == (6, 12, 1.0)
    assert found.independent == (2 * 15 if same_side else 12 * 11 // 2 - 6)  # pairs of eyes of two people


def test_too_many_nonmated_comparisons_are_drawn_by_seed_whatever_the_blocks() -> None:
    vectors, eyes, persons, _ = people(20, 4)
    found = [all_pairs(vectors, eyes, persons, most_nonmated=2000, seed=3, block=b) for b in (16, 50, 999)]
    total = 160 * 159 // 2 - 20 * 28
    assert found[0].drawn == pytest.approx(2000 / total)
    assert len(found[0].nonmated) == pytest.approx(2000, abs=150)
    assert len(found[0].mated) == 40 * 6
    for other in found[1:]:
        assert sorted(zip(found[0].first, found[0].second, strict=True)) == sorted(
            zip(other.first, other.second, strict=True)
        )
        assert np.sort(found[0].nonmated) == pytest.approx(np.sort(other.nonmated), abs=1e-6)
    other = all_pairs(vectors, eyes, persons, most_nonmated=2000, seed=4)
    assert sorted(other.nonmated) != sorted(found[0].nonmated)


def test_listed_pairs_are_mated_where_the_identities_agree() -> None:
    vectors, eyes, persons, _ = people()
    i = [0, 5, 7]
    same = next(j for j in range(1, len(eyes)) if eyes[j] == eyes[0])
    other = [next(j for j in range(len(eyes)) if persons[j] != persons[k]) for k in (5, 7)]
    found = listed_pairs(vectors, i, [same, *other], eyes, persons)
    assert found.mated.tolist() == pytest.approx([vectors[0] @ vectors[same]])
    assert found.nonmated.tolist() == pytest.approx(
        [vectors[5] @ vectors[other[0]], vectors[7] @ vectors[other[1]]]
    )
    assert found.subjects == len({persons[k] for k in (0, 5, 7, *other)})
    wrong = next(j for j in range(len(eyes)) if persons[j] == persons[0] and eyes[j] != eyes[0])
    with pytest.raises(InputError, match="pair 1 shows two eyes of one person"):
        listed_pairs(vectors, [0, 0], [same, wrong], eyes, persons)


def test_labels_that_contradict_each_other_or_the_vectors_are_refused() -> None:
    vectors = np.eye(3, dtype=np.float32)
    with pytest.raises(InputError, match="row 0: its identity has images of two people"):
        all_pairs(vectors, ["a", "a", "b"], ["p", "q", "r"])
    with pytest.raises(UsageError, match="3 vectors need 3 labels"):
        all_pairs(vectors, ["a"], ["p", "q", "r"])
