"""How long a run still takes, told by a made-up clock."""

from __future__ import annotations

import pytest

from syper_data.execution.pace import Pace


def test_the_first_step_is_slow_and_not_counted_where_there_are_others() -> None:
    pace = Pace(length=100, reached=0, now=1000)
    assert pace.seconds_left is None
    pace.step(1, 1050)
    assert pace.seconds_left is None  # nothing is known but how slow a first step is
    pace.step(2, 1052)
    assert pace.seconds_left == pytest.approx(98 * 2)
    pace.step(5, 1061)
    assert pace.seconds_left == pytest.approx(95 * 11 / 4)


def test_a_run_that_goes_on_is_measured_by_the_steps_of_this_process() -> None:
    pace = Pace(length=8.0, reached=6.0, now=0)
    pace.step(6.5, 9)
    pace.step(7.0, 14)
    assert pace.seconds_left == pytest.approx(10)
    pace.step(8.0, 24)
    assert pace.seconds_left is None


def test_it_is_said_early_then_ever_more_seldom_but_at_least_every_ten_minutes() -> None:
    pace, said = Pace(length=1e6, reached=0, now=0), []
    for step in range(1, 4001):
        pace.step(step, step)
        if pace.due:
            said.append(step)
            pace.said()
    assert said == [5, 10, 20, 40, 80, 160, 320, 640, 1240, 1840, 2440, 3040, 3640]


def test_slow_steps_are_waited_for_and_fast_runs_say_nothing() -> None:
    slow = Pace(length=100, reached=0, now=0)
    due = []
    for step in range(1, 4):
        slow.step(step, step * 60)
        due.append(slow.due)
    assert due == [False, False, True]
    fast = Pace(length=10, reached=0, now=0)
    for step in range(1, 11):
        fast.step(step, step / 10)
        assert not fast.due
