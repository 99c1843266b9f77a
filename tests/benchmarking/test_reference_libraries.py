"""Figures against those of scikit-learn, pyeer and bob.measure, kept in a file (``make_golden.py``).

Where a library defines a figure as we do, it must agree to 1e-6. Where it defines it otherwise, its definition
is applied to our curve, and that must agree: so the difference is the definition and nothing else.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from syper_data.benchmarking.paper_compat import paper_compat_figures
from syper_data.benchmarking.scoring import FoldScores
from syper_data.metrics.error_rates import Scores
from syper_data.metrics.identification import searches

GOLDEN = json.loads((Path(__file__).parent.parent / "data" / "reference_figures.json").read_text("utf-8"))
TARGETS = tuple(GOLDEN["targets"])
every_set = pytest.mark.parametrize("golden", GOLDEN["sets"].values(), ids=list(GOLDEN["sets"]))


def close(value: Any) -> Any:
    return pytest.approx(value, abs=1e-6)


def scores_of(golden: dict[str, Any]) -> Scores:
    return Scores(golden["mated"], golden["nonmated"])


@every_set
def test_rates_at_the_same_thresholds_agree_with_pyeer_and_bob(golden: dict[str, Any]) -> None:
    scores, t = scores_of(golden), np.array(golden["pyeer"]["thresholds"])
    assert scores.thresholds[:-1].tolist() == t.tolist()  # ours end with +inf
    assert scores.fmr(t) == close(golden["pyeer"]["fmr"])
    assert scores.fnmr(t) == close(golden["pyeer"]["fnmr"])
    assert np.stack([scores.fmr(t), scores.fnmr(t)], axis=1) == close(np.array(golden["bob"]["rates"]))


@every_set
def test_auc_agrees_with_scikit_learn(golden: dict[str, Any]) -> None:
    assert scores_of(golden).auc() == close(golden["sklearn"]["auc"])


@every_set
def test_d_prime_agrees_with_pyeer_but_where_nothing_spreads(golden: dict[str, Any]) -> None:
    if np.ptp(golden["mated"]) == np.ptp(golden["nonmated"]) == 0:
        assert (golden["pyeer"]["d_prime"], scores_of(golden).d_prime()) == (1, 0)  # a convention of its own
    else:
        assert abs(scores_of(golden).d_prime()) == close(golden["pyeer"]["d_prime"])


@every_set
def test_the_fnmr_of_bob_is_ours_at_the_lowest_non_mated_score_that_keeps_the_fmr(golden: dict[str, Any]) -> None:
    """Ours takes the lowest of all scores: a mated one between two non-mated ones lowers the FNMR for free."""
    scores = scores_of(golden)
    bob = golden["bob"]
    for target, theirs, fnmr in zip(TARGETS, bob["threshold_at_fmr"], bob["fnmr_at_fmr"], strict=True):
        ours = scores.threshold_at(target)
        later = scores.nonmated[scores.nonmated >= ours]
        moved = float(later[0]) if len(later) else np.nextafter(scores.nonmated[-1], math.inf)
        assert theirs == pytest.approx(moved, abs=1e-12)
        assert fnmr == close(scores.fnmr(moved))
        assert scores.fnmr(ours) <= fnmr + 1e-12
        if not ((scores.mated >= ours) & (scores.mated < moved)).any():
            assert scores.fnmr_at(target) == close(fnmr)  # the same definition


@every_set
def test_the_fnmr_of_pyeer_is_ours_at_the_nearest_fmr(golden: dict[str, Any]) -> None:
    scores = scores_of(golden)
    t = scores.thresholds[:-1]
    for target, fnmr in zip(TARGETS, golden["pyeer"]["fnmr_at_nearest_fmr"], strict=True):
        nearest = t[np.argmin(np.abs(scores.fmr(t) - target))]
        assert scores.fnmr(nearest) == close(fnmr)


@every_set
def test_the_eer_of_the_libraries_is_ours_where_the_rates_meet_and_else_the_mean_at_a_neighbour(
    golden: dict[str, Any],
) -> None:
    """pyeer and bob take the mean of both rates at one of the two operating points about the crossing;
    ours is the crossing of the line between them."""
    scores = scores_of(golden)
    found = scores.equal_error_rate()
    t = scores.thresholds[:-1]
    fmr, fnmr = scores.fmr(t), scores.fnmr(t)
    mean, gap = (fmr + fnmr) / 2, fmr - fnmr
    theirs = golden["bob"]["eer"]
    least = np.isclose(np.abs(gap), np.abs(gap).min())
    assert np.abs(mean[least] - theirs).min() == close(0)
    crossed = np.flatnonzero(gap <= 0)
    if len(crossed):
        after = crossed[0]
        before = after - 1 if gap[after] != 0 and after else after
        chosen = before if fmr[before] + fnmr[before] <= fmr[after] + fnmr[after] else after
        assert mean[chosen] == close(golden["pyeer"]["eer"])
        neighbours = [fmr[before], fnmr[before], fmr[after], fnmr[after]]
        assert min(neighbours) - 1e-12 <= found.value <= max(neighbours) + 1e-12
    else:
        assert golden["pyeer"]["eer"] == 1  # it sees no crossing: +inf is no threshold there
    if found.fmr == found.fnmr:
        assert found.value == close(theirs)
        assert found.value == close(golden["pyeer"]["eer"])


def test_some_set_has_its_rates_meet_at_a_score() -> None:
    """Else the last line above proves nothing."""
    meeting = [n for n, g in GOLDEN["sets"].items() if (e := scores_of(g).equal_error_rate()).fmr == e.fnmr]
    assert "crossing at a score" in meeting
    assert "apart" in meeting


@every_set
def test_paper_compat_figures_are_those_of_scikit_learns_roc_curve(golden: dict[str, Any]) -> None:
    score = np.array(golden["mated"] + golden["nonmated"])
    mated = np.arange(len(score)) < len(golden["mated"])
    rows = np.zeros(len(score), np.int32)
    none = np.zeros(0, np.int64)
    found = paper_compat_figures(FoldScores(rows, rows, mated, score, none, none), TARGETS)
    assert [a.fmr for a in found.at] == close(golden["sklearn"]["nearest_fmr"])
    assert [a.fnmr for a in found.at] == close(golden["sklearn"]["fnmr_at_nearest_fmr"])
    assert found.eer == close(golden["sklearn"]["eer_of_least_difference"])
    assert found.rank1_both_eyes is None


def test_searches_agree_with_bob() -> None:
    golden = GOLDEN["search"]
    found = searches(np.array(golden["scores"]), np.array(golden["probes"]), np.array(golden["references"]))
    count = len(golden["cmc"])
    assert found.cmc(count) == close(golden["cmc"])
    for t, hit, alarm in zip(golden["thresholds"], golden["found_rank1"], golden["false_alarm"], strict=True):
        assert 1 - found.fnir(t, rank=1) == close(hit)
        assert found.fpir(t) == close(alarm)
