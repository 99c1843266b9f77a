from __future__ import annotations

import os
import signal
import sys
import threading
import time
import types
from pathlib import Path

import pytest

from syper_data.errors import ConfigError, SyperError
from syper_data.execution import open_pool

JOB = """
import os, sys, time
from syper_data.errors import ConfigError

def make(setup):
    def handle(task, progress):
        progress(1)
        print("noise on standard output")
        if task.get("fork"):
            child = os.fork()
            if not child:
                time.sleep(60)  # holds every stream of the worker open
                os._exit(0)
            if task["fork"] == "and die":
                os._exit(4)
            return {"child": child}
        if task.get("fail"):
            raise ConfigError("bad value 7")
        if task.get("crash"):
            raise RuntimeError("boom")
        if task.get("exit"):
            os._exit(3)
        time.sleep(task.get("sleep", 0))
        return {"sum": task["n"] + setup["plus"], "threads": __import__("torch").get_num_threads()}
    return handle
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "pool_job.py").write_text(JOB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "pool_job:make"


def test_every_task_is_answered_once_whatever_prints_in_a_worker(job: str) -> None:
    with open_pool(job, {"plus": 10}, workers=2, threads=1) as pool:
        answers = list(pool.run({"n": n} for n in range(7)))
    results = {a["task"]["n"]: a["result"] for a in answers if "result" in a}
    assert {n: r["sum"] for n, r in results.items()} == {n: n + 10 for n in range(7)}
    assert {r["threads"] for r in results.values()} == {1}
    assert sum(a.get("progress", 0) for a in answers) == 7


def test_our_errors_keep_their_kind_and_text(job: str) -> None:
    with (
        pytest.raises(ConfigError, match="bad value 7"),
        open_pool(job, {"plus": 1}, workers=1, threads=1) as pool,
    ):
        list(pool.run([{"n": 1, "fail": True}]))


@pytest.mark.parametrize(("task", "words"), [({"crash": True}, "RuntimeError: boom"), ({"exit": True}, "code 3")])
def test_a_worker_that_ends_is_named_with_its_last_words(job: str, task: dict[str, bool], words: str) -> None:
    with pytest.raises(SyperError, match=words), open_pool(job, {"plus": 1}, workers=1, threads=1) as pool:
        list(pool.run([{"n": 1, **task}]))


def test_leaving_the_block_ends_the_workers_at_once(job: str) -> None:
    pool = open_pool(job, {"plus": 1}, workers=2, threads=1)
    processes = [w.process for w in pool._workers]
    answers = pool.run([{"n": 1, "sleep": 60}, {"n": 2, "sleep": 60}])
    next(answers)
    pool.close()
    assert all(p.poll() is not None for p in processes)


def test_a_child_that_a_worker_forked_and_left_behind_does_not_keep_the_pool_open(job: str) -> None:
    pool = open_pool(job, {"plus": 1}, workers=1, threads=1)
    try:
        (child,) = (a["result"]["child"] for a in pool.run([{"n": 1, "fork": True}]) if "result" in a)
        closing = threading.Thread(target=pool.close, daemon=True)
        closing.start()
        closing.join(timeout=10)
        assert not closing.is_alive()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_worker_that_dies_is_noticed_though_its_forked_child_lives_on(job: str) -> None:
    began = time.monotonic()
    with pytest.raises(SyperError, match="code 4"), open_pool(job, {"plus": 1}, workers=1, threads=1) as pool:
        list(pool.run([{"n": 1, "fork": "and die"}]))
    assert time.monotonic() - began < 30


def test_the_callers_main_module_is_not_imported_again(job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    with open_pool(job, {"plus": 1}, workers=1, threads=1) as pool:
        assert len(list(pool.run([{"n": 1}]))) == 2


def test_nothing_is_imported_from_the_current_folder(
    job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for name in ("torch", "numpy", "syper_data", "queue"):
        (here / f"{name}.py").write_text("raise SystemExit('imported from the current folder')")
    monkeypatch.chdir(here)
    with open_pool(job, {"plus": 1}, workers=1, threads=1) as pool:
        assert [a["result"]["sum"] for a in pool.run([{"n": 1}]) if "result" in a] == [2]
