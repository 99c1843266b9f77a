"""The folder of a distillation: an ordinary recognizer, resumable, and one line for whatever is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from killed_runs import stop_after
from small_recognizer_training import RECIPE, people
from small_recognizers import save_random_recognizer
from small_training import contents, same, stored
from syper_data.cli.distill import command
from syper_data.errors import InputError, SyperError, UsageError
from syper_data.imaging.source import SourceImage
from syper_data.quantization.distill import default_recipe, distill
from syper_data.quantization.distillation_run import DistillationRun
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.distillation import METHODS, DistillConfig
from syper_data.recognition.embedder import load_embedder
from syper_data.recognition.recipe import RecognizerRecipe
from syper_data.recognition.recognizer_file import identity_digest, read_recognizer

KNOWN = identity_digest("somebody")
MASKED = replace(RECIPE, distill=DistillConfig("maskinv", high_from=0.5))
SHORT = replace(RECIPE, steps=1, snapshot_steps=1, validation_images=10)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "recognizer.safetensors"
    return save_random_recognizer(path, name="teacher", spectrum="nir", orientation="opposite", identities=[KNOWN])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> Path:
    """The folder of a run that was never interrupted. Copy it before changing it."""
    out = tmp_path_factory.mktemp("distillation") / "run"
    distill(teacher=teacher, data=people(8, samples=2), holdout=0.3, recipe=MASKED, out=out)
    return out


def again(teacher: Path, folder: Path, /, **changes: Any) -> Path:
    options: dict[str, Any] = {"data": people(8, samples=2), "holdout": 0.3, "recipe": MASKED}
    return distill(**{"teacher": teacher, "out": folder, **options, **changes})


def generated(count: int = 4, *, labels: bool = True) -> Iterator[SourceImage]:
    """Images as a generated dataset has them: a seed, perhaps a label, no subject."""
    for i, image in enumerate(people(count, samples=2)):
        yield replace(image, subject=None, side=None, seed=i, label=i // 4 if labels else None)


def test_a_run_leaves_an_ordinary_recognizer_and_a_log_of_both_teachers(finished: Path) -> None:
    files = ["checkpoint.pt", "data.json", "recipe.yaml", "recognizer.safetensors", "training.jsonl"]
    assert sorted(contents(finished)) == files
    assert RecognizerRecipe.read(finished / "recipe.yaml") == MASKED
    lines = [json.loads(line) for line in (finished / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    for line in lines:
        assert {"loss", "accuracy", "teacher_cosine", "agreement", "occluded_agreement", "eer"} <= set(line)
        assert all(math.isfinite(value) for value in line.values())
    summary = json.loads((finished / "data.json").read_text())
    assert (summary["method"], summary["teacher"], summary["holdout"]) == ("maskinv", "teacher", 0.3)
    vectors = load_embedder(finished / "recognizer.safetensors").embed([i.pixels for i in people(1)])
    assert vectors.shape == (6, 128)


def test_the_student_knows_the_teachers_people_and_its_own_but_not_the_held_out(finished: Path) -> None:
    file = read_recognizer(finished / "recognizer.safetensors")
    trained = {identity_digest(f"person-{i}") for i in range(8) if i not in (1, 6)}
    assert file.identities == {KNOWN, *trained}
    assert file.orientation == "canonical"


@pytest.mark.parametrize("steps", [1, 3], ids=["before a snapshot", "after a snapshot"])
def test_a_stopped_run_resumes_to_the_very_same_bits(
    finished: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, DistillationRun, steps)
        with pytest.raises(KeyboardInterrupt):
            again(teacher, tmp_path)
    path = again(teacher, tmp_path)
    assert path.read_bytes() == (finished / "recognizer.safetensors").read_bytes()
    ours, theirs = ({k: v for k, v in stored(f).items() if k != "seconds"} for f in (tmp_path, finished))
    assert same(ours, theirs)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"seed": 4}, "of another recipe"),
        ({"data": people(8, samples=2, seed=1)}, "on other images or subjects"),
        ({"start": "another"}, r"that started from nothing, not from [0-9a-f]{12}; give the same --start$"),
        ({"teacher": "another"}, "with another teacher"),
    ],
    ids=["seed", "images", "start", "teacher"],
)
def test_another_run_is_refused_and_changes_nothing(
    copied: Path, teacher: Path, tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    before = contents(copied)
    if "start" in changes:
        changes = {"start": save_random_recognizer(tmp_path / "s.safetensors", RECIPE.backbone)}
    if "teacher" in changes:
        changes = {"teacher": save_random_recognizer(tmp_path / "r.safetensors", seed=1)}
    with pytest.raises(InputError, match=f"holds a run {what}"):
        again(teacher, copied, **changes)
    assert contents(copied) == before


def test_a_loss_that_is_not_finite_is_one_error_and_costs_no_checkpoint(copied: Path, teacher: Path) -> None:
    state = stored(copied)
    state["step"] = 3
    state["head"]["weight"][0, 0] = float("nan")
    torch.save(state, copied / "checkpoint.pt")
    before = contents(copied)
    with pytest.raises(SyperError) as caught:
        again(teacher, copied)
    assert str(caught.value).startswith(f"{copied}: training diverged at step 3 (loss nan")
    assert str(caught.value).endswith("checkpoint.pt is kept; lower optimiser.lr")
    assert contents(copied) == before


def test_generated_classes_are_nobody(teacher: Path, tmp_path: Path) -> None:
    recipe = replace(SHORT, both_eyes="one_class")
    for method, known in (("cls", set()), ("cl", {KNOWN})):
        path = distill(
            method=method,
            teacher=teacher if method == "cl" else None,
            data=generated(),
            recipe=recipe,
            out=tmp_path / method,
        )
        file = read_recognizer(path)
        assert (file.identities_known, set(file.identities)) == (True, known)
        assert file.summary["classes"] == 4 and "note" not in file.summary


def test_a_generated_image_without_a_label_is_an_identity_of_its_own(tmp_path: Path) -> None:
    recipe = replace(SHORT, both_eyes="one_class", sampling=replace(SHORT.sampling, at_least=1))
    for name, images in (
        ("none", generated(labels=False)),
        ("named", (replace(image, subject=f"seed {image.seed}") for image in generated(labels=False))),
    ):
        file = read_recognizer(distill(method="cls", data=images, recipe=recipe, out=tmp_path / name))
        assert file.summary["classes"] == file.summary["images"] == 16
        assert "every image is an identity of its own" in file.summary["note"]
        assert (file.identities_known, set(file.identities)) == (True, set())
    assert same(stored(tmp_path / "none")["backbone"], stored(tmp_path / "named")["backbone"])


def test_images_without_labels_teach_vectors_and_real_ones_of_nobody_leave_the_people_unknown(
    teacher: Path, tmp_path: Path, tiny: Path
) -> None:
    unnamed = [replace(image, subject=None) for image in people(2)]
    for name, known, options in (
        ("images", False, {"data": unnamed}),
        ("generated", True, {"data": generated(labels=False)}),
        ("generator", True, {"generator": tiny}),
    ):
        path = distill(teacher=teacher, recipe=SHORT, out=tmp_path / name, **options)
        file = read_recognizer(path)
        assert file.identities_known == known
        assert file.identities == ({KNOWN} if known else set())
        line = json.loads((tmp_path / name / "training.jsonl").read_text())
        assert {"agreement", "teacher_cosine"} <= set(line)
        assert "accuracy" not in line


def test_options_that_make_no_sense_are_refused_before_anything_is_written(
    teacher: Path, tmp_path: Path, tiny: Path
) -> None:
    wide = save_random_recognizer(tmp_path / "w.safetensors", BackboneConfig("mobilefacenet", 112, 512, "pooling"))
    sideless = [replace(image, side=None) for image in people(4)]
    unnamed = [replace(image, subject=None) for image in people(4)]
    foreign = [replace(image, spectrum="vis") for image in people(4)]
    plain = replace(MASKED, distill=None)
    wrong: list[tuple[dict[str, Any], type[SyperError], str]] = [
        ({"method": "kd"}, UsageError, "--method is 'kd': must be kt, cls, cl, maskinv"),
        ({"method": "cl"}, UsageError, "--method is cl, the recipe says maskinv"),
        ({"method": "cls", "recipe": plain}, UsageError, "--method cls has no teacher"),
        ({"data": None}, UsageError, "--method maskinv needs --data with labels"),
        ({"data": None, "generator": tiny}, UsageError, "--method maskinv needs --data with labels"),
        ({"recipe": plain}, UsageError, "--holdout belongs to labels"),
        (
            {"recipe": plain, "holdout": None, "generator": tiny},
            UsageError,
            "give images with --data or a generator",
        ),
        ({"holdout": 1.5}, UsageError, r"--holdout is 1\.5"),
        ({"data": unnamed}, InputError, "names no subject"),
        ({"data": sideless}, InputError, "names no side"),
        ({"data": foreign}, InputError, "spectrum is vis, the recipe says nir"),
        ({"teacher": wide}, InputError, "vectors of length 512, the student's have 128"),
        ({"teacher": "nobody"}, InputError, "nobody: "),
        ({"steps": 0}, UsageError, "steps is 0"),
    ]
    for changes, kind, message in wrong:
        with pytest.raises(kind, match=message):
            again(teacher, tmp_path / "out", **changes)
        assert not (tmp_path / "out").exists() or not contents(tmp_path / "out"), message


def test_each_method_has_a_recipe_that_fits_its_teacher(teacher: Path) -> None:
    file = read_recognizer(teacher)
    for method in METHODS:
        recipe = default_recipe(method, None if method == "cls" else file)
        assert recipe.distill == DistillConfig(method)
        assert recipe.backbone.embedding_dim == 128
        assert recipe.spectrum == ("vis" if method == "cls" else "nir")
        assert recipe.sampling.at_least == 1  # a generator gives one image a seed
        assert recipe.margin.kind == ("elasticface-arc" if method == "maskinv" else "cosface")
    assert default_recipe("maskinv", file, file).backbone == file.config


def test_the_command_ends_with_one_line_on_a_mistake(copied: Path, teacher: Path) -> None:
    arguments = ["--teacher", str(teacher), "--recipe", str(copied / "recipe.yaml"), "--out", str(copied)]
    done = CliRunner().invoke(command, [*arguments, "--data", str(copied / "nothing")])
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == f"{copied / 'nothing'}: no such file or folder"
