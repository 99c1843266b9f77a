"""Search error rates against values counted by hand and slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from syper_data.errors import InputError, UsageError
from syper_data.metrics.identification import identification, joined, searches

SCORES = np.array([[0.9, 0.2, 0.3], [0.5, 0.5, 0.1], [0.2, 0.6, 0.7], [0.3, 0.4, 0.8]])
PROBES, REFERENCES = np.array([0, 1, 1, 9]), np.array([0, 1, 2])


def test_the_rates_are_those_counted_by_hand() -> None:
    found = searches(SCORES, PROBES, REFERENCES)
    assert found.mated_score.tolist() == [0.9, 0.5, 0.6]
    assert found.rank.tolist() == [1, 2, 2]  # the second ties with another identity, which goes first
    assert found.nonmated_top.tolist() == [0.8]
    assert found.cmc(3).tolist() == pytest.approx([1 / 3, 1, 1])
    assert found.fpir(0.8) == 1
    assert found.fpir(0.81) == 0
    assert found.fnir(0.6) == pytest.approx(1 / 3)
    assert found.fnir(0.0, rank=1) == pytest.approx(2 / 3)
    assert found.fnir_at(0.0) == (pytest.approx(2 / 3), 0.9)
    assert found.fnir_at(1.0) == (0, 0.5)


def test_several_images_of_the_identity_count_as_its_best() -> None:
    found = searches(np.array([[0.1, 0.7, 0.5]]), np.array([3]), np.array([3, 4, 3]))
    assert (found.mated_score.tolist(), found.rank.tolist()) == ([0.5], [2])


def test_rates_equal_slow_loops() -> None:
    rng = np.random.default_rng(0)
    scores = np.round(rng.random((60, 20)), 1)
    probes, references = rng.integers(0, 25, 60), rng.integers(0, 12, 20)
    found = searches(scores, probes, references)
    ranks, tops = [], []
    for row, probe in zip(scores, probes, strict=True):
        own = [s for s, r in zip(row, references, strict=True) if r == probe]
        other = [s for s, r in zip(row, references, strict=True) if r != probe]
        if own:
            ranks.append(1 + sum(s >= max(own) for s in other))
        else:
            tops.append(max(other))
    assert found.rank.tolist() == ranks
    assert found.nonmated_top.tolist() == tops
    for target in (0.0, 0.1, 0.5):
        _, t = found.fnir_at(target)
        assert np.mean(np.array(tops) >= t) <= target
        lower = [x for x in {*tops, *found.mated_score} if x < t]
        assert not lower or np.mean(np.array(tops) >= max(lower)) > target


def test_a_rate_without_a_search_is_refused() -> None:
    closed = searches(SCORES[:3], PROBES[:3], REFERENCES)
    with pytest.raises(UsageError, match="no non-mated search"):
        closed.fpir(0.5)
    with pytest.raises(UsageError, match="no mated search"):
        searches(SCORES[3:], PROBES[3:], REFERENCES).cmc(1)


def test_scores_of_another_shape_or_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="4 probes and 2 references"):
        searches(SCORES, PROBES, REFERENCES[:2])
    with pytest.raises(InputError, match="probe 1 are not finite"):
        searches(np.array([[0.1], [math.nan]]), np.array([0, 1]), np.array([0]))


def test_what_is_left_out_is_neither_a_hit_nor_in_the_way() -> None:
    scores, references = np.array([[0.5, 0.9, 0.4]]), np.array([0, 1, 2])
    left_out = np.array([[False, True, False]])
    assert searches(scores, np.array([0]), references).rank.tolist() == [2]
    assert searches(scores, np.array([0]), references, left_out=left_out).rank.tolist() == [1]
    assert searches(scores, np.array([7]), references, left_out=left_out).nonmated_top.tolist() == [0.5]


def test_a_failed_template_is_a_candidate_at_no_threshold() -> None:
    scores = np.array([[-2.0, -2.0], [0.3, -2.0], [-2.0, 0.1], [-2.0, -2.0]])
    found = searches(scores, np.array([0, 1, 9, 9]), np.array([0, 1]), failed=-2.0)
    assert found.rank.tolist() == [3, 3]
    assert (found.fnir(-math.inf), found.fpir(-math.inf)) == (1, 0.5)
    assert found.fnir_at(0.0) == (1, math.inf)
    assert found.cmc(2).tolist() == [0, 0]


def test_searches_of_several_sets_of_probes_join() -> None:
    whole = searches(SCORES, PROBES, REFERENCES)
    parts = joined(searches(SCORES[i : i + 2], PROBES[i : i + 2], REFERENCES) for i in (0, 2))
    assert parts.rank.tolist() == whole.rank.tolist()
    assert parts.mated.tolist() == whole.mated.tolist() == [True, True, True, False]
    assert parts.nonmated_top.tolist() == whole.nonmated_top.tolist()


def test_figures_of_a_search_have_intervals_and_say_what_they_rest_on() -> None:
    rng = np.random.default_rng(0)
    probes = np.repeat(np.arange(100), 4)
    references = np.arange(40)
    scores = rng.normal(size=(400, 40)) + 2.5 * (probes[:, None] == references)
    scores += rng.normal(size=100)[probes][:, None]
    whole = searches(scores, probes, references)
    found = identification(whole, probes, probes, fpirs=(0.1, 0.01), repeats=200)
    assert (found.mated, found.nonmated, found.references, found.subjects) == (160, 240, 40, 100)
    assert found.rank1 is not None
    assert found.rank1.value == found.cmc[0] == whole.cmc(1)[0]
    assert found.rank1.low < found.rank1.value < found.rank1.high
    first, second = found.at
    assert first.fnir is not None
    assert (first.fnir.value, first.threshold) == whole.fnir_at(0.1)
    assert first.fnir.low < first.fnir.value < first.fnir.high
    assert first.fpir is not None
    assert first.fpir <= 0.1
    assert first.independent == 60  # people, not searches
    assert (second.fnir, second.support) == (None, "none")
    assert "60 independent people without a reference can't support an FPIR of 1 %" in second.note
    assert found == identification(whole, probes, probes, fpirs=(0.1, 0.01), repeats=200)


def test_a_closed_set_has_no_open_set_figure_and_the_other_way_round() -> None:
    closed = searches(SCORES[:3], PROBES[:3], REFERENCES)
    found = identification(closed, PROBES[:3], PROBES[:3], repeats=5)
    assert found.at == ()
    assert len(found.cmc) == 3
    unknown = searches(SCORES[3:], PROBES[3:], REFERENCES)
    none = identification(unknown, PROBES[3:], PROBES[3:], repeats=5)
    assert (none.rank1, none.cmc, none.at) == (None, (), ())


def test_among_five_references_nobody_can_miss_the_first_five() -> None:
    few = identification(searches(SCORES[:3], PROBES[:3], REFERENCES), PROBES[:3], PROBES[:3], repeats=5)
    assert few.rank1 is not None
    assert few.rank5 is None
    rng = np.random.default_rng(0)
    many = searches(rng.random((6, 6)), np.arange(6), np.arange(6))
    assert identification(many, np.arange(6), np.arange(6), repeats=5).rank5 is not None
