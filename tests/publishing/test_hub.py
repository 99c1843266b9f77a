"""The push, against a Hub on the loopback interface: there and back, interrupted, refused."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loopback_hub import TOKEN, LoopbackHub, Repository
from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory
from syper_data.dataset.shards import read_shard
from syper_data.publishing.export import export_hf

REPO = "me/eyes"

EXPORT = """
import sys
from syper_data import export_hf
print(export_hf(sys.argv[1], repo_id=sys.argv[2], report=lambda *stage: print(*stage)))
"""

# The answer is a line: what was reported, or the class and text of the error
PUSH = """
import json, sys
from pathlib import Path
from syper_data.errors import SyperError
from syper_data.publishing import hub
folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
hub.BATCH_BYTES = options.pop("batch_bytes", hub.BATCH_BYTES)
files = {str(p.relative_to(folder)): 7 * (p.suffix == ".parquet")
         for p in sorted(folder.rglob("*")) if p.is_file() and p.name[0] != "."}
stages = []
try:
    hub.push(folder, options.pop("repo_id", "me/eyes"), files, report=lambda *s: stages.append(s), **options)
    print(json.dumps({"stages": stages}))
except SyperError as error:
    print(json.dumps({"error": type(error).__name__, "text": str(error)}))
"""

LOAD = """
import hashlib, json, sys
import numpy as np
from datasets import load_dataset
rows = load_dataset(sys.argv[1], split="train")
pixels = [hashlib.sha256(np.asarray(row["image"]).tobytes()).hexdigest() for row in rows]
print(json.dumps({"seed": rows["seed"][:], "recorded": rows["pixel_sha256"][:], "pixels": pixels}))
"""

DOWNLOAD = """
import sys
from huggingface_hub import snapshot_download
from syper_data import verify
print(verify(snapshot_download(sys.argv[1], repo_type="dataset"), rows=0))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DatasetDirectory:
    return make_dataset(tmp_path_factory.mktemp("source") / "syper", 20)


