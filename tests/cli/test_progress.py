from __future__ import annotations

import re
import time

import pytest

from syper_data.cli.progress import ProgressLine


def test_a_second_phase_is_timed_from_the_end_of_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("reading", "images", False) as line:
        line.update(20, 20)
        time.sleep(0.2)
        line.update(20, 20, "regenerating")
    found = re.search(r"regenerating: 20 of 20 images, ([0-9.]+) images/s", capsys.readouterr().err)
    assert found is not None
    assert float(found[1]) <= 100
