"""Binned, blocked and refined error rates against each resample cumulated anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syper_data.errors import InputError, UsageError
from syper_data.metrics.bins import ScoreBlock
from syper_data.metrics.curves import Curves
from syper_data.metrics.error_rates import Scores
from syper_data.metrics.intervals import subject_weights

TARGETS = (0.3, 0.05, 0.01)


def comparisons(people: int, mated: int, nonmated: int, seed: int, *, levels: int | None = None) -> ScoreBlock:
    """Random comparisons; some non-mated ones within one person; ``levels`` makes ties."""
    rng = np.random.default_rng(seed)
    is_mated = rng.permutation(np.arange(mated + nonmated) < mated)
    first = rng.integers(0, people, mated + nonmated)
    second = np.where(is_mated, first, rng.integers(0, people, mated + nonmated))
    skill = rng.normal(size=people)
    score = rng.normal(size=len(first)) + 0.4 * (skill[first] + skill[second]) + 1.8 * is_mated
    if levels is not None:
        score = np.round(score * levels / 6)
    return ScoreBlock(score.astype(np.float32), is_mated, first, second)


def in_blocks(whole: ScoreBlock, size: int = 10**9) -> Callable[[], Iterator[ScoreBlock]]:
    def blocks() -> Iterator[ScoreBlock]:
        for start in range(0, len(whole.score), size):
            rows = slice(start, start + size)
            yield ScoreBlock(whole.score[rows], whole.mated[rows], whole.first[rows], whole.second[rows])

    return blocks


def direct(whole: ScoreBlock, people: int, repeats: int, seed: int, failed: float) -> dict[Any, list[float]]:
    """Every figure of the comparisons and of each resample, the slow and obvious way."""
    m = whole.mated
    scores = Scores(whole.score[m], whole.score[~m])
    found: dict[Any, list[float]] = {name: [] for name in ("eer", "auc", "d_prime", *TARGETS)}
    for w in [np.ones(people), *subject_weights(people, repeats, seed)]:
        first, second = whole.first[~m], whole.second[~m]
        nonmated = np.where(first == second, w[first], w[first] * w[second])
        if not w[whole.first[m]].any() or not nonmated.any():
            values = [math.nan] * 3 + [math.nan] * len(TARGETS)
        else:
            sample = scores.weighted(w[whole.first[m]], nonmated)
            values = [sample.equal_error_rate().value, sample.auc(), sample.d_prime(failed)]
            values += [sample.fnmr_at(t) for t in TARGETS]
        for name, value in zip(found, values, strict=True):
            found[name].append(value)
    return found


@settings(deadline=None, max_examples=60)
@given(
    people=st.integers(2, 9),
    mated=st.integers(1, 40),
    nonmated=st.integers(1, 90),
    levels=st.sampled_from([None, 1, 3, 12]),
    bins=st.sampled_from([6, 12, 320]),
    size=st.sampled_from([7, 1000]),
    dense=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_every_resample_has_the_figures_of_the_direct_formulation(
    people: int, mated: int, nonmated: int, levels: int | None, bins: int, size: int, dense: bool, seed: int
) -> None:
    whole = comparisons(people, mated, nonmated, seed, levels=levels)
    curves = Curves(
        in_blocks(whole, size), people, repeats=6, seed=seed, failed=-2.0, targets=TARGETS, bins=bins,
        most_cells=2**26 if dense else 0,
    )  # fmt: skip
    expected = direct(whole, people, 6, seed, -2.0)
    assert curves.eer() == pytest.approx(expected["eer"], abs=1e-12, nan_ok=True)
    for t in TARGETS:
        assert curves.fnmr_at(t) == pytest.approx(expected[t], abs=1e-12, nan_ok=True)
    assert curves.auc()[0] == pytest.approx(expected["auc"][0], abs=1e-12)
    assert curves.auc() == pytest.approx(expected["auc"], abs=curves.auc_bound + 1e-12, nan_ok=True)
    d_prime = np.array(expected["d_prime"])
    valid = ~np.isnan(expected["eer"]) & np.isfinite(d_prime)
    # in rows the powers of the scores are sums of float32, which shows where hardly anything spreads
    tolerance = {"rel": 1e-9, "abs": 1e-9} if dense else {"rel": 1e-3, "abs": 1e-3}
    assert curves.d_prime()[valid] == pytest.approx(d_prime[valid], **tolerance)


@settings(deadline=None, max_examples=40)
@given(levels=st.sampled_from([None, 2, 8]), bins=st.sampled_from([6, 320]), seed=st.integers(0, 10**6))
def test_the_threshold_is_the_lowest_score_that_keeps_the_fmr(levels: int | None, bins: int, seed: int) -> None:
    whole = comparisons(5, 30, 80, seed, levels=levels)
    scores = Scores(whole.score[whole.mated], whole.score[~whole.mated])
    curves = Curves(in_blocks(whole, 13), 5, repeats=0, targets=TARGETS, bins=bins)
    for target in TARGETS:
        t, fmr, fnmr = curves.threshold_at(target)
        assert t == scores.threshold_at(target)
        assert (fmr, fnmr) == (scores.fmr(t), scores.fnmr(t))


def test_many_scores_are_binned_and_still_exact() -> None:
    whole = comparisons(60, 4000, 50_000, seed=3)
    curves = Curves(in_blocks(whole, 9999), 60, repeats=20, targets=TARGETS, bins=320)
    expected = direct(whole, 60, 20, 0, -math.inf)
    assert curves.edges()[0].size < 500
    assert curves.eer() == pytest.approx(expected["eer"], abs=1e-12)
    assert curves.fnmr_at(0.01) == pytest.approx(expected[0.01], abs=1e-12)
    assert curves.auc()[0] == pytest.approx(expected["auc"][0], abs=1e-12)
    assert 0 < curves.auc_bound < 5e-3
    assert np.abs(curves.auc() - expected["auc"]).max() < 0.05 * curves.auc_bound


def test_failures_match_nothing_and_do_not_spread_the_scores() -> None:
    whole = comparisons(10, 60, 300, seed=1)
    score = np.clip(whole.score / 8, -1, 1)
    failed = np.random.default_rng(0).random(len(score)) < 0.2
    worse = ScoreBlock(np.where(failed, -2, score).astype(np.float32), whole.mated, whole.first, whole.second)
    curves = Curves(in_blocks(worse), 10, repeats=5, failed=-2.0, targets=TARGETS)
    kept = ~failed
    alone = Scores(score[kept & whole.mated], score[kept & ~whole.mated])
    assert curves.d_prime()[0] == pytest.approx(alone.d_prime())
    share = failed[whole.mated].mean()
    assert curves.fnmr_at(0.3)[0] >= share
    assert curves.edges()[1][0, 2] == pytest.approx(1 - failed[~whole.mated].mean())  # just above -2


def test_one_class_only_one_person_and_scores_that_are_no_numbers_are_refused() -> None:
    whole = comparisons(4, 10, 10, seed=0)
    for keep, text in ((whole.mated, "10 mated and 0 non-mated"), (~whole.mated, "0 mated and 10 non-mated")):
        part = ScoreBlock(whole.score[keep], whole.mated[keep], whole.first[keep], whole.second[keep])
        with pytest.raises(UsageError, match=text):
            Curves(in_blocks(part), 4, repeats=1)
    with pytest.raises(UsageError, match="1 people give"):
        Curves(in_blocks(whole), 1, repeats=1)
    whole.score[3] = math.nan
    with pytest.raises(InputError, match="score of comparison 3 of a block is not finite"):
        Curves(in_blocks(whole), 4, repeats=1)
    whole.score[3] = 0
    wrong = ScoreBlock(whole.score, whole.mated, whole.first, (whole.first + 1) % 4)
    with pytest.raises(InputError, match="is mated, but shows two people"):
        Curves(in_blocks(wrong), 4, repeats=1)