@pytest.fixture(scope="module")
def exported(source: DatasetDirectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_hf(source.path, out=tmp_path_factory.mktemp("exported") / "out")


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        yield server


def python(code: str, *arguments: object, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, since the Hub libraries read their address on import."""
    home = {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env={**env, **home}, cwd=cwd, capture_output=True, text=True, check=False)


def push(hub: LoopbackHub, folder: Path, home: Path, token: str | None = TOKEN, **options: Any) -> Any:
    done = python(PUSH, folder, json.dumps(options), env=hub.environment(home, token), cwd=home)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    assert "\n" not in answer.get("text", "")
    return answer


def test_a_dataset_pushed_from_one_process_loads_equal_in_another(
    source: DatasetDirectory, hub: LoopbackHub, tmp_path: Path
) -> None:
    dataset = tmp_path / "syper"
    shutil.copytree(source.path, dataset)
    sent = python(EXPORT, dataset, REPO, env=hub.environment(tmp_path / "home"), cwd=tmp_path)
    assert sent.returncode == 0, sent.stderr
    assert sent.stderr == ""
    assert sent.stdout.splitlines()[-2:] == ["uploading 20 20", str(tmp_path / "syper-export")]
    repository = hub.repositories[REPO]
    exported = tmp_path / "syper-export"
    there = {str(p.relative_to(exported)) for p in exported.rglob("*") if p.is_file() and p.name != ".lock"}
    assert len(there) == 8
    assert repository.files == {name: (exported / name).read_bytes() for name in there}
    assert repository.commits == 1
    assert not repository.private
    assert f'load_dataset("{REPO}"' in repository.files["README.md"].decode()
    assert json.loads(repository.files["croissant.json"])["url"] == f"{hub.url}/datasets/{REPO}"

    loaded = python(LOAD, REPO, env=hub.environment(tmp_path / "other"), cwd=tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    rows = json.loads(loaded.stdout.splitlines()[-1])
    recorded = [v["pixel_sha256"] for s in source.manifest.shards for v in read_shard(source.shard_path(s))]
    assert rows == {"seed": list(range(20)), "recorded": recorded, "pixels": recorded}

    got = python(DOWNLOAD, REPO, env=hub.environment(tmp_path / "third"), cwd=tmp_path)
    assert got.returncode == 0, got.stderr
    assert got.stdout.splitlines()[-1] == "Verification(shards=3, rows=20, regenerated=0, max_difference=0)"


def test_a_push_that_broke_off_sends_only_what_is_missing(
    exported: Path, hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.fail_commits = 1
    answer = push(hub, exported, tmp_path)
    assert answer["error"] == "SyperError"
    assert "failed at the push to me/eyes (500: the server broke down); run the same command" in answer["text"]
    assert hub.repositories[REPO].files == {}
    large = len(hub.uploads)
    assert large == 4
    push(hub, exported, tmp_path)
    assert len(hub.uploads) == large
    assert len(hub.repositories[REPO].files) == 8
    push(hub, exported, tmp_path)
    assert (len(hub.uploads), hub.repositories[REPO].commits) == (large, 1)


def test_a_large_dataset_goes_in_parts_card_first_and_continues_where_it_stopped(
    exported: Path, hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.fail_commits, hub.fail_commits_after = 1, 2
    assert push(hub, exported, tmp_path, batch_bytes=1)["error"] == "SyperError"
    begun = hub.repositories[REPO]
    assert begun.commits == 2
    assert "README.md" in begun.files
    assert f"data/{sorted((exported / 'data').iterdir())[-1].name}" not in begun.files
    done = [stage[1] for stage in push(hub, exported, tmp_path, batch_bytes=1)["stages"]]
    assert begun.commits > 3
    assert len(begun.files) == 8
    assert len(hub.uploads) == len(set(hub.uploads)) == 4
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 21)
    assert set(done) > {0, 21}


def test_private_reaches_the_hub(exported: Path, hub: LoopbackHub, tmp_path: Path) -> None:
    push(hub, exported, tmp_path, private=True)
    assert hub.repositories[REPO].private
    push(hub, exported, tmp_path)
    assert hub.repositories[REPO].private


def test_private_data_is_not_sent_to_a_public_repository(exported: Path, hub: LoopbackHub, tmp_path: Path) -> None:
    hub.repositories[REPO] = Repository(private=False)
    answer = push(hub, exported, tmp_path, private=True)
    assert answer["error"] == "UsageError"
    assert "me/eyes: exists and is public, so --private can't hold" in answer["text"]
    assert hub.uploads == []


@pytest.mark.parametrize("name", ["data/train-00000-of-00001.parquet", "kept.json"])
def test_files_of_another_dataset_in_the_repository_are_not_mixed_with_these(
    exported: Path, hub: LoopbackHub, tmp_path: Path, name: str
) -> None:
    old = {"README.md": b"old", name: b"old"}
    hub.repositories[REPO] = Repository(False, dict(old))
    answer = push(hub, exported, tmp_path)
    assert answer["error"] == "UsageError"
    assert f"me/eyes: holds {name}" in answer["text"]
    assert hub.repositories[REPO].files == old


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("hf_aTokenThatExpired", "does not accept the token (401)"),
        ("hf_aTokenToRead", "the token may not write to me/eyes (403)"),
        (None, "no Hugging Face token is set: run `hf auth login`"),
    ],
    ids=["refused", "read only", "none"],
)
def test_a_token_that_will_not_do_is_one_line_without_it(
    token: str | None, message: str, exported: Path, hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.readers.add("hf_aTokenToRead")
    hub.echo_token = True
    answer = push(hub, exported, tmp_path, token)
    assert answer["error"] == "UsageError"
    assert message in answer["text"]
    assert "hf_a" not in answer["text"]
    assert hub.repositories == {}


def test_a_server_that_repeats_the_token_does_not_bring_it_into_the_message(
    exported: Path, hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.fail_commits, hub.echo_token = 1, True
    answer = push(hub, exported, tmp_path)
    assert "the server broke down Bearer ***" in answer["text"]
    assert TOKEN not in answer["text"]


def test_a_card_that_the_hub_refuses_is_said_with_its_reason(
    exported: Path, hub: LoopbackHub, tmp_path: Path
) -> None:
    shutil.copytree(exported, tmp_path / "out")
    card = tmp_path / "out" / "README.md"
    card.write_text(card.read_text().replace("license: other", "license: no-such"))
    answer = push(hub, tmp_path / "out", tmp_path)
    assert answer["error"] == "UsageError"
    assert "refuses the push to me/eyes (400: no such license)" in answer["text"]


def test_a_hub_that_can_not_be_reached_is_one_line(exported: Path, tmp_path: Path) -> None:
    with socket.socket() as taken, LoopbackHub() as hub:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        port = taken.getsockname()[1]
        hub.url = f"http://user:secret@127.0.0.1:{port}"
        answer = push(hub, exported, tmp_path)
    assert answer["error"] == "SyperError"
    assert answer["text"].startswith(f"http://127.0.0.1:{port}: the push to me/eyes broke off (")
    assert "Connection refused" in answer["text"]
    assert "secret" not in answer["text"]
