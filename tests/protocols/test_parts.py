"""A few of View 2's parts as a fold."""

from __future__ import annotations

import numpy as np
import pytest

from syper_data.errors import InputError
from syper_data.protocols.parts import only_parts
from syper_data.protocols.protocol import AllComparisons, Fold, ListedComparisons


def ten_parts() -> Fold:
    """Part k compares images 3k, 3k + 1 (one person) and 3k, 3k + 2 (another person)."""
    k = np.repeat(np.arange(10), 2) * 3
    subject = np.arange(30) - (np.arange(30) % 3 == 1)
    return Fold(
        "view2",
        images=tuple(f"i{n}" for n in range(30)),
        identity=subject,
        subject=np.unique(subject, return_inverse=True)[1],
        subject_names=tuple(f"p{n}" for n in np.unique(subject)),
        comparisons=ListedComparisons(k, k + np.tile([1, 2], 10), np.tile([True, False], 10)),
        parts=tuple(np.array([2 * n, 2 * n + 1]) for n in range(10)),
    )


def test_only_the_chosen_parts_with_their_images_and_people_remain() -> None:
    fold = only_parts(ten_parts(), [6, 10], "6 and 10")
    assert fold.name == "6 and 10"
    assert fold.images == ("i15", "i16", "i17", "i27", "i28", "i29")
    assert fold.subject_names == ("p15", "p17", "p27", "p29")
    seen = [
        (fold.images[p], fold.images[r], bool(m))
        for probe, reference, mated in fold.comparisons.blocks(fold)
        for p, r, m in zip(probe, reference, mated, strict=True)
    ]
    assert seen == [("i15", "i16", True), ("i15", "i17", False), ("i27", "i28", True), ("i27", "i29", False)]
    assert fold.parts is not None
    assert [part.tolist() for part in fold.parts] == [[0, 1], [2, 3]]
    for probe, reference, mated in fold.comparisons.blocks(fold):
        assert ((fold.identity[probe] == fold.identity[reference]) == mated).all()
        assert ((fold.subject[probe] == fold.subject[reference]) == mated).all()


@pytest.mark.parametrize("parts", [[], [0], [11], [6, 6]])
def test_parts_that_are_not_there_are_refused(parts: list[int]) -> None:
    with pytest.raises(InputError, match=r"must be some of 1..10, each once"):
        only_parts(ten_parts(), parts)


def test_a_fold_without_parts_has_none_to_choose() -> None:
    whole = Fold("1", ("a", "b"), np.arange(2), np.arange(2), ("x", "y"), AllComparisons())
    with pytest.raises(InputError, match="fold 1: is not made of parts"):
        only_parts(whole, [1])
