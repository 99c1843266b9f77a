"""One step of a distillation: what the loss is made of, who sees which image, and where the draws come from."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from small_recognizer_training import SMALL, load, people
from small_recognizers import save_random_recognizer
from small_training import same
from syper_data.errors import DivergedError, InputError
from syper_data.execution.team import Team
from syper_data.quantization.distillation_run import DistillationRun, UnlabelledLessons
from syper_data.quantization.images import StoredImages
from syper_data.recognition.augment import AugmentConfig
from syper_data.recognition.batches import LabelledLessons
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.distillation import DistillConfig
from syper_data.recognition.occlusion.config import OcclusionConfig
from syper_data.recognition.recipe import OptimiserConfig, RecognizerRecipe, ScheduleConfig, Stage
from syper_data.recognition.recognizer_file import RecognizerFile, read_recognizer

BACKBONE = replace(SMALL.backbone, dropout=0.0)
RECIPE = replace(SMALL, backbone=BACKBONE, augment=AugmentConfig.none(), stages=(Stage(0.999, 32), Stage(1, 112)))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> RecognizerFile:
    return read_recognizer(save_random_recognizer(tmp_path_factory.mktemp("t") / "r.safetensors"))


def with_method(method: str, recipe: RecognizerRecipe = RECIPE, **changes: Any) -> RecognizerRecipe:
    return replace(recipe, distill=DistillConfig(method, **changes))


def run_of(recipe: RecognizerRecipe, teacher: RecognizerFile | None, **options: Any) -> DistillationRun:
    assert recipe.distill is not None
    if recipe.distill.labelled:
        return DistillationRun(recipe, LabelledLessons(load(recipe).training, recipe), teacher, **options)
    feed = StoredImages([people()], 112, held_out=2, batch=recipe.sampling.batch, seed=recipe.seed)
    return DistillationRun(recipe, UnlabelledLessons(feed), teacher, **options)


def test_the_loss_is_the_margin_loss_and_the_weighted_mean_square_to_the_teacher(teacher: RecognizerFile) -> None:
    kt = run_of(with_method("kt", guidance=7.0), teacher).advance()
    assert list(kt) == ["loss", "teacher_cosine", "lr"]
    assert kt["loss"] == pytest.approx(7 * 2 * (1 - kt["teacher_cosine"]) / 128, rel=1e-4)

    cls = run_of(with_method("cls"), None).advance()
    assert list(cls) == ["loss", "accuracy", "cosine", "lr"]

    alone = run_of(with_method("cl", guidance=0.0), teacher).advance()
    cl = run_of(with_method("cl", guidance=7.0), teacher).advance()
    assert list(cl) == ["loss", "accuracy", "cosine", "teacher_cosine", "lr"]
    assert cl["loss"] == pytest.approx(alone["loss"] + 7 * 2 * (1 - cl["teacher_cosine"]) / 128, rel=1e-4)


def test_steps_pull_the_student_to_the_teacher_and_leave_the_teacher_alone(teacher: RecognizerFile) -> None:
    recipe = replace(RECIPE, optimiser=OptimiserConfig("adamw", 3e-3, 0.0), schedule=ScheduleConfig(warmup=0))
    run = run_of(with_method("kt", recipe), teacher)
    assert run.teacher is not None
    before = copy.deepcopy(run.teacher.state_dict())
    found = [run.advance()["teacher_cosine"] for _ in range(10)]
    assert np.mean(found[-3:]) > np.mean(found[:3]) + 0.1
    assert same(run.teacher.state_dict(), before)


def test_the_teacher_sees_the_clean_image_changed_like_the_occluded_one(teacher: RecognizerFile) -> None:
    changed = replace(RECIPE, augment=AugmentConfig(cutout=0.0))
    patches = OcclusionConfig(("patch",), 1.0, 1)
    clean = run_of(with_method("cl", changed), teacher)._batch(torch.Generator().manual_seed(3))
    over = run_of(with_method("maskinv", changed, occlusion=patches), teacher)._batch(
        torch.Generator().manual_seed(3)
    )
    assert clean.taught is not None
    assert over.taught is not None
    assert torch.equal(clean.taught, over.taught)
    differ = (clean.images - over.images).abs().amax(1) > 0.1
    shares = differ.float().mean((1, 2))
    assert bool((shares > 0.005).all())
    assert bool((shares < 0.8).all())


def test_a_teacher_of_the_other_orientation_sees_mirrored_images(teacher: RecognizerFile) -> None:
    other = replace(teacher, orientation="opposite")
    recipe = with_method("kt")
    images = torch.rand(2, 3, 112, 112)
    found = run_of(recipe, other)._taught(images.flip(3))
    expected = run_of(recipe, teacher)._taught(images)
    assert found is not None
    assert expected is not None
    assert torch.allclose(F.cosine_similarity(found, expected), torch.ones(2), atol=1e-4)


def test_guidance_rises_in_the_second_stage(teacher: RecognizerFile) -> None:
    recipe = with_method("kt", replace(RECIPE, steps=1000), guidance=1.0, high_guidance=30.0, high_from=0.001)
    run = run_of(recipe, teacher)
    first, second = run.advance(), run.advance()
    assert first["loss"] == pytest.approx((1 - first["teacher_cosine"]) / 64, rel=1e-4)
    assert second["loss"] == pytest.approx(30 * (1 - second["teacher_cosine"]) / 64, rel=1e-4)


def test_processes_share_a_batch_row_by_row(teacher: RecognizerFile, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = with_method("maskinv", replace(RECIPE, augment=AugmentConfig()))
    whole = run_of(recipe, teacher)._batch(torch.Generator().manual_seed(1))
    for rank in (0, 1):
        monkeypatch.setattr(Team, "current", classmethod(lambda cls, rank=rank: cls(rank, 2)))
        part = run_of(recipe, teacher)._batch(torch.Generator().manual_seed(1))
        assert torch.equal(part.labels, whole.labels[rank::2])
        assert torch.allclose(part.images, whole.images[rank::2], atol=1e-5)


def test_a_student_that_begins_as_the_teacher_agrees_with_it_and_less_where_it_is_occluded(
    teacher: RecognizerFile,
) -> None:
    run = run_of(with_method("maskinv"), teacher, start=teacher)
    found = run.agreement([image.pixels for image in people(2, side=112)])
    assert found["agreement"] == pytest.approx(1, abs=1e-3)
    assert found["occluded_agreement"] < found["agreement"] - 0.003


def test_a_student_goes_on_in_the_orientation_of_its_start(teacher: RecognizerFile) -> None:
    other = replace(teacher, orientation="opposite")
    run = run_of(with_method("kt"), other, start=other)
    assert run.agreement([image.pixels for image in people(2, side=112)])["agreement"] == pytest.approx(
        1, abs=1e-3
    )
    recipe = replace(RECIPE, stages=())  # student and teacher at one size
    batch = run_of(with_method("kt", recipe), other, start=other)._batch(torch.Generator().manual_seed(1))
    canonical = run_of(with_method("kt", recipe), teacher, start=teacher)._batch(torch.Generator().manual_seed(1))
    assert torch.equal(batch.images, canonical.images.flip(3))


def test_what_is_not_finite_stops_the_run_before_a_weight_changes(teacher: RecognizerFile) -> None:
    run = run_of(with_method("kt"), teacher)
    assert run.teacher is not None
    next(iter(run.teacher.parameters())).data.fill_(float("nan"))
    before = copy.deepcopy(dict(run.backbone.named_parameters()))
    with pytest.raises(DivergedError, match=r"training diverged at step 0 \(loss nan"):
        run.advance()
    assert all(torch.equal(value, before[name]) for name, value in run.backbone.named_parameters())


def test_a_teacher_or_start_that_does_not_fit_is_refused(teacher: RecognizerFile) -> None:
    wide = replace(RECIPE, backbone=replace(BACKBONE, embedding_dim=512))
    with pytest.raises(InputError, match=r"vectors of length 128, the student's have 512; set backbone.embed"):
        run_of(with_method("kt", wide), teacher)
    residual = replace(RECIPE, backbone=BackboneConfig("iresnet18", 112, 128, "pooling"))
    with pytest.raises(
        InputError, match="its kind is mobilefacenet, the recipe's iresnet18; choose another start"
    ):
        run_of(with_method("kt", residual), teacher, start=teacher)


def test_a_teachers_file_is_not_written_to(teacher: RecognizerFile) -> None:
    assert read_recognizer(Path(teacher.path)).sha256 == teacher.sha256
