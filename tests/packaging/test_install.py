"""The same code finds the artefacts in a checkout, an editable install and a wheel."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from small_generators import REPOSITORY
from syper_data.artifacts import KINDS

ASK = (
    "import json, syper_data; from syper_data.artifacts import artifact_folder as f, KINDS\n"
    "from syper_data.gan.bundled import bundled_generators, default_generator, open_generator\n"
    "print(json.dumps({'code': syper_data.__file__, 'folders': [str(f(k)) for k in KINDS],"
    " 'default': default_generator(), 'names': sorted(bundled_generators()),"
    " 'resolution': open_generator().config.resolution}))"
)


def ask(path: Path, cwd: Path) -> dict[str, object]:
    environment = {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_a_checkout_finds_them_beside_the_package(tmp_path: Path) -> None:
    for name in ("syper_data", *KINDS):
        shutil.copytree(REPOSITORY / name, tmp_path / "tree" / name, ignore=shutil.ignore_patterns("__pycache__"))
    answer = ask(tmp_path / "tree", tmp_path)
    assert answer["folders"] == [str(tmp_path / "tree" / k) for k in KINDS]
    assert answer["default"] in answer["names"]  # type: ignore[operator]


def test_an_editable_install_finds_them_in_the_repository() -> None:
    text = importlib.metadata.distribution("syper-data").read_text("direct_url.json")
    if not text or not json.loads(text).get("dir_info", {}).get("editable"):
        pytest.skip("this environment holds no editable install of syper-data")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, cwd="/", env=environment, check=True
    )
    folders = json.loads(done.stdout)["folders"]
    assert [Path(f).parent for f in folders] == [REPOSITORY] * len(KINDS)


def test_the_wheel_installs_syper_data_alone_and_carries_the_artefacts(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(REPOSITORY)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {n.split("/")[0] for n in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"syper_data"}
    for wanted in (
        "generator/default.yaml",
        "recognizer/default.yaml",
        "cards/dataset.md.j2",
        "protocols/README.md",
        "experiments/quantization.yaml",
    ):
        assert f"syper_data/_artifacts/{wanted}" in names
    assert "syper_data/py.typed" in names
    subprocess.run([*pip, "install", "--no-deps", "--target", str(tmp_path / "site"), str(wheel)], check=True)
    answer = ask(tmp_path / "site", tmp_path)
    inside = tmp_path / "site" / "syper_data"
    assert answer["code"] == str(inside / "__init__.py")
    assert answer["folders"] == [str(inside / "_artifacts" / k) for k in KINDS]
    assert answer["default"] in answer["names"]  # type: ignore[operator]
