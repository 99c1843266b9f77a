"""A source with something drawn over it, as a data set that a protocol can be made of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from drawn_crops import png
from small_recognizer_training import people
from syper_data.cli.occlude import command
from syper_data.errors import ConfigError, InputError, SyperError
from syper_data.imaging.source import SourceImage, read_images
from syper_data.protocols.making import make_protocol
from syper_data.recognition.occlusion.occlude import occlude


def write(path: Path, images: Iterable[SourceImage]) -> Path:
    rows = [
        {
            "image": {"bytes": png(image.pixels), "path": f"{i}.png"},
            "subject": image.subject,
            "side": image.side,
            "sample": image.sample,
            "spectrum": "vis",
        }
        for i, image in enumerate(images)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "eyes.parquet", people(6, samples=3))


def masked(folder: Path) -> list[bool]:
    return [bool(m) for m in pq.read_table(folder / "data").column("masked").to_pylist()]


def test_every_image_stands_there_clean_and_occluded_with_its_labels(source: Path, tmp_path: Path) -> None:
    out = occlude(source, tmp_path / "out", kinds=("hair",), seed=3)
    originals, found = list(read_images(source)), list(read_images(out))
    assert masked(out) == [False, True] * len(originals)
    for original, clean, over in zip(originals, found[::2], found[1::2], strict=True):
        assert np.array_equal(original.pixels, clean.pixels)
        assert not np.array_equal(original.pixels, over.pixels)
        for name in ("subject", "side", "sample", "spectrum"):
            assert getattr(original, name) == getattr(clean, name) == getattr(over, name)
    assert len({image.source_id for image in found}) == len(found)


def test_generated_eyes_keep_their_seeds_and_classes(tmp_path: Path) -> None:
    eyes = [png(image.pixels) for image in people(1)]
    rows = [{"image": {"bytes": eye}, "seed": 2**32 - 1 - i, "label": i} for i, eye in enumerate(eyes)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "eyes.parquet")
    found = read_images(occlude(tmp_path / "eyes.parquet", tmp_path / "out", share=0.5))
    assert [(image.seed, image.label) for image in found] == [(row["seed"], row["label"]) for row in rows]


def test_a_right_eye_is_drawn_over_as_its_mirror_image(tmp_path: Path) -> None:
    left = people(1, samples=1)[0]
    right = SourceImage(left.pixels[:, ::-1].copy(), "there", subject="a", side="image_right", sample="0")
    one = list(read_images(occlude(write(tmp_path / "l.parquet", [left]), tmp_path / "l", kinds=("glasses",))))
    other = list(read_images(occlude(write(tmp_path / "r.parquet", [right]), tmp_path / "r", kinds=("glasses",))))
    assert np.array_equal(one[1].pixels, other[1].pixels[:, ::-1])


def test_a_folder_of_folders_names_the_subjects_and_a_flat_one_nobody(tmp_path: Path) -> None:
    for name in ("deep/a/1.png", "deep/b/2.png", "flat/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(people(1)[0].pixels))
    deep, flat = (list(read_images(occlude(tmp_path / n, tmp_path / f"{n}-out"))) for n in ("deep", "flat"))
    assert [image.subject for image in deep] == ["a", "a", "b", "b"]
    assert [image.subject for image in flat] == [None, None]


def test_a_share_occludes_some_and_writes_each_once_and_a_protocol_compares_across(
    source: Path, tmp_path: Path
) -> None:
    out = occlude(source, tmp_path / "out", share=0.5, seed=1)
    flags = masked(out)
    assert len(flags) == 36
    assert 8 < sum(flags) < 28
    made = make_protocol(out, out=tmp_path / "protocol", across="masked", folds=1)
    (fold,) = made.folds
    photos = [name.removesuffix("-occluded") for name in fold.images]
    assert len(set(photos)) == len(photos)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ([], "every image clean and occluded; for a protocol give --share"),
        (["--share", "0.5"], "protocol make OUT --out PROTOCOL --across masked"),
        (["--share", "1"], "protocol make OUT --out PROTOCOL"),
    ],
)
def test_the_command_names_the_protocol_that_the_folder_is_good_for(
    options: list[str], advice: str, source: Path, tmp_path: Path
) -> None:
    done = CliRunner().invoke(command, [str(source), str(tmp_path / "out"), *options])
    assert done.exit_code == 0, done.output
    assert done.output.rstrip().endswith(advice.replace("OUT", str(tmp_path / "out"), 1))


def test_the_same_call_gives_the_same_bytes_and_is_not_repeated(source: Path, tmp_path: Path) -> None:
    first, second = (occlude(source, tmp_path / name, seed=5, most=2) for name in ("a", "b"))
    shards = [next((folder / "data").iterdir()) for folder in (first, second)]
    assert shards[0].read_bytes() == shards[1].read_bytes()
    written = shards[0].stat().st_mtime_ns
    assert occlude(source, first, seed=5, most=2) == first
    assert shards[0].stat().st_mtime_ns == written
    with pytest.raises(InputError, match="holds other occlusions or another source; choose another folder"):
        occlude(source, first, seed=6, most=2)


def test_mistakes_are_one_line_and_write_nothing(source: Path, tmp_path: Path) -> None:
    flat = write(tmp_path / "flat.parquet", [SourceImage(np.zeros((8, 9, 3), np.uint8), "", subject="a")])
    pq.write_table(pq.read_table(source).slice(0, 0), tmp_path / "none.parquet")
    wrong: list[tuple[Path, dict[str, Any], type[SyperError], str]] = [
        (source, {"kinds": ("scarf",)}, ConfigError, "names 'scarf'"),
        (source, {"share": 1.5}, ConfigError, r"--share is 1\.5"),
        (source, {"seed": -1}, ConfigError, "--seed is -1"),
        (source, {"most": 0}, ConfigError, "most is 0"),
        (flat, {}, InputError, "flat.parquet, row 0: 9x8 pixels, a crop is square"),
        (tmp_path / "none.parquet", {}, InputError, "none.parquet: holds no images"),
        (tmp_path / "no", {}, InputError, "no such file or folder"),
    ]
    for given, options, kind, message in wrong:
        with pytest.raises(kind, match=message):
            occlude(given, tmp_path / "out", **options)
        assert not list((tmp_path / "out").rglob("*.parquet"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="mine: holds something else"):
        occlude(source, tmp_path / "mine")
