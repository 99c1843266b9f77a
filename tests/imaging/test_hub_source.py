"""``hf:OWNER/NAME`` as an image source, against a Hub on the loopback interface."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drawn_crops import drawn_eye, write_crops
from loopback_hub import TOKEN, LoopbackHub, Repository
from syper_data.errors import InputError
from syper_data.imaging.hub_source import download_hub_dataset, redact

TESTS = Path(__file__).parents[1]
SHARD = "data/train-00000-of-00001.parquet"
SECRET = "hf_secretSecretSecret"

# every command that reads images, as a user without files calls it
READ_ALL = """
import json, sys
from pathlib import Path
import syper_data
from drawn_crops import ThumbnailJudge
from small_training import RECIPE
name = sys.argv[1]
eyes = "0.2,0.5,0.8,0.5"
crops = syper_data.crop(name, "eyes", fixed_eyes=eyes, output_size=16, workers=1)
weights = syper_data.train_generator(RECIPE, name, "run", columns={"subject": "person"})
from syper_data.evaluation.evaluate import evaluate
few = {"judge": ThumbnailJudge(), "n": 20, "subset_size": 5, "subsets": 2, "splits": 1}
measured = evaluate(weights, real=Path(name), train=name, columns={"subject": "person"}, holdout=0.5, **few)
print(json.dumps({"crops": crops.crops, "trained": json.loads(Path("run/data.json").read_text())["images"],
                  "real": measured["real"]["images"] + measured["train"]["images"],
                  "manifest": json.loads(Path("eyes/manifest.json").read_text())["source"]["name"]}))
"""

# a line for each name: the class and the text of the error
OPEN = """
import json, sys
from syper_data.errors import SyperError
from syper_data.imaging.source import ImageSource
for name in sys.argv[1:]:
    try:
        print(json.dumps(["read", len(ImageSource.open(name))]))
    except SyperError as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """A Hub with a public and a private dataset of 60 crops."""
    images = [drawn_eye(i, 40) for i in range(60)]
    shard = write_crops(tmp_path / "crops.parquet", images, columns={"subject": "person"}).read_bytes()
    with LoopbackHub() as server:
        server.echo_token = True
        server.repositories = {
            "me/eyes": Repository(False, {SHARD: shard}),
            "me/secret": Repository(True, {SHARD: shard}),
            "me/text": Repository(False, {"data.csv": b"a,b\n1,2\n"}),
        }
        yield server


def python(
    code: str, *arguments: str, hub: LoopbackHub, cwd: Path, token: str | None = TOKEN, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, since the Hub libraries read their address on import."""
    paths = {"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "OMP_NUM_THREADS": "1"}
    env = {**hub.environment(cwd / "home", token), **paths, **changes}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False)


def opened(hub: LoopbackHub, cwd: Path, token: str | None, *names: str, **changes: str) -> list[Any]:
    done = python(OPEN, *names, hub=hub, cwd=cwd, token=token, **changes)
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(names)
    for _, text in answers:
        assert "\n" not in str(text)
        assert str(token) not in str(text)
    return answers


def test_a_hub_dataset_is_cropped_trained_on_and_measured_against(hub: LoopbackHub, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the [report] extra is missing")
    done = python(READ_ALL, "hf:me/eyes", hub=hub, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found == {"crops": 120, "trained": 60, "real": 60, "manifest": "hf:me/eyes"}


def test_the_private_one_is_read_with_a_token(hub: LoopbackHub, tmp_path: Path) -> None:
    assert opened(hub, tmp_path, TOKEN, "hf:me/secret") == [["read", 60]]


def test_a_missing_dataset_and_a_private_one_without_token_are_one_line_that_says_what_to_do(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    names = ("hf:me/absent", "hf:me/secret", "hf:me/text")
    absent, secret, text = opened(hub, tmp_path, None, *names)
    for name, (kind, said) in (("hf:me/absent", absent), ("hf:me/secret", secret)):
        assert kind == "InputError"
        assert said.startswith(f"{name}: no such dataset on the Hub, or not for this token to read")
        assert "HF_TOKEN" in said
    assert text == ["InputError", "hf:me/text: no column 'image'; it has a, b"]


def test_a_refused_token_stands_in_no_output_even_if_the_server_repeats_it(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    ((kind, said),) = opened(hub, tmp_path, SECRET, "hf:me/eyes")
    assert kind == "InputError"
    assert "not for this token to read" in said
    command = "from syper_data.cli.main import main; main()"
    crop = ("crop", "hf:me/eyes", "eyes", "--fixed-eyes", "0.2,0.5,0.8,0.5")
    done = python(command, *crop, hub=hub, cwd=tmp_path, token=SECRET)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert SECRET not in done.stdout + done.stderr
    assert not (tmp_path / "eyes").exists()


def test_a_hub_that_is_not_there_is_a_failure_and_no_mistake(hub: LoopbackHub, tmp_path: Path) -> None:
    ((kind, said),) = opened(hub, tmp_path, TOKEN, "hf:me/eyes", HF_HUB_OFFLINE="1")
    assert kind == "SyperError"
    assert "can't be reached" in said


@pytest.mark.parametrize("name", ["hf:", "hf:eyes", "hf:me/eyes/data", "hf:../eyes/x", "hf:me/e yes", "hf:me/*"])
def test_anything_but_owner_and_name_is_refused_without_asking_a_hub(name: str) -> None:
    with pytest.raises(InputError, match="must be hf:OWNER/NAME"):
        download_hub_dataset(name)


def test_a_local_folder_of_that_name_is_not_taken_for_the_hubs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "me/eyes").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="a folder me/eyes lies here"):
        download_hub_dataset("hf:me/eyes")


def test_credentials_of_an_address_and_tokens_are_hidden() -> None:
    assert redact("at https://me:pw@hub.example/x with hf_abcdefgh") == "at https://***@hub.example/x with ***"
