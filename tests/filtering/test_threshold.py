"""The threshold's rule by hand, and its promise by simulation: false alarms at the rate that was asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syper_data.errors import UsageError
from syper_data.filtering.threshold import (
    DISJOINT,
    LEFT_OUT,
    Calibration,
    has_threshold,
    independent_pair_fmr,
    people_needed,
    resampled_fpir,
    threshold_at,
)


def of(values: Any, kind: str = DISJOINT, people: Any = None) -> Calibration:
    values = np.asarray(values, np.float32)
    return Calibration(values, np.arange(len(values)) if people is None else np.asarray(people), kind)


def share_at_least(found: Calibration, threshold: float) -> float:
    """Mean over people of the share of their images at or above the threshold."""
    shares = [(found.similarity[found.subjects == p] >= threshold).mean() for p in range(found.people)]
    return float(np.mean(shares))


def test_the_threshold_lies_just_above_the_similarity_that_may_not_be_flagged() -> None:
    values = np.arange(1, 20) / 20  # 19 people; at 10 % (1 + c) / 20 <= 0.1 allows one of them above
    t = threshold_at(of(values), 0.1)
    assert t == np.nextafter(np.float32(0.9), np.float32(1))
    assert (values.astype(np.float32) >= np.float32(t)).sum() == 1
    assert (values >= threshold_at(of(values), 0.05)).sum() == 0
    assert (values.astype(np.float32) >= threshold_at(of(values, LEFT_OUT), 0.1)).sum() == 0


def test_equal_similarities_are_flagged_together_or_not_at_all() -> None:
    t = threshold_at(of([0.1] * 10 + [0.5] * 9), 0.3)
    assert t > np.float32(0.5)
    assert threshold_at(of([0.1] * 10 + [0.5] * 9), 0.5) == np.nextafter(np.float32(0.1), np.float32(1))


def test_a_person_with_many_images_counts_once() -> None:
    values = [*np.arange(1, 20) / 20, *[0.94] * 5, *[0.2] * 5]  # the last person: half at 0.94, half at 0.2
    found = of(values, people=[*range(19), *[19] * 10])
    # (1 + c) / 21 <= 0.12 allows c <= 1.52: 0.95 and half of the last person
    assert threshold_at(found, 0.12) == np.nextafter(np.float32(0.9), np.float32(1))
    assert threshold_at(found, 0.1) == np.nextafter(np.float32(0.94), np.float32(1))
    assert share_at_least(found, 0.94) == pytest.approx(1.5 / 20)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), min_size=1, max_size=60), st.floats(0.02, 0.9))
def test_the_threshold_is_the_lowest_that_the_rule_allows(cases: list[tuple[int, int]], fpir: float) -> None:
    people = np.unique([p for p, _ in cases], return_inverse=True)[1]
    values = np.array([v for _, v in cases], np.float32)
    for kind, unseen in ((DISJOINT, 1), (LEFT_OUT, 2)):
        found = Calibration(values, people, kind)
        if not has_threshold(found, fpir):
            with pytest.raises(UsageError, match="needs"):
                threshold_at(found, fpir)
            continue

        def rule(t: float, found: Calibration = found, unseen: int = unseen) -> float:
            return (unseen + found.people * share_at_least(found, t)) / (found.people + 1)

        t = threshold_at(found, fpir)
        assert rule(t) <= fpir + 1e-6
        lower = float(np.nextafter(np.float32(t), np.float32(-1)))
        assert t == values.min() or rule(lower) > fpir


def test_the_number_of_people_that_an_fpir_needs() -> None:
    assert people_needed(0.01, DISJOINT) == 99
    assert people_needed(0.01, LEFT_OUT) == 199
    assert people_needed(0.001, DISJOINT) == 999
    threshold_at(of(np.arange(99)), 0.01)
    message = r"^the calibration holds 98 people, and --fpir 0.01 needs 99; give more people, or take"
    with pytest.raises(UsageError, match=message + r" --fpir 0.0102, a weaker audit$"):
        threshold_at(of(np.arange(98)), 0.01)
    threshold_at(of(np.arange(98)), 0.0102)
    with pytest.raises(UsageError, match="between 0 and 1"):
        threshold_at(of([1.0]), 1.0)


def test_the_pairwise_rate_of_the_issue() -> None:
    """At a pairwise FMR of 1e-4 a reference of 10,000 flags 63 % of the innocent."""
    assert independent_pair_fmr(0.632, 10_000) == pytest.approx(1e-4, rel=1e-3)


def groups(rng: Any, people: int, images: int) -> Any:
    """Simulated embeddings [people, images, d]: a Gaussian cluster on the sphere for each person."""
    x = rng.normal(size=(people, 1, 8)) + 0.5 * rng.normal(size=(people, images, 8))
    return x / np.linalg.norm(x, axis=2, keepdims=True)


@pytest.mark.parametrize("images", [1, 4])
def test_false_alarms_of_new_people_keep_the_fpir_with_disjoint_people(images: int) -> None:
    """Fresh reference, fresh calibration and fresh people, 400 times: the mean rate is what was asked."""
    rng, rates = np.random.default_rng(0), []
    for _ in range(400):
        reference = groups(rng, 30, 2).reshape(-1, 8)
        calibration = groups(rng, 59, images)
        nearest = (calibration @ reference.T).max(-1)
        t = threshold_at(of(nearest.ravel(), people=np.repeat(np.arange(59), images)), 0.05)
        rates.append(((groups(rng, 40, 1)[:, 0] @ reference.T).max(-1) >= t).mean())
    assert 0.03 < np.mean(rates) <= 0.05 + 3 * np.std(rates) / 20


@pytest.mark.parametrize("images", [1, 3])
def test_false_alarms_keep_the_fpir_with_people_left_out_in_turn_and_would_not_with_one_unseen(
    images: int,
) -> None:
    rng, rates, naive = np.random.default_rng(1), [], []
    for _ in range(400):
        reference = groups(rng, 60, images).reshape(-1, 8)
        people = np.repeat(np.arange(60), images)
        similarity = np.where(people[:, None] == people[None], -np.inf, reference @ reference.T).max(1)
        new = (groups(rng, 40, 1)[:, 0] @ reference.T).max(-1)
        rates.append((new >= threshold_at(of(similarity, LEFT_OUT, people), 0.05)).mean())
        naive.append((new >= threshold_at(of(similarity, DISJOINT, people), 0.05)).mean())
    error = np.std(rates) / 20
    assert 0.02 < np.mean(rates) <= 0.05 + 3 * error
    if images == 1:  # with more images a person, the promise of one unseen person happens to hold here
        assert np.mean(naive) > 0.05 + 2 * error


@pytest.mark.parametrize("kind", [DISJOINT, LEFT_OUT])
def test_the_resampled_rate_covers_the_rate_that_new_people_have(kind: str) -> None:
    rng, inside = np.random.default_rng(2), 0
    for seed in range(120):
        reference = groups(rng, 80, 1)[:, 0]
        if kind == LEFT_OUT:
            values = (reference @ reference.T - 3 * np.eye(80)).max(1)
        else:
            values = (groups(rng, 80, 1)[:, 0] @ reference.T).max(1)
        found = of(values, kind)
        t = threshold_at(found, 0.06)
        truth = ((groups(rng, 4000, 1)[:, 0] @ reference.T).max(1) >= t).mean()
        without, with_unseen = resampled_fpir(found, t, 400, seed)
        inside += np.quantile(without, 0.025) <= truth <= np.quantile(with_unseen, 0.975)
    assert inside >= 106
