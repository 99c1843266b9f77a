"""A training that begins with a recognizer: its weights, its orientation, its people, and no other start."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from killed_runs import stop_after
from small_recognizer_training import RECIPE, load, make_run, people
from small_recognizers import save_random_recognizer
from small_training import contents, same, stored
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError
from syper_data.recognition.batches import LabelledLessons
from syper_data.recognition.bundled import bundled_by_digest, default_auditors, find_recognizer
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.embedder import load_embedder
from syper_data.recognition.initialisation import check_start, joined_identities
from syper_data.recognition.recipe import RecognizerRecipe, Stage
from syper_data.recognition.recognizer_file import RecognizerFile, identity_digest, read_recognizer
from syper_data.recognition.training import train_recognizer
from syper_data.recognition.training_run import RecognizerRun
from syper_data.recognition.validation import vectors

SHORT = replace(RECIPE, steps=2, snapshot_steps=1, averaging=0.9, stages=(Stage(1, 112),))
HOLDOUT = 0.3  # person-1 of the four
KNOWN = [identity_digest("somebody"), identity_digest("person-1")]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> RecognizerFile:
    path = tmp_path_factory.mktemp("start") / "begun.safetensors"
    return read_recognizer(save_random_recognizer(path, name="begun", identities=KNOWN))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, start: RecognizerFile) -> tuple[Path, dict[str, Any]]:
    """The folder of a run that was never interrupted, and the first line of its log."""
    out = tmp_path_factory.mktemp("initialised") / "run"
    lines: list[dict[str, Any]] = []
    again(out, start, report=lines.append)
    return out, lines[0]


def again(out: Path, start: RecognizerFile | None, **changes: Any) -> Path:
    init_from = None if start is None else start.path
    return train_recognizer(SHORT, people(8), out, **{"holdout": HOLDOUT, "init_from": init_from, **changes})


def begun(recipe: RecognizerRecipe, start: RecognizerFile) -> RecognizerRun:
    return RecognizerRun(recipe, LabelledLessons(load(recipe).training, recipe), start)


def test_the_backbone_begins_as_the_start_and_the_head_fresh(start: RecognizerFile) -> None:
    run, fresh = begun(SHORT, start), make_run(SHORT)
    for network in (run.backbone, run.averaged):
        assert same(dict(network.state_dict()), dict(start.backbone.state_dict()))
    assert same(dict(run.head.state_dict()), dict(fresh.head.state_dict()))
    run.advance()
    assert not same(dict(run.backbone.state_dict()), dict(start.backbone.state_dict()))
    assert file_sha256(start.path) == read_recognizer(start.path).sha256 == start.sha256


def test_log_data_checkpoint_and_file_name_the_start(
    finished: tuple[Path, dict[str, Any]], start: RecognizerFile
) -> None:
    out, first = finished
    file = read_recognizer(out / "recognizer.safetensors")
    for record in (first, json.loads((out / "data.json").read_text()), file.summary):
        assert (record["start"], record["start_sha256"]) == ("begun", start.sha256)
    assert stored(out)["start_sha256"] == start.sha256
    assert str(start.path) not in (out / "data.json").read_text()


def test_the_file_knows_the_people_of_start_and_training(finished: tuple[Path, dict[str, Any]]) -> None:
    out, first = finished
    file = read_recognizer(out / "recognizer.safetensors")
    trained = {identity_digest(f"person-{i}") for i in range(8) if i not in (1, 6)}
    assert file.identities_known
    assert file.identities == trained | set(KNOWN)
    assert (first["validation_subjects"], first["validation_known_to_start"]) == (2, 1)  # person-1 was held out


def test_a_start_that_knows_nobody_leaves_the_people_unknown(start: RecognizerFile) -> None:
    unknown = replace(start, identities=frozenset[str](), identities_known=False)
    assert joined_identities([], ["a"]) == {"a"}
    assert joined_identities([start], ["a"]) == {"a", *KNOWN}
    assert joined_identities([start, unknown], ["a"]) is None


def test_an_interrupted_run_resumes_to_the_same_bits_with_the_same_start_only(
    finished: tuple[Path, dict[str, Any]], start: RecognizerFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = finished
    with monkeypatch.context() as patch:
        stop_after(patch, RecognizerRun, 1)
        with pytest.raises(KeyboardInterrupt):
            again(tmp_path / "run", start)
    before = contents(tmp_path / "run")
    other = read_recognizer(save_random_recognizer(tmp_path / "other.safetensors", seed=1))
    for another, named in ((other, other.sha256[:12]), (None, "nothing")):
        with pytest.raises(InputError) as caught:
            again(tmp_path / "run", another)
        assert str(caught.value) == (
            f"{tmp_path / 'run'}: holds a run that started from {start.sha256[:12]}, not from {named}; "
            "give the same --init-from"
        )
        assert contents(tmp_path / "run") == before
    path = again(tmp_path / "run", start)
    assert path.read_bytes() == (out / "recognizer.safetensors").read_bytes()


def test_a_network_of_the_other_orientation_goes_on_in_it(tmp_path: Path) -> None:
    """Unknown people stay unknown, too."""
    path = save_random_recognizer(tmp_path / "s.safetensors", orientation="opposite", identities=None)
    other = read_recognizer(path)
    canonical = replace(other, orientation="canonical")
    mirrored, straight = (
        begun(SHORT, file)._batch(torch.Generator().manual_seed(1)) for file in (other, canonical)
    )
    assert torch.equal(mirrored.images, straight.images.flip(3))

    written = train_recognizer(
        replace(SHORT, steps=1), people(8), tmp_path / "run", holdout=HOLDOUT, init_from=path
    )
    file = read_recognizer(written)
    assert (file.orientation, file.identities_known, file.identities) == ("opposite", False, frozenset())
    eyes = load().training.first(6)
    ours = vectors(file.backbone, eyes, torch.device("cpu"), mirrored=True)
    embedded = load_embedder(written).embed(list(eyes.pixels), ["image_left"] * len(eyes))
    assert np.allclose(ours, embedded, atol=1e-3)
    assert not np.allclose(ours, vectors(file.backbone, eyes, torch.device("cpu")), atol=1e-2)


def test_a_bundled_recognizer_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = default_auditors("nir")[0]
    monkeypatch.setattr(RecognizerRun, "done", property(lambda run: True))  # what it begins with is the question
    lines: list[dict[str, Any]] = []
    again(tmp_path / "run", None, init_from=name, report=lines.append)
    assert lines[0]["start"] == name
    assert bundled_by_digest(lines[0]["start_sha256"]) == find_recognizer(name)
    assert bundled_by_digest("0" * 64) is None


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        ({"kind": "iresnet18"}, {}, "its kind is iresnet18, the recipe's mobilefacenet; choose another start, or"),
        ({"embedding_dim": 512}, {}, "its embedding_dim is 512, the recipe's 128; "),
        ({"head": "flatten"}, {}, "its head is flatten, the recipe's pooling; .* or change backbone.head$"),
        ({"head": "flatten", "input_size": 224}, {"head": "flatten"}, "its input_size is 224, the recipe's 112; "),
    ],
)
def test_another_architecture_is_refused_and_says_what_differs(
    start: RecognizerFile, theirs: dict[str, Any], ours: dict[str, Any], message: str
) -> None:
    mine = BackboneConfig("mobilefacenet", 112, 128, "pooling")
    with pytest.raises(InputError, match=message) as caught:
        check_start(replace(start, config=replace(mine, **theirs)), replace(mine, **ours))
    assert str(caught.value).startswith(f"{start.path}: ")
    assert "\n" not in str(caught.value)


def test_with_a_pooling_head_the_input_size_and_dropout_may_differ(start: RecognizerFile) -> None:
    wider = replace(SHORT, backbone=replace(SHORT.backbone, input_size=128, dropout=0.3), stages=())
    run = begun(wider, start)
    assert same(dict(run.backbone.state_dict()), dict(start.backbone.state_dict()))


def test_a_start_that_fits_not_or_is_none_is_refused_before_anything_is_read(
    tiny: Path, tmp_path: Path, start: RecognizerFile
) -> None:
    wide = replace(SHORT, backbone=replace(SHORT.backbone, embedding_dim=512))
    (tmp_path / "broken.safetensors").write_bytes(start.path.read_bytes()[:-100])
    for recipe, init_from, message in (
        (wide, start.path, "its embedding_dim is 128, the recipe's 512"),
        (SHORT, tiny, "a generator file, not a recognizer file"),
        (SHORT, tmp_path / "broken.safetensors", r"broken\.safetensors: "),
        (SHORT, "nobody", "nobody: neither a recognizer file nor a bundled recognizer"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            train_recognizer(recipe, tmp_path / "absent", tmp_path / "run", init_from=init_from)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()
