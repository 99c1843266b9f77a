"""``embed``: every image of a source, once, whatever breaks or is killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from small_dataset import make_dataset
from small_recognizers import SMALL, random_backbone, save_random_recognizer
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, LockedError, SyperError, UsageError
from syper_data.execution import module_command
from syper_data.imaging.codec import encode, encoder_identity
from syper_data.imaging.source import ImageSource
from syper_data.recognition import embeddings
from syper_data.recognition.embedder import load_embedder
from syper_data.recognition.embedding_worker import embed_ranges
from syper_data.recognition.embeddings import Embeddings, embed
from syper_data.recognition.recognizer_file import write_recognizer


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_recognizer(tmp_path_factory.mktemp("r") / "r.safetensors")


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers in this process, which start at once; the tests of work and kills use real ones."""

    class Pool:
        def __init__(self, job: str, setup: dict[str, Any], *, workers: int, threads: int) -> None:
            assert (job, threads) == ("syper_data.recognition.embedding_worker:embed_ranges", 1)
            self._handle = embed_ranges(json.loads(json.dumps(setup)))

        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_: object) -> None: ...

        def run(self, tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
            for task in tasks:
                yield {"task": task, "result": json.loads(json.dumps(self._handle(task, lambda n: None)))}

    monkeypatch.setattr(embeddings, "open_pool", Pool)


def crop(seed: int, size: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def folder(path: Path, seeds: range) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        Image.fromarray(crop(seed)).save(path / f"{seed:03d}.png")
    return path


def table(path: Path, images: list[np.ndarray | bytes], **columns: Any) -> Path:
    options = encoder_identity("png")["options"]
    cells = [{"bytes": i if isinstance(i, bytes) else encode(i, "png", options), "path": None} for i in images]
    path.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(pa.table({"image": cells, **columns}), path)
    return path


def parts(cache: Path) -> dict[str, int]:
    """Parts of the cache, and how many vectors each holds."""
    return {p.name: pa.ipc.open_file(p.read_bytes()).read_all().num_rows for p in cache.glob("*/*.arrow")}


def test_every_image_gets_a_row_and_what_cannot_be_read_is_listed(tmp_path: Path, recognizer: Path) -> None:
    good = [crop(0), crop(0)[:, ::-1].copy(), crop(2, 112)]
    source = table(
        tmp_path / "in" / "crops.parquet",
        [*good, b"broken", np.zeros((20, 30, 3), np.uint8), crop(5)],
        subject=["a", "a", "b", "c", "c", "c"],
        side=["image_left", "image_right", None, None, None, None],
        sample=["1", "2", "1", "1", "2", "3"],
        spectrum=["vis"] * 6,
        seed=pa.array([7, None, 9, 1, 1, 1], pa.int64()),
        label=pa.array([None, 3, 4, 1, 1, 2**40], pa.int64()),
    )
    seen: list[tuple[int, int]] = []
    out = tmp_path / "e.parquet"
    made = embed(source, embedder=recognizer, out=out, workers=2, report=lambda *at: seen.append(at))
    embedder = load_embedder(recognizer)
    assert made.vectors.tobytes() == embedder.embed(good, ["image_left", "image_right", None]).tobytes()
    assert made.vectors[0].tobytes() == made.vectors[1].tobytes(), "the mirrored right crop is the left crop"
    assert made.table.to_pydict() == {
        "source_id": ["crops.parquet#0", "crops.parquet#1", "crops.parquet#2"],
        "subject": ["a", "a", "b"],
        "side": ["image_left", "image_right", None],
        "spectrum": ["vis"] * 3,
        "sample": ["1", "2", "1"],
        "seed": [7, None, 9],
        "label": [None, 3, 4],
        "pixel_sha256": [hashlib.sha256(g.tobytes()).hexdigest() for g in good],
    }
    assert (made.embedder_name, made.embedder_sha256) == ("random", embedder.sha256)
    assert [u.source_id for u in made.unreadable] == [f"crops.parquet#{i}" for i in (3, 4, 5)]
    for entry, text in zip(made.unreadable, ("not a decodable", "30x20 pixels", "more than 32 bits"), strict=True):
        assert text in entry.reason
    assert seen[-1] == (6, 6)
    found = Embeddings.read(out)
    assert found.vectors.tobytes() == made.vectors.tobytes()
    assert found.unreadable == made.unreadable


@pytest.mark.usefixtures("in_process")
def test_folders_of_people_name_the_subjects_and_the_sides(
    tmp_path: Path, recognizer: Path, in_process: None
) -> None:
    folder(tmp_path / "people" / "Åse P" / "image_right", range(2))
    folder(tmp_path / "people" / "007", range(2, 3))

    def of(path: Path, **columns: str) -> list[tuple[str | None, str | None]]:
        found = embed(path, embedder=recognizer, out=tmp_path / "e.parquet", columns=columns).table
        return list(zip(found["subject"].to_pylist(), found["side"].to_pylist(), strict=True))

    assert of(tmp_path / "people") == [("007", None), *[("Åse P", "image_right")] * 2]
    assert of(tmp_path / "people", subject="") == [(None, None)] * 3
    assert of(tmp_path / "people" / "007") == [(None, None)]
    folder(tmp_path / "people" / "session 2" / "007", range(3, 4))
    assert of(tmp_path / "people") == [(None, None)] * 4, "deeper folders may be anything"


def test_a_second_run_embeds_only_what_is_new(tmp_path: Path, recognizer: Path) -> None:
    images, out = folder(tmp_path / "in", range(20)), tmp_path / "e.parquet"
    first = embed(images, embedder=recognizer, out=out)
    before = parts(tmp_path / "e.parquet.cache")
    assert sum(before.values()) == 20
    Image.fromarray(crop(30)).save(images / "000a.png")
    Image.fromarray(crop(4)).save(images / "copy.png")
    second = embed(images, embedder=recognizer, out=out)
    after = parts(tmp_path / "e.parquet.cache")
    assert before.items() <= after.items()
    assert [count for name, count in after.items() if name not in before] == [1]
    assert second.table["source_id"].to_pylist()[:2] == ["000.png", "000a.png"]
    kept = [row for row in range(22) if second.table["source_id"][row].as_py() not in ("000a.png", "copy.png")]
    assert second.select(kept).vectors.tobytes() == first.vectors.tobytes()
    assert second.vectors[-1].tobytes() == first.vectors[4].tobytes()


@pytest.mark.usefixtures("in_process")
def test_another_recognizer_does_not_take_the_vectors_of_the_first(tmp_path: Path, recognizer: Path) -> None:
    images, cache = ImageSource.open(folder(tmp_path / "in", range(2))), tmp_path / "cache"
    other = save_random_recognizer(tmp_path / "o.safetensors", seed=1)
    first = embed(images, embedder=recognizer, cache=cache)
    second = embed(images, embedder=other, cache=cache)
    assert abs(first.vectors - second.vectors).max() > 1e-3
    assert sum(parts(cache).values()) == 4


def command(images: Path, recognizer: Path, out: Path) -> list[str]:
    options = ["--embedder", str(recognizer), "--out", str(out), "--workers", "1"]
    return [*module_command("syper_data"), "embed", str(images), *options]


@pytest.mark.usefixtures("in_process")
def test_a_killed_run_goes_on_where_it_was_to_the_same_bytes(tmp_path: Path, recognizer: Path) -> None:
    images, out = folder(tmp_path / "in", range(48)), tmp_path / "killed.parquet"
    cache = tmp_path / "killed.parquet.cache"
    process = subprocess.Popen(command(images, recognizer, out), start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not parts(cache):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    before = parts(cache)
    assert 0 < sum(before.values()) < 48
    done = subprocess.run(command(images, recognizer, out), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"48 embeddings of 128 values by random in {out}\n"
    assert before.items() <= parts(cache).items()
    assert sum(parts(cache).values()) == 48
    embed(images, embedder=recognizer, out=tmp_path / "calm.parquet")
    assert out.read_bytes() == (tmp_path / "calm.parquet").read_bytes()


@pytest.mark.usefixtures("in_process")
def test_a_dataset_gives_its_keys(tmp_path: Path, recognizer: Path) -> None:
    dataset = make_dataset(tmp_path / "eyes", 5)
    made = embed(dataset.path, embedder=recognizer, out=tmp_path / "eyes" / "e.parquet")
    assert made.table["seed"].to_pylist() == [0, 1, 2, 3, 4]
    (dataset.path / "complete.json").unlink()
    with pytest.raises(InputError, match="not complete; finish the dataset first"):
        embed(dataset.path, embedder=recognizer)


def test_without_bundled_recognizers_the_error_says_what_to_give(tmp_path: Path, monkeypatch: Any) -> None:
    asked: list[str] = []

    def find(reference: object, *, spectrum: str) -> Path:
        asked.append(spectrum)
        raise InputError("none")

    monkeypatch.setattr(embeddings, "find_recognizer", find)
    with pytest.raises(InputError, match="none"):
        embed(table(tmp_path / "in.parquet", [b"", crop(0)], spectrum=["vis", "nir"]))
    assert asked == ["nir"], "the teacher of the spectrum of the first readable image"


def test_mistakes_are_said_before_any_work(tmp_path: Path, recognizer: Path) -> None:
    images = folder(tmp_path / "in", range(2))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds neither images nor Parquet"):
        embed(tmp_path / "empty", embedder=recognizer)
    with pytest.raises(InputError, match="holds no image"):
        embed(table(tmp_path / "none.parquet", []), embedder=recognizer)
    with pytest.raises(UsageError, match=r"lies inside .*in, which is read"):
        embed(images, embedder=recognizer, out=images / "e.parquet")
    with pytest.raises(UsageError, match="lies inside"):
        embed(images, embedder=recognizer, cache=images / "cache")
    with pytest.raises(UsageError, match="is a folder; give the name of the Parquet file"):
        embed(images, embedder=recognizer, out=tmp_path)
    with pytest.raises(UsageError, match="--workers is 0"):
        embed(images, embedder=recognizer, workers=0)
    with pytest.raises(UsageError, match="an opened source has its own"):
        embed(ImageSource.open(images), embedder=recognizer, columns={"subject": "person"})
    with pytest.raises(InputError, match="nobody: "):
        embed(images, embedder="nobody")


@pytest.mark.usefixtures("in_process")
def test_images_of_another_spectrum_are_refused(tmp_path: Path, recognizer: Path) -> None:
    source = table(tmp_path / "in.parquet", [crop(0), crop(1)], spectrum=["vis", "nir"])
    with pytest.raises(InputError, match="row 1: spectrum is nir, the recognizer random is for vis"):
        embed(source, embedder=recognizer)


@pytest.mark.usefixtures("in_process")
def test_a_source_without_any_readable_image_is_an_error(tmp_path: Path, recognizer: Path) -> None:
    with pytest.raises(InputError, match=r"none of its 2 images could be embedded; the first: .*0 bytes"):
        embed(table(tmp_path / "in.parquet", [b"", b"x"]), embedder=recognizer)


@pytest.mark.usefixtures("in_process")
def test_a_recognizer_that_gives_no_vector_ends_the_run(tmp_path: Path) -> None:
    broken = random_backbone()
    with torch.no_grad():
        broken.get_parameter("output_layer.linear.weight").fill_(3e38)
    path = tmp_path / "broken.safetensors"
    write_recognizer(path, broken, SMALL, name="broken", spectrum=None, identities=None, summary={})
    with pytest.raises(SyperError, match="the recognizer broken gives no finite vector"):
        embed(folder(tmp_path / "in", range(2)), embedder=path, out=tmp_path / "e.parquet")
    assert not (tmp_path / "e.parquet").exists()
    assert not parts(tmp_path / "e.parquet.cache")


@pytest.mark.usefixtures("in_process")
def test_a_damaged_or_locked_cache_is_one_line(tmp_path: Path, recognizer: Path) -> None:
    images, cache = folder(tmp_path / "in", range(2)), tmp_path / "cache"
    embed(images, embedder=recognizer, cache=cache)
    (part,) = cache.glob("*/*.arrow")
    with folder_lock(part.parent), pytest.raises(LockedError, match="another run"):
        embed(images, embedder=recognizer, cache=cache)
    whole = bytearray(part.read_bytes())
    whole[-200] ^= 1
    part.write_bytes(whole)
    with pytest.raises(InputError, match="damaged; remove this file and run the same command again"):
        embed(images, embedder=recognizer, cache=cache)
    part.unlink()
    assert len(embed(images, embedder=recognizer, cache=cache)) == 2
