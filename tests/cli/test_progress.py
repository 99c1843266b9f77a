from __future__ import annotations

import re
import time
from types import SimpleNamespace

import pytest

from syper_data.cli.progress import ProgressLine, in_words


def test_a_second_phase_is_timed_from_the_end_of_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("reading", "images", False) as line:
        line.update(20, 20)
        time.sleep(0.2)
        line.update(20, 20, "regenerating")
    found = re.search(r"regenerating: 20 of 20 images, ([0-9.]+) images/s", capsys.readouterr().err)
    assert found is not None
    assert float(found[1]) <= 100


def set_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A list of one number: the time that the progress line sees."""
    seconds = [0.0]
    monkeypatch.setattr("syper_data.cli.progress.time", SimpleNamespace(monotonic=lambda: seconds[0]))
    return seconds


def test_the_time_before_the_first_image_is_not_taken_for_the_pace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = set_clock(monkeypatch)
    with ProgressLine("sampling", "images", False) as line:
        for seconds[0], done in (
            (60.0, 1),
            (61.0, 5),
            (70.0, 41),
            (75.0, 60),
            (80.0, 81),
            (140.0, 301),
            (150.0, 1000),
        ):
            line.update(done, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "sampling: 1 of 1000 images",
        "sampling: 41 of 1000 images, 4.0 images/s, about 4 min left",
        "sampling: 81 of 1000 images, 4.0 images/s, about 4 min left",
        "sampling: 301 of 1000 images, 3.8 images/s, about 3 min left",
        "sampling: 1000 of 1000 images, 6.7 images/s",
    ]


def test_bursts_of_the_first_seconds_give_no_rate_and_quiet_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = set_clock(monkeypatch)
    with ProgressLine("sampling", "images", False) as line, ProgressLine("again", "images", True) as quiet:
        for seconds[0], done in ((9.0, 8), (10.0, 16)):
            line.update(done, 1000)
            quiet.update(done, 1000)
    assert capsys.readouterr().err == "sampling: 16 of 1000 images\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (5940, "99 min"),
        (6000, "1 h 40 min"),
        (7190, "2 h"),
        (11_700, "3 h 20 min"),
        (360_000, "100 h"),
    ],
)
def test_a_time_to_wait_is_said_as_exactly_as_it_is_known(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
