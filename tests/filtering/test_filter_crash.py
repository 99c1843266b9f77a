"""SIGKILL in the middle of ``filter``: the same command goes on to the same ledger."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from filter_thresholds import write_thresholds
from small_dataset import make_dataset
from syper_data.filtering.ledger import LEDGER
from syper_data.filtering.scoring import CACHE

SLOW = """
import time
from syper_data.filtering.quality.measure import Measure

class Slow(Measure):
    name, unit, low = "slow", "levels", "slow"

    def measure(self, pixels):
        time.sleep(0.05)
        return float(pixels.mean())
"""


def test_a_killed_run_goes_on_to_the_ledger_of_an_undisturbed_one(tmp_path: Path) -> None:
    (tmp_path / "slow_measure.py").write_text(SLOW)
    calm = make_dataset(tmp_path / "calm", 32)
    killed = tmp_path / "killed"
    shutil.copytree(calm.path, killed)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path.insert(0, str(tmp_path))
    try:
        file = write_thresholds(tmp_path / "t.json", ("slow_measure:Slow",), exposure=(127.5, None))
    finally:
        sys.path.remove(str(tmp_path))

    def start(dataset: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "syper_data", "filter", str(dataset), "--quality-only", "--workers", "1"]
        command += ["--measure", "slow_measure:Slow", "--quality-thresholds", str(file)]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": path}, stdout=pipe, stderr=pipe, text=True
        )

    process = start(killed)
    deadline = time.monotonic() + 120
    while not list((killed / CACHE).glob("quality-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    made = {p.name: p.stat().st_mtime_ns for p in (killed / CACHE).glob("quality-*")}
    assert 1 <= len(made) < 4
    assert not (killed / LEDGER).exists()
    for dataset in (killed, calm.path):
        process = start(dataset)
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert "kept" in out
    assert (killed / LEDGER).read_bytes() == (calm.path / LEDGER).read_bytes()
    assert {n: (killed / CACHE / n).stat().st_mtime_ns for n in made} == made, (
        "a finished shard was measured again"
    )
    assert not list((killed / CACHE).glob(".*"))
