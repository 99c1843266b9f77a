"""Search error rates against values counted by hand and slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from syper_data.errors import InputError, UsageError
from syper_data.metrics.identification import searches

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
