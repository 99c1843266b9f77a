"""A folder that holds a benchmark takes the same one again, and no other unless it is told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from small_protocols import drawn_protocol
from syper_data.benchmarking.benchmark import rescore
from syper_data.benchmarking.models import FunctionModel, register_loader
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, LockedError, UsageError

Run = Callable[..., Any]


def test_the_same_benchmark_again_changes_no_byte_and_other_resamples_may_follow(run: Run) -> None:
    done = run()
    first = (done.path / "results.json").read_bytes()
    run()
    assert (done.path / "results.json").read_bytes() == first
    run(models=["centre", "halves"], repeats=30, seed=1, paper_compat=True)  # of the same scores
    assert rescore(done.path).results["settings"]["repeats"] == 30


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"models": ["halves"]}, "now the models are halves"),
        ({"protocol": replace(drawn_protocol(folds=2), name="other")}, "now the protocol is other"),
        ({"folds": ["2"]}, "now it is fold 2"),
        ({"protocol": drawn_protocol(folds=2, people=7)}, "other images are compared in folds 1, 2 now"),
        ({"compat_orientation": True}, "it was run without --compat-orientation"),
    ],
)
def test_another_one_is_refused_with_what_is_there_and_changes_nothing(
    options: dict[str, Any], words: str, run: Run
) -> None:
    protocol = drawn_protocol(folds=2)
    done = run(protocol=protocol)
    before = {path.name: path.read_bytes() for path in done.path.iterdir()}
    holds = r"holds the benchmark of halves, centre on drawn, folds 1, 2, which is another: "
    with pytest.raises(InputError, match=f"{holds}{words}; give another --out, or say --replace"):
        run(**{"protocol": protocol, **options})
    assert {path.name: path.read_bytes() for path in done.path.iterdir()} == before
    assert run(**{"protocol": protocol, **options}, replace=True).results != done.results


def test_a_model_that_has_changed_under_its_name_is_another(run: Run) -> None:
    run(models=["halves"])

    def changed(name: str) -> FunctionModel | None:
        return FunctionModel(name, lambda x: x.reshape(len(x), -1).astype(float)) if name == "halves" else None

    register_loader(changed)
    with pytest.raises(InputError, match="halves has changed since"):
        run(models=["halves"])


def test_results_that_are_not_ours_are_not_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for text in ("{", '{"schema": "somebody else"}', '{"schema": "syper-benchmark/1"}', "[]"):
        (tmp_path / "out" / "results.json").write_text(text)
        with pytest.raises(InputError, match=r"results\.json: is not one that this toolkit can read"):
            run(models=["halves"])
        assert (tmp_path / "out" / "results.json").read_text() == text
    assert run(models=["halves"], replace=True).results["models"][0]["label"] == "halves"


def test_a_folder_in_use_is_refused_before_models_and_protocol_are_read(run: Run, tmp_path: Path) -> None:
    with folder_lock(tmp_path / "out"), pytest.raises(LockedError):
        run(models=["no such model"], protocol="no such protocol")
    with pytest.raises(UsageError, match="no such protocol"):
        run(models=["no such model"], protocol="no such protocol", root=tmp_path)
