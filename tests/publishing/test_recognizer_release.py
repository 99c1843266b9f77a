"""A recognizer's release: whole, and its card says only what was recorded and measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drawn_crops import png
from small_recognizer_training import RECIPE, people
from small_recognizers import save_random_recognizer
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError
from syper_data.gan.bundled import find_generator
from syper_data.imaging.source import SourceImage
from syper_data.metrics.pairs import all_pairs
from syper_data.publishing.release import release
from syper_data.quantization.distill import distill
from syper_data.recognition.bundled import default_auditors, find_recognizer
from syper_data.recognition.distillation import DistillConfig
from syper_data.recognition.embedder import load_embedder
from syper_data.recognition.evaluation import evaluation_set, percent, write_evaluation
from syper_data.recognition.recognizer_file import read_recognizer
from syper_data.recognition.training import train_recognizer

BUNDLED = ((find_recognizer, "periocular-mfn-nir-v3"), (find_generator, "syper-nir-128-v1"))
FILES = {"recognizer.safetensors", "recipe.yaml", "training.jsonl", "CARD.md"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train_recognizer(replace(RECIPE, steps=2), people(), out, subjects_half=0)
    return out


@pytest.fixture(scope="module")
def evaluation(run: Path) -> Path:
    images: list[SourceImage] = people(5, 2, seed=1)
    vectors = load_embedder(run / "recognizer.safetensors").embed([x.pixels for x in images])
    pairs = all_pairs(vectors, [f"{x.subject} {x.side}" for x in images], [x.subject for x in images])
    entry = evaluation_set("new | people", "all pairs", pairs, images=len(images), data_sha256="ab" * 32)
    write_evaluation(run.parent / "evaluation.json", read_recognizer(run / "recognizer.safetensors"), [entry])
    return run.parent / "evaluation.json"


def test_a_release_holds_everything_and_its_card_the_figures(run: Path, evaluation: Path, tmp_path: Path) -> None:
    done = release(run, tmp_path / "tiny", evaluation=evaluation, terms="Research only.", faults="- Few people.")
    assert done.warnings == ()
    assert {p.name for p in done.path.iterdir()} == FILES | {"evaluation.json"}
    for name in ("recognizer.safetensors", "recipe.yaml", "training.jsonl"):
        assert (done.path / name).read_bytes() == (run / name).read_bytes()
    card = (done.path / "CARD.md").read_text()
    (entry,) = json.loads(evaluation.read_text())["sets"]
    assert f"| {percent(entry['eer'])} | not supported | not supported | 5 | 10 | 160 (40 distinct) |" in card
    for text in (
        "# tiny\n",
        "near-infrared",
        "Research only.",
        "- Few people.",
        "--subjects-half 0",
        "elasticface-arc",
    ):
        assert text in card
    for name in FILES - {"CARD.md"} | {"evaluation.json"}:
        assert file_sha256(done.path / name) in card
    assert str(tmp_path) not in card
    assert load_embedder(done.path / "recognizer.safetensors").name == "tiny"


def test_a_card_names_what_the_run_began_with_and_its_terms(tmp_path: Path) -> None:
    """A bundled recognizer by its name, with the terms on its card; a file by its digest."""
    bundled = default_auditors("nir")[0]
    unknown = save_random_recognizer(tmp_path / "mine.safetensors", name="mine", identities=None)
    for name, option, init_from in ((bundled, bundled, find_recognizer(bundled)), ("mine", "START", unknown)):
        begun, out = read_recognizer(init_from), tmp_path / f"run-{name}"
        train_recognizer(replace(RECIPE, steps=1), people(8), out, holdout=0.3, init_from=init_from)
        card = (release(out, tmp_path / name, unevaluated=True, terms="Mine.").path / "CARD.md").read_text()
        assert f"| Begins with | `{name}`, SHA-256 `{begun.sha256}` |" in card
        assert f"begins with the weights of `{name}` (SHA-256 `{begun.sha256}`); its terms hold too" in card
        again = f"train-recognizer recipe.yaml --data CROPS --holdout 0.3 --init-from {option} --out RUN"
        assert f"\n    syper-data {again}\n" in card
        assert "\n6 people, 12 classes, 36 images.\n" in card
        assert "Mine." in card
        assert str(tmp_path) not in card
        assert ("\n> Research only" in card) == begun.identities_known
        assert (f"its start was trained on, {len(begun.identities) + 6} in all" in card) == begun.identities_known
        assert ("no test of it can be refused on them" in card) != begun.identities_known
        assert (" (its start knew 0 of them)" in card) == begun.identities_known
        assert (" (its start knew an unknown number of them)" in card) != begun.identities_known


def test_a_distilled_recognizers_card_has_the_command_that_makes_it(tmp_path: Path) -> None:
    teacher = save_random_recognizer(tmp_path / "teacher.safetensors", name="teacher")
    recipe = replace(RECIPE, steps=1, validation_images=10, distill=DistillConfig("kt"))
    distill(teacher=teacher, start=teacher, data=people(), recipe=recipe, out=tmp_path / "run")
    card = (release(tmp_path / "run", tmp_path / "kt", unevaluated=True).path / "CARD.md").read_text()
    command = "distill --recipe recipe.yaml --data CROPS --teacher TEACHER --start START --out RUN"
    assert f"\n    syper-data {command}\n" in card
    assert f"| Teacher | `teacher`, SHA-256 `{file_sha256(teacher)}` |" in card


def test_a_distilled_recognizers_card_names_bundled_networks_and_counts_no_people_of_the_teachers(
    tmp_path: Path,
) -> None:
    recipe = replace(RECIPE, steps=1, validation_images=10, distill=DistillConfig("kt"))
    teacher, generator = (find(name) for find, name in BUNDLED)
    distill(teacher=teacher, generator=generator, recipe=recipe, out=tmp_path / "run")
    card = (release(tmp_path / "run", tmp_path / "kt", unevaluated=True).path / "CARD.md").read_text()
    (_, known), (_, made) = BUNDLED
    assert (
        f"\n    syper-data distill --recipe recipe.yaml --generator {made} --teacher {known} --out RUN\n" in card
    )
    assert f"| Teacher | `{known}`, SHA-256 `{file_sha256(teacher)}` |" in card
    assert "\nimages that a generator made, each of them once.\n" in card
    assert (
        f" whom its teacher knew or its real images name, {len(read_recognizer(teacher).identities)} in all"
        in card
    )
    assert "| Method | `kt` of `syper-data distill` |" in card
    assert "| Loss |" not in card


def test_a_card_says_which_options_chose_what_was_read(tmp_path: Path) -> None:
    images = people(8)
    for name, part in (("a.parquet", images[: len(images) // 2]), ("b.parquet", images[len(images) // 2 :])):
        columns = {
            "image": [png(image.pixels) for image in part],
            "person": [image.subject for image in part],
            "side": [image.side for image in part],
        }
        pq.write_table(pa.table(columns), tmp_path / name)
    (tmp_path / "who.txt").write_text("".join(f"person-{number}\n" for number in range(7)))
    train_recognizer(
        replace(RECIPE, steps=1), [tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path / "run",
        columns={"subject": "person"}, subjects=tmp_path / "who.txt", holdout=0.3,
    )  # fmt: skip
    card = (release(tmp_path / "run", tmp_path / "tiny", unevaluated=True).path / "CARD.md").read_text()
    options = "--data CROPS-1 --data CROPS-2 --columns subject=person --holdout 0.3 --subjects LIST"
    assert f"\n    syper-data train-recognizer recipe.yaml {options} --out RUN\n" in card
    assert "person-" not in (tmp_path / "run" / "data.json").read_text()


def test_without_an_evaluation_the_card_says_that_nothing_was_measured(run: Path, tmp_path: Path) -> None:
    done = release(run, tmp_path / "other", unevaluated=True)
    assert "Do not rely on it" in (done.path / "CARD.md").read_text()
    assert {p.name for p in done.path.iterdir()} == FILES
    told = " | ".join(done.warnings)
    for words in ("no --terms", "no --faults", "is named 'tiny' wherever it is shown"):
        assert words in told


def damaged(content: dict[str, Any], case: str) -> str:
    if case == "schema":
        content["schema"] = "syper-evaluation/1"
    elif case == "another":
        content["recognizer"]["sha256"] = "0" * 64
    elif case == "no sets":
        content["sets"] = []
    elif case == "no rate":
        content["sets"][0]["eer"]["value"] = None
    elif case == "no count":
        del content["sets"][0]["mated"]
    return "[]" if case == "list" else json.dumps(content)


@pytest.mark.parametrize("case", ["schema", "another", "no sets", "no rate", "no count", "list"])
def test_a_damaged_evaluation_or_one_of_another_network_is_refused(
    run: Path, evaluation: Path, tmp_path: Path, case: str
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(damaged(json.loads(evaluation.read_text()), case))
    with pytest.raises(InputError, match=r"bad\.json: ") as caught:
        release(run, tmp_path / "r", evaluation=bad)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("missing", ["recipe.yaml", "training.jsonl"])
def test_what_a_run_lacks_is_named(run: Path, tmp_path: Path, missing: str) -> None:
    (tmp_path / "run").mkdir()
    for name in FILES - {"CARD.md", missing}:
        (tmp_path / "run" / name).write_bytes((run / name).read_bytes())
    with pytest.raises(InputError, match=f"holds no {missing}"):
        release(tmp_path / "run", tmp_path / "r", unevaluated=True)
