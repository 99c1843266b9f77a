"""SIGKILL at random moments: of the parent alone, of one worker, of the whole group."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import syper_data
from killed_runs import alive, children, files
from small_generators import save_small_generator

KILLS = 20
IMAGES = 3000


def command(generator: Path, out: Path, *options: str) -> list[str]:
    base = [sys.executable, "-m", "syper_data", "sample", "--n", str(IMAGES), "--generator", str(generator)]
    return [*base, "--out", str(out), "--workers", "2", *options]


def written(out: Path) -> set[str]:
    """Finished and half-written shards."""
    return {p.name for p in (out / "data").iterdir()} if (out / "data").exists() else set()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds worker processes through /proc")
def test_a_run_killed_at_twenty_random_moments_ends_with_the_same_bytes(tmp_path: Path) -> None:
    generator = save_small_generator(tmp_path / "g.safetensors", resolution=32, channel_base=1024, channel_max=32)
    syper_data.sample(n=IMAGES, out=tmp_path / "calm", generator=generator, workers=2)
    out = tmp_path / "killed"
    rng = random.Random(1)
    interrupted, finished_between = 0, []
    for kill in range(KILLS):
        process = subprocess.Popen(
            command(generator, out, "--quiet"),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if kill >= 5:  # the first five fall anywhere in the start, the others on workers at work
            before = written(out)
            mark = "train-" if kill % 5 == 0 else "."  # a shard just finished, or just begun
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and process.poll() is None:
                if any(name.startswith(mark) for name in written(out) - before):
                    break
                time.sleep(0.01)
        time.sleep(rng.uniform(0.1, 2.0) if kill < 5 else rng.uniform(0.0, 0.5))
        workers = children(process.pid)
        if process.poll() is None:
            interrupted += 1
        if kill % 3 == 0:
            process.kill()
        elif kill % 3 == 1 and workers:
            os.kill(rng.choice(workers), signal.SIGKILL)
        else:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                assert process.poll() is not None
        process.wait(timeout=60)
        deadline = time.monotonic() + 10
        while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(alive(pid) for pid in workers), "a worker outlived its parent"
        finished_between.append(len(list((out / "data").glob("train-*.parquet"))) if out.exists() else 0)
        if (out / "complete.json").exists():  # begin again, so that every kill hits a run at work
            for path in sorted((out / "data").glob("*.parquet"))[::2]:
                path.unlink()
            (out / "complete.json").unlink()
    done = subprocess.run(command(generator, out), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert files(out) == files(tmp_path / "calm")
    assert interrupted >= KILLS // 2
    assert len(set(finished_between)) > 2  # the kills fell between different shards


def test_a_killed_worker_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    generator = save_small_generator(tmp_path / "g.safetensors", resolution=64, channel_base=2048, channel_max=64)
    process = subprocess.Popen(
        command(generator, tmp_path / "syper", "--quiet"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while len(children(process.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert err.startswith("Error: worker ")
    assert "killed by signal 9" in err
    assert err.count("\n") == 1


def test_ctrl_c_is_one_line_and_leaves_a_resumable_state(tmp_path: Path, tiny: Path) -> None:
    out = tmp_path / "syper"
    process = subprocess.Popen(
        command(tiny, out, "--quiet"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("data/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "Error: interrupted; the same command continues where it stopped"
    assert not list(out.rglob(".*.tmp"))
    assert syper_data.sample(n=IMAGES, out=out, generator=tiny).require_complete()
