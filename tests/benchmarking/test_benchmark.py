"""From models and a protocol to figures, scores that are kept, and a page; again from the scores alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from small_protocols import drawn_protocol
from small_recognizers import save_random_recognizer
from syper_data.benchmarking.benchmark import BenchmarkResult, rescore
from syper_data.benchmarking.results import read_results
from syper_data.benchmarking.summary import over_text, summary_rows
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, LockedError, UsageError
from syper_data.recognition.embeddings import Embeddings
from syper_data.recognition.recognizer_file import identity_digest

Run = Callable[..., BenchmarkResult]


def test_the_folder_holds_results_scores_and_a_page(run: Run, tmp_path: Path) -> None:
    done = run()
    files = sorted(p.name for p in done.path.iterdir() if not p.name.startswith("."))
    assert files == ["report.html", "results.json", "scores-fold1.parquet"]
    assert read_results(done.path) == json.loads((done.path / "results.json").read_text("utf-8")) == done.results
    fold = done.results["folds"][0]
    assert set(fold["figures"]) == {"halves", "centre"}
    for figures in fold["figures"].values():
        eer = figures["verification"]["eer"]
        assert 0 <= eer["low"] <= eer["value"] <= eer["high"] < 0.5
    about = done.results["protocol"]["folds"][0]
    assert (about["images"], about["people"], about["mated"], about["nonmated"]) == (48, 8, 48, 504)
    assert done.results["images"] == {"distinct": 48, "sha256": done.results["images"]["sha256"], "failures": []}


def test_the_same_inputs_give_the_same_bytes(run: Run, tmp_path: Path) -> None:
    a, b = run(out=tmp_path / "a"), run(out=tmp_path / "b")
    for name in ("results.json", "report.html", "scores-fold1.parquet"):
        assert (a.path / name).read_bytes() == (b.path / name).read_bytes(), name
    assert str(tmp_path) not in (a.path / "results.json").read_text("utf-8")


def test_the_figures_come_from_the_scores_alone_once_more(run: Run, tmp_path: Path) -> None:
    done = run(protocol=drawn_protocol(folds=2, lost=["person-1/image_left/0"]), paper_compat=True)
    kept = {p.name: p.read_bytes() for p in done.path.glob("*.*")}
    (done.path / "report.html").unlink()
    again = rescore(done.path)
    assert again.results == done.results
    assert {p.name: p.read_bytes() for p in done.path.glob("*.*")} == kept


def test_scores_that_are_missing_changed_or_of_another_run_are_refused(run: Run, tmp_path: Path) -> None:
    done = run()
    scores = done.path / "scores-fold1.parquet"
    good = scores.read_bytes()
    scores.write_bytes(good + b"x")
    with pytest.raises(InputError, match=r"is not the one that results\.json lists"):
        rescore(done.path)
    scores.unlink()
    with pytest.raises(InputError, match=r"scores-fold1\.parquet: is not there"):
        rescore(done.path)
    scores.write_bytes(good)
    results = done.path / "results.json"
    whole = results.read_text("utf-8")
    for text, words in (
        ("{", "damaged"),
        ('{"schema": "other"}', "schema is 'other'"),
        ('{"schema": "syper-benchmark/1"}', "has no 'folds'"),
        (whole.replace('"repeats"', '"repeat"'), "is not one that benchmark writes"),
        (whole.replace('"trained_on"', '"x"').replace('"labels"', '"y"'), "is not one that benchmark writes"),
        (whole.replace('"seed": 3', '"seed": "3"'), "is not one that benchmark writes"),
    ):
        results.write_text(text)
        with pytest.raises(InputError, match=words):
            rescore(done.path)
    with pytest.raises(InputError, match="no benchmark was finished here"):
        rescore(tmp_path)


def test_several_folds_have_a_mean_and_a_deviation(run: Run, tmp_path: Path) -> None:
    done = run(protocol=drawn_protocol(folds=3))
    assert len(list(done.path.glob("scores-fold*.parquet"))) == 3
    for label in ("halves", "centre"):
        values = [f["figures"][label]["verification"]["eer"]["value"] for f in done.results["folds"]]
        summary = done.results["summary"][label]["eer"]
        assert summary["mean"] == pytest.approx(np.mean(values))
        assert summary["deviation"] == pytest.approx(np.std(values, ddof=1))
        assert summary["n"] == 3


def test_an_earlier_runs_folds_do_not_stay_behind(run: Run, tmp_path: Path) -> None:
    run(protocol=drawn_protocol(folds=3))
    done = run(protocol=drawn_protocol(folds=3), folds=["2"], replace=True)
    assert [p.name for p in done.path.glob("scores*")] == ["scores-fold2.parquet"]
    with pytest.raises(UsageError, match="--folds 9: the protocol drawn has 1, 2, 3"):
        run(protocol=drawn_protocol(folds=3), folds=["9"])


def test_models_are_compared_on_the_same_pairs(run: Run, tmp_path: Path) -> None:
    fold = run().results["folds"][0]
    assert [(d["models"], d["figure"]) for d in fold["differences"]] == [
        (["halves", "centre"], "eer"),
        (["halves", "centre"], "rank1"),
    ]
    eers = [fold["figures"][m]["verification"]["eer"]["value"] for m in ("halves", "centre")]
    found = fold["differences"][0]["difference"]
    assert found["low"] <= found["value"] <= found["high"]
    assert found["value"] == pytest.approx(eers[0] - eers[1], abs=1e-9)


def test_a_failure_to_acquire_is_counted_not_dropped(run: Run, tmp_path: Path) -> None:
    lost = ["person-1/image_left/0", "person-4/image_right/2"]
    whole, less = run(out=tmp_path / "a"), run(out=tmp_path / "b", protocol=drawn_protocol(lost=lost))
    for record in (whole, less):
        assert record.results["protocol"]["folds"][0]["mated"] == 48
    assert less.results["images"]["failures"] == [{"name": n, "reason": "no eye was found"} for n in lost]
    for label in ("halves", "centre"):
        a, b = (r.results["folds"][0]["figures"][label]["verification"]["eer"]["value"] for r in (whole, less))
        assert b > a
    page = (less.path / "report.html").read_text("utf-8")
    assert "2 of 48 images could not be acquired" in page
    assert "Only d\N{PRIME} leaves them out, for they have no score." in page


def test_a_model_that_knows_the_people_is_refused_or_labelled_everywhere(run: Run, tmp_path: Path) -> None:
    knows = save_random_recognizer(
        tmp_path / "knows.safetensors", name="knows", identities=[identity_digest(f"person-{i}") for i in (0, 5)]
    )
    with pytest.raises(InputError, match=r"knows was trained on 2 of the 8 people of fold 1 \(one is person-0\)"):
        run(models=[knows])
    assert not (tmp_path / "out").exists()
    done = run(models=[knows], allow_contaminated=True)
    text = "contaminated: trained on 2 of the 8 people of fold 1"
    assert done.results["models"][0]["labels"] == [text]
    assert done.results["models"][0]["trained_on"] == {"1": 2}
    assert f"<strong>knows</strong>: {text}." in (done.path / "report.html").read_text("utf-8")


def test_a_model_whose_people_are_unknown_or_that_is_for_other_light_is_labelled(run: Run, tmp_path: Path) -> None:
    silent = save_random_recognizer(tmp_path / "r.safetensors", identities=None, spectrum="nir")
    labels = run(models=[silent]).results["models"][0]["labels"]
    assert labels == [
        "does not say whom it was trained on: it may know these people",
        "made for nir images, tested on vis ones",
    ]


def test_images_stand_on_the_page_only_when_asked_for(run: Run, tmp_path: Path) -> None:
    hidden, shown = run(out=tmp_path / "a"), run(out=tmp_path / "b", show_images=True)
    pages = [(r.path / "report.html").read_text("utf-8") for r in (hidden, shown)]
    assert ["data:image/jpeg" in page for page in pages] == [False, True]
    assert ["Do not publish this page" in page for page in pages] == [False, True]
    assert all("person-" in page for page in pages)
    rescore(shown.path)
    assert "data:image/jpeg" not in (shown.path / "report.html").read_text("utf-8")


def test_a_folder_in_use_is_left_alone(run: Run, tmp_path: Path) -> None:
    done = run()
    kept = (done.path / "results.json").read_bytes()
    with folder_lock(done.path):
        for again in (lambda: run(), lambda: rescore(done.path)):
            with pytest.raises(LockedError):
                again()
    assert (done.path / "results.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"repeats": 0}, "--repeats is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"models": []}, "no model was given"),
        ({"models": ["halves", "halves"]}, "was given twice"),
        ({"root": "x"}, "an opened one has its own"),
        ({"protocol": "ufpr-periocular-closed"}, "--root: where is your copy"),
        ({"protocol": "no-such"}, "no-such"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_written(
    options: dict[str, Any], words: str, run: Run, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        run(**options)
    assert not (tmp_path / "out").exists()


def test_equal_scores_give_a_page_that_says_so(run: Run) -> None:
    done = run(models=["constant"], protocol=drawn_protocol(folds=2))
    verification = done.results["folds"][0]["figures"]["constant"]["verification"]
    assert (verification["eer"]["value"], verification["auc"]["value"]) == (0.5, 0.5)
    assert "EER: 50.00\xa0% ± 0.00." in (done.path / "report.html").read_text("utf-8")


def test_a_figure_that_is_not_finite_is_not_called_unsupported(run: Run) -> None:
    results = run(models=["constant"]).results
    results["folds"][0]["figures"]["constant"]["verification"]["d_prime"]["value"] = None
    cells = dict(summary_rows(results))
    assert cells["d\N{PRIME}"] == ["not defined"]
    assert cells["FNMR at FMR ≤ 0.0001\xa0%"] == ["not supported"]
    assert over_text({"mean": None, "deviation": None, "n": 2}, 2, "distance") == "not defined"


def test_one_person_or_one_image_an_eye_has_no_error_rates(run: Run, tmp_path: Path) -> None:
    for protocol, words in (
        (drawn_protocol(people=1), "6 mated and 0 non-mated comparisons of 1 people"),
        (drawn_protocol(samples=1), "0 mated"),
    ):
        with pytest.raises((UsageError, InputError), match=words):
            run(protocol=protocol)
        assert not (tmp_path / "out" / "results.json").exists()


def test_embeddings_of_a_file_are_a_model_and_damaged_ones_are_not(run: Run, tmp_path: Path) -> None:
    protocol = drawn_protocol(people=4)
    names = list(protocol.folds[0].images)
    vectors = np.random.default_rng(0).normal(size=(len(names), 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    Embeddings(vectors, pa.table({"source_id": names}), "ab" * 32, "theirs").write(tmp_path / "e.parquet")
    done = run(protocol=protocol, models=[tmp_path / "e.parquet"])
    assert done.results["models"][0]["embedder_sha256"] == "ab" * 32
    assert "does not say whom it was trained on" in done.results["models"][0]["labels"][0]
    knows = Embeddings(
        vectors,
        pa.table({"source_id": names}),
        "ab" * 32,
        "k",
        identities=frozenset([identity_digest("person-2")]),
    )
    knows.write(tmp_path / "knows.parquet")
    with pytest.raises(InputError, match=r"knows \(k\) was trained on 1 of the 4 people of fold 1"):
        run(protocol=protocol, models=[tmp_path / "knows.parquet"], out=tmp_path / "knows")
    table = pq.read_table(tmp_path / "e.parquet")
    values = np.where(np.arange(vectors.size) == 12, np.nan, vectors.reshape(-1)).astype(np.float32)
    wrong = pa.FixedSizeListArray.from_arrays(pa.array(values), 5)
    column = table.schema.get_field_index("embedding")
    pq.write_table(table.set_column(column, table.schema.field(column), wrong), tmp_path / "nan.parquet")
    with pytest.raises(InputError, match="row 2: the embedding holds values that are not finite"):
        run(protocol=protocol, models=[tmp_path / "nan.parquet"])
    fewer = Embeddings(vectors[1:], pa.table({"source_id": names[1:]}), "ab" * 32, "theirs")
    fewer.write(tmp_path / "fewer.parquet")
    with pytest.raises(InputError, match=f"holds no embedding of {names[0]}"):
        run(protocol=protocol, models=[tmp_path / "fewer.parquet"], out=tmp_path / "fewer")


def test_too_many_comparisons_give_the_same_figures_but_no_scores(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from syper_data.benchmarking import benchmark as module
    from syper_data.benchmarking.measured import measure

    whole = run(out=tmp_path / "a")
    monkeypatch.setattr(module, "measure", partial(measure, most=100))
    with pytest.raises(UsageError, match="too many comparisons for --paper-compat"):
        run(out=tmp_path / "c", paper_compat=True)
    blocked = run(out=tmp_path / "b")
    for label in ("halves", "centre"):
        a, b = (r.results["folds"][0]["figures"][label]["verification"] for r in (whole, blocked))
        assert (a["eer"], a["at"], a["auc"]) == (b["eer"], b["at"], b["auc"])
    assert not list(blocked.path.glob("scores*"))
    page = (blocked.path / "report.html").read_text("utf-8")
    assert "there are too many comparisons to keep their scores" in page
    assert 'class="line s1"' in page
    with pytest.raises(InputError, match="the scores of fold 1 were too many to keep"):
        rescore(blocked.path)


def test_compat_orientation_is_for_models_that_say_none(run: Run, tmp_path: Path) -> None:
    file = save_random_recognizer(tmp_path / "r.safetensors")
    with pytest.raises(UsageError, match="--compat-orientation is for ONNX files and functions"):
        run(models=[file], compat_orientation=True)
    plain, turned = run(out=tmp_path / "a"), run(out=tmp_path / "b", compat_orientation=True)
    assert turned.results["settings"]["compat_orientation"]
    a, b = (r.results["folds"][0]["figures"]["halves"]["verification"]["eer"]["value"] for r in (plain, turned))
    assert a == pytest.approx(b, abs=0.2)


def test_a_full_disk_leaves_no_half_results(run: Run, tmp_path: Path, small_disk: Path) -> None:
    from syper_data.errors import OutputError

    (small_disk / "filler").write_bytes(b"x" * 1_030_000)
    with pytest.raises(OutputError):
        run(out=small_disk / "out", cache=tmp_path / "cache")
    assert not (small_disk / "out" / "results.json").exists()


def test_two_models_of_one_name_in_different_folders_are_told_apart_and_one_given_twice_is_refused(
    run: Run, tmp_path: Path
) -> None:
    files = [
        save_random_recognizer(tmp_path / folder / "recognizer.safetensors", seed=seed, name="same")
        for folder, seed in (("a", 0), ("b", 1), ("c", 1))
    ]
    done = run(models=files[:2])
    labels = [model["label"] for model in done.results["models"]]
    assert labels == [f"same ({model['sha256'][:8]})" for model in done.results["models"]]
    assert done.given == dict(zip(labels, map(str, files), strict=False))
    assert set(done.results["folds"][0]["figures"]) == set(labels)
    with pytest.raises(UsageError, match=r"c/recognizer\.safetensors: is the same model as .*b/recognizer"):
        run(models=files[1:])
