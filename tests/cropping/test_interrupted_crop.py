"""``crop`` cut off by SIGKILL or by a full disk: the same command again ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawn_pictures import encoded, write_pictures
from killed_runs import alive, children, files
from syper_data.cropping.crop import crop
from syper_data.cropping.table import read_crop_shard
from syper_data.errors import OutputError

EYES = "0.2,0.5,0.8,0.5"
SIZE = 32


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 photos of noise, every tenth of them broken: four shards."""
    rng = np.random.default_rng(0)
    some = [encoded(Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))) for _ in range(9)] + [b"broken"]
    folder = tmp_path_factory.mktemp("noise") / "photos"
    return write_pictures(folder, **{f"{i:04d}": some[i % len(some)] for i in range(400)})


@pytest.fixture(scope="module")
def calm(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted run writes."""
    out = tmp_path_factory.mktemp("calm") / "eyes"
    crop(photos, out, fixed_eyes=EYES, output_size=SIZE, workers=1)
    return files(out)


def start(photos: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "syper_data", "crop", str(photos), str(out), "--fixed-eyes", EYES]
    command += ["--output-size", str(SIZE), "--workers", "2", "--quiet"]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, start_new_session=True, stdout=quiet, stderr=quiet)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds worker processes through /proc")
def test_a_run_killed_again_and_again_ends_with_the_same_bytes(
    photos: Path, calm: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "eyes"
    finished = []
    for waits_for, victim in (
        ("manifest.json", "parent"),  # planned, nothing made
        ("data/.*", "group"),  # a shard half-written
        ("data/train-*", "worker"),  # a shard just finished
    ):
        before = set(out.glob(waits_for))
        process = start(photos, out)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not set(out.glob(waits_for)) - before:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
        workers = children(process.pid)
        if victim == "parent":
            process.kill()
        elif victim == "worker":
            os.kill(workers[0], signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(timeout=60) == (1 if victim == "worker" else -signal.SIGKILL)
        while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not any(alive(pid) for pid in workers), "a worker outlived its parent"
        assert not (out / "complete.json").exists()
        finished.append(len(list(out.glob("data/train-*.parquet"))))
    assert finished[0] == 0
    assert finished == sorted(finished)
    assert 0 < finished[-1] < 4
    crop(photos, out, fixed_eyes=EYES, output_size=SIZE, workers=1)
    assert files(out) == calm


def test_a_full_disk_is_one_clear_line_and_with_more_room_the_run_ends_the_same(
    small_disk: Path, photos: Path, calm: dict[str, bytes]
) -> None:
    out = small_disk / "eyes"
    with pytest.raises(OutputError, match="No space left on device") as caught:
        crop(photos, out, fixed_eyes=EYES, output_size=SIZE, workers=1)
    assert "\n" not in str(caught.value)
    assert not (out / "complete.json").exists()
    assert not list(out.rglob(".*.tmp"))
    (shard,) = (out / "data").iterdir()
    assert read_crop_shard(shard, one_eye=False)[0] == 180  # 100 photos, ten broken, two eyes each
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    crop(photos, out, fixed_eyes=EYES, output_size=SIZE, workers=1)
    assert files(out) == calm
