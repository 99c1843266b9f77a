"""A release: whole, immutable, and its card says only what was recorded and measured."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from drawn_crops import ThumbnailJudge, drawn_eye, write_crops
from small_generators import REPOSITORY, save_small_generator, small_generator
from syper_data.dataset.shards import file_sha256
from syper_data.errors import ConfigError, InputError, OutputError, UsageError
from syper_data.evaluation.evaluate import evaluate
from syper_data.gan.bundled import find_generator, open_generator
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator
from syper_data.gan.generator_file import load_generator, save_generator
from syper_data.gan.recipe import TrainingRecipe
from syper_data.publishing.generator_card import bundled_faults, training_command, training_hours
from syper_data.publishing.release import read_evaluation, release
from syper_data.rendering.numbers import number

RUN_FILES = {"generator.safetensors", "recipe.yaml", "training.jsonl"}
FILES = {*RUN_FILES, "contact-sheet.jpg", "evaluation.json", "CARD.md"}
SUMMARY = {"kimg": 8.0, "images": 120, "data_sha256": "ab" * 32, "adversary": "projected discriminator on a net"}
CONFIG = GeneratorConfig(resolution=128, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a 128 px generator of random weights."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    write_run(folder)
    return folder


def write_run(folder: Path, summary: dict[str, Any] = SUMMARY) -> None:
    recipe = TrainingRecipe("eyes-v1", "vis", CONFIG, total_kimg=8)
    save_generator(Generator(CONFIG), folder / "generator.safetensors", spectrum="vis", summary=summary)
    (folder / "recipe.yaml").write_text(recipe.write_text())
    lines = [{"kimg": 4.0, "seconds": 1800.0, "loss_d": 1.0}, {"kimg": 8.0, "seconds": 3600.0, "loss_d": 1.0}]
    (folder / "training.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def evaluation(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("matplotlib", reason="the [report] extra is missing")
    folder = tmp_path_factory.mktemp("evaluations")
    crops = write_crops(folder / "crops.parquet", [drawn_eye(i) for i in range(80)])
    small: dict[str, Any] = {"n": 40, "subset_size": 20, "subsets": 5, "splits": 1}
    evaluate(run, real=crops, train=crops, holdout=0.4, out=folder / "out", judge=ThumbnailJudge(), **small)
    return folder / "out" / "evaluation.json"


def test_a_release_holds_everything_and_its_card_the_figures(run: Path, evaluation: Path, tmp_path: Path) -> None:
    done = release(run, tmp_path / "eyes-v1", evaluation=evaluation, terms="Research only.", faults="- Too alike.")
    assert done.warnings == ()
    assert {p.name for p in done.path.iterdir()} == FILES
    for name in ("generator.safetensors", "recipe.yaml", "training.jsonl"):
        assert (done.path / name).read_bytes() == (run / name).read_bytes()
    assert (done.path / "evaluation.json").read_bytes() == evaluation.read_bytes()
    assert Image.open(done.path / "contact-sheet.jpg").size == (1280, 768)

    card = (done.path / "CARD.md").read_text("utf-8")
    measured = json.loads(evaluation.read_text())
    kid = measured["figures"][f"kid_{ThumbnailJudge.name}"]
    shown = f"{number(kid['value'])} | [{number(kid['low'])}, {number(kid['high'])}]"
    assert f"`kid_{ThumbnailJudge.name}` | {shown} | {kid['n_real']} real, 40 generated, subsets of 20 |" in card
    assert measured["memorisation"]["verdict"][:20] in card
    assert measured["real"]["sha256"] in card
    for text in (
        "# eyes-v1\n",
        "Research only.",
        "- Too alike.",
        "ab" * 32,
        "1.0 hours",
        "8 thousand images",
        "nose",
    ):
        assert text in card
    for name in FILES - {"CARD.md"}:
        assert file_sha256(done.path / name) in card
    assert str(tmp_path) not in card


def test_a_released_folder_is_used_like_a_bundled_one(run: Path, evaluation: Path, tmp_path: Path) -> None:
    path = release(run, tmp_path / "eyes-v1", evaluation=evaluation).path
    assert open_generator(path / "generator.safetensors").name == "eyes-v1"
    recipe = TrainingRecipe.read(path / "recipe.yaml")
    assert recipe.generator == load_generator(path / "generator.safetensors").config


def test_a_release_is_never_changed(run: Path, tmp_path: Path) -> None:
    path = release(run, tmp_path / "eyes-v1", unevaluated=True).path
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    with pytest.raises(OutputError, match="immutable"):
        release(run, path, unevaluated=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutputError, match="is there already"):
        release(run, tmp_path / "empty", unevaluated=True)
    assert before == {p.name: p.read_bytes() for p in path.iterdir()}


def test_without_an_evaluation_the_card_says_that_nothing_was_measured(run: Path, tmp_path: Path) -> None:
    done = release(run, tmp_path / "other-name", unevaluated=True)
    card = (done.path / "CARD.md").read_text()
    assert "Nothing: no distance to real data" in card
    assert "None were written down" in card
    assert not (done.path / "evaluation.json").exists()
    told = " | ".join(done.warnings)
    assert told == (
        "no --terms: the card says that none were written | no --faults: the card says that none were written"
    )


def test_measured_or_said_not_to_be(run: Path, evaluation: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="both missing"):
        release(run, tmp_path / "r")
    with pytest.raises(UsageError, match="exclude each other"):
        release(run, tmp_path / "r", evaluation=evaluation, unevaluated=True)


def test_the_evaluation_of_another_generator_is_refused(run: Path, evaluation: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    other.mkdir()
    write_run(other)
    with pytest.raises(InputError, match=file_sha256(run / "generator.safetensors")):
        release(other, tmp_path / "r", evaluation=evaluation)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("case", ["text", "schema", "no figures", "nan", "features", "list"])
def test_a_damaged_evaluation_is_refused(case: str, run: Path, evaluation: Path, tmp_path: Path) -> None:
    content = json.loads(evaluation.read_text())
    if case == "schema":
        content["schema"] = "syper-evaluation/9"
    elif case == "no figures":
        content["figures"] = {}
    elif case == "nan":
        content["figures"][f"recall_{ThumbnailJudge.name}"]["value"] = float("nan")
    elif case == "features":
        content["generated"] = {"kind": "features", "generator": None}
    bad = tmp_path / "bad.json"
    bad.write_text("{" if case == "text" else "[]" if case == "list" else json.dumps(content))
    with pytest.raises(InputError, match=r"bad\.json") as caught:
        release(run, tmp_path / "r", evaluation=bad)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        release(run, tmp_path / "r", evaluation=tmp_path / "none.json")
    assert not (tmp_path / "r").exists()


def test_the_evaluations_folder_will_do(run: Path, evaluation: Path) -> None:
    sha256 = file_sha256(run / "generator.safetensors")
    assert read_evaluation(evaluation.parent, sha256) == read_evaluation(evaluation, sha256)


@pytest.mark.parametrize("missing", sorted(RUN_FILES))
def test_what_a_run_lacks_is_named(missing: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_run(folder)
    (folder / missing).unlink()
    with pytest.raises(InputError, match=f"holds no {re.escape(missing)}"):
        release(folder, tmp_path / "r", unevaluated=True)
    with pytest.raises(InputError, match="no such folder"):
        release(tmp_path / "nowhere", tmp_path / "r", unevaluated=True)


def test_weights_that_are_not_finite_are_not_released(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_run(folder)
    generator = Generator(CONFIG)
    generator.mapping.w_avg.fill_(float("nan"))
    save_generator(generator, folder / "generator.safetensors", spectrum="vis", summary=SUMMARY)
    with pytest.raises(InputError, match="not finite"):
        release(folder, tmp_path / "r", unevaluated=True)


def test_a_recipe_of_another_architecture_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_run(folder)
    recipe = TrainingRecipe("eyes-v1", "vis", replace(CONFIG, z_dim=16), total_kimg=8)
    (folder / "recipe.yaml").write_text(recipe.write_text())
    with pytest.raises(InputError, match="another architecture"):
        release(folder, tmp_path / "r", unevaluated=True)
    (folder / "recipe.yaml").write_text("name: 1\n")
    with pytest.raises((InputError, ConfigError)):
        release(folder, tmp_path / "r", unevaluated=True)


@pytest.mark.parametrize(("log", "words"), [("", "is empty"), ('{"kimg": 1}\n[1]\n', "line 2: not a JSON object")])
def test_a_damaged_log_is_named(log: str, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_run(folder)
    (folder / "training.jsonl").write_text(log)
    with pytest.raises(InputError, match=words):
        release(folder, tmp_path / "r", unevaluated=True)


def test_terms_and_faults_are_read_from_files(run: Path, tmp_path: Path) -> None:
    (tmp_path / "terms.md").write_text("Line one.\n\n- a list\n")
    done = release(run, tmp_path / "r", unevaluated=True, terms=str(tmp_path / "terms.md"), faults="none seen")
    assert "Line one.\n\n- a list\n" in (done.path / "CARD.md").read_text()
    with pytest.raises(InputError, match="no such file"):
        release(run, tmp_path / "r2", unevaluated=True, terms="missing.md")
    with pytest.raises(UsageError, match="--faults is empty"):
        release(run, tmp_path / "r2", unevaluated=True, faults=" ")


def test_a_run_that_was_not_finished_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_run(folder, {**SUMMARY, "kimg": 4.0})
    told = release(folder, tmp_path / "eyes-v1", unevaluated=True).warnings
    assert any("4 of its recipe's 8 thousand" in line for line in told)


def test_texts_of_a_generators_header_mark_nothing_up(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    hostile = "x` <script>alert(1)</script> | [a](javascript:b)"
    write_run(folder, {**SUMMARY, "adversary": hostile, "data_sha256": hostile, "images": hostile})
    card = (release(folder, tmp_path / "r", unevaluated=True).path / "CARD.md").read_text()
    assert "<script>" not in card.replace("`` x` <script>alert(1)</script> | [a](javascript:b) ``", "")


def test_a_failed_release_leaves_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("syper_data.publishing.release.render_generator_card", fail)
    with pytest.raises(OutputError, match="No space left"):
        release(run, tmp_path / "r", unevaluated=True)
    assert list(tmp_path.iterdir()) == []


def test_hours_are_summed_over_resumed_parts() -> None:
    def log(*seconds: float) -> tuple[dict[str, Any], ...]:
        return tuple({"kimg": 1.0, "seconds": s} for s in seconds)

    assert training_hours(log(1800, 3600)) == "1.0"
    assert training_hours(log(3600, 1800, 3600)) == "2.0"
    assert training_hours(({"kimg": 1.0},)) == ""
    assert training_hours(log(170)) == ""


@pytest.mark.parametrize(
    ("summary", "options"),
    [
        ({}, ""),
        ({"columns": {"subject": "my id", "side": "eye"}, "holdout": 0.1},
         " --columns side=eye --columns 'subject=my id' --holdout 0.1"),
        ({"listed": {"subjects": 60}, "init_from": "ef" * 32}, " --subjects LIST --init-from FILE"),
        ({"columns": {"subject": "a\nb"}, "holdout": "half"}, " --columns 'subject=a b'"),
    ],
    ids=["data alone", "columns and a share", "a list and a start", "a hostile header"],
)  # fmt: skip
def test_the_card_holds_the_command_of_the_run(summary: dict[str, Any], options: str) -> None:
    assert training_command(summary) == f"syper-data train-generator recipe.yaml --data CROPS{options} --out RUN"


def test_the_card_says_who_was_listed_and_what_it_began_with(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    told = {"listed": {"subjects": 60, "sha256": "cd" * 32}, "init_from": "ef" * 32}
    write_run(tmp_path / "run", {**SUMMARY, **told})
    card = (release(tmp_path / "run", tmp_path / "r", unevaluated=True).path / "CARD.md").read_text()
    assert f"the 60 subjects that it was trained on (SHA-256 of their sorted ids `{'cd' * 32}`)" in card
    assert f"began with the generator whose file has the SHA-256 `{'ef' * 32}`" in card
    assert "--subjects LIST --init-from FILE --out RUN\n" in card


def test_the_faults_of_a_bundled_generator_are_found_by_its_digest(tmp_path: Path) -> None:
    found = bundled_faults(file_sha256(find_generator("syper-vis-128-v1")))
    assert found is not None
    assert "Too alike" in found
    assert "##" not in found
    assert bundled_faults(file_sha256(save_small_generator(tmp_path / "g.safetensors"))) is None


def test_the_first_bundled_release_stays_as_it_was() -> None:
    folder = REPOSITORY / "generator" / "syper-vis-128-v1"
    assert {p.name for p in folder.iterdir()} == FILES - {"evaluation.json"}
    assert small_generator().config != load_generator(folder / "generator.safetensors").config
