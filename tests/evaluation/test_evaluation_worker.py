"""Worker processes make the very pixels that one process makes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from syper_data.errors import InputError, UsageError
from syper_data.evaluation import images as images_module
from syper_data.evaluation.evaluate import evaluate
from syper_data.evaluation.images import open_judged_generator, sample_images
from syper_data.evaluation.worker import Request, render_in_workers
from syper_data.sampling.plan import plan_settings


def test_two_workers_give_the_bytes_of_one_process_and_every_class_its_turn(tiny_conditional: Path) -> None:
    loaded, weights = open_judged_generator(tiny_conditional)
    assert weights == tiny_conditional
    done: list[tuple[int, int]] = []
    here = sample_images(loaded, 141, seed_start=5, psi=0.8, weights=weights, workers=1)
    there = sample_images(
        loaded,
        141,
        seed_start=5,
        psi=0.8,
        weights=weights,
        workers=2,
        report=lambda _, at, of: done.append((at, of)),
    )
    assert np.array_equal(there.pixels, here.pixels)
    assert there.record == here.record
    assert len(np.unique(here.pixels.reshape(141, -1), axis=0)) == 141
    assert done[-1] == (141, 141)
    assert len(done) == 3


def test_a_few_images_and_a_generator_without_a_file_need_no_process(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, weights = open_judged_generator(tiny)
    assert open_judged_generator(loaded) == (loaded, None)
    asked: list[int] = []

    def workers(_path: Path, _sha256: str, request: Request, count: int) -> object:
        asked.append(count)
        return images_module.render_here(loaded.generator, request)

    monkeypatch.setattr(images_module, "render_in_workers", workers)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    sample_images(loaded, 40, weights=weights)
    sample_images(loaded, 600, workers=2)
    assert asked == []
    sample_images(loaded, 600, weights=weights)
    sample_images(loaded, 40, weights=weights, workers=3)
    assert asked == [2, 3]


def test_a_generator_file_that_changes_meanwhile_is_named(tiny: Path) -> None:
    loaded, _ = open_judged_generator(tiny)
    request = Request(8, 0, 0, plan_settings(loaded))
    with pytest.raises(InputError, match=r"tiny.safetensors: changed while it was evaluated"):
        list(render_in_workers(tiny, "ab" * 32, request, 1))


def test_no_worker_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--workers is 0"):
        evaluate(tiny, real=tmp_path, workers=0, out=tmp_path / "out")
