"""A fold's digest says what is compared, whatever form it has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from syper_data.protocols import protocol
from syper_data.protocols.protocol import AllComparisons, Fold, Identification, ListedComparisons


def fold(people: int) -> Fold:
    subject = np.repeat(np.arange(people), 2)
    names = tuple(f"{i}.png" for i in range(2 * people))
    return Fold("1", names, subject, subject, tuple(f"p{i}" for i in range(people)), AllComparisons())


def listed(rule: Fold) -> Fold:
    """The same comparisons, written out."""
    columns = [np.concatenate(column) for column in zip(*rule.comparisons.blocks(rule), strict=True)]
    return Fold(
        rule.name, rule.images, rule.identity, rule.subject, rule.subject_names, ListedComparisons(*columns)
    )


def test_a_rule_and_its_list_have_one_digest_over_many_blocks() -> None:
    rule = fold(750)
    assert rule.templates**2 > 2 * protocol.BLOCK  # several blocks
    assert listed(rule).sha256() == rule.sha256()


def test_another_comparison_label_or_image_gives_another_digest() -> None:
    rule = fold(6)
    same = listed(rule)
    lists = same.comparisons
    assert isinstance(lists, ListedComparisons)
    other = [
        ListedComparisons(lists.probe[1:], lists.reference[1:], lists.mated[1:]),
        ListedComparisons(lists.probe, lists.reference, ~lists.mated),
        ListedComparisons(lists.reference, lists.probe, lists.mated),
    ]
    found = {
        Fold("1", rule.images, rule.identity, rule.subject, rule.subject_names, comparisons).sha256()
        for comparisons in (lists, *other)
    }
    renamed = Fold("1", ("x", *rule.images[1:]), rule.identity, rule.subject, rule.subject_names, lists).sha256()
    assert len(found | {renamed}) == 5


def test_another_gallery_or_other_parts_give_another_digest() -> None:
    rule, rows = fold(6), np.arange(12)
    others = [replace(rule, identification=Identification(rows[k:], rows[:k])) for k in (2, 3)] + [
        replace(rule, parts=(rows[:k], rows[k:])) for k in (2, 3)
    ]
    assert len({one.sha256() for one in (rule, *others)}) == 5
    assert replace(rule).sha256() == rule.sha256()
