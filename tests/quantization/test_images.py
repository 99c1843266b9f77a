"""What a student learns from: stored images in a new order every epoch, a generator's images once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from small_recognizer_training import people
from syper_data.errors import InputError, UsageError
from syper_data.gan.bundled import open_generator
from syper_data.imaging.codec import encode, encoder_identity
from syper_data.imaging.source import SourceImage
from syper_data.quantization.images import SampledImages, StoredImages, open_feed
from syper_data.sampling.generate import generate

OPTIONS = {"columns": None, "steps": 3, "batch": 2, "held_out": 2, "seed": 0, "seed_start": 0, "psi": 1.0}


def stored(count: int = 4, held_out: int = 100, batch: int = 4, seed: int = 0) -> StoredImages:
    return StoredImages([people(count)], 32, held_out=held_out, batch=batch, seed=seed)


def keys(images: list[np.ndarray]) -> list[bytes]:
    return [image.tobytes() for image in images]


def test_every_stored_image_comes_once_an_epoch_in_an_order_of_the_seed_and_the_held_out_never() -> None:
    feed = stored()
    assert feed.count == 22
    held = keys(feed.held_out(9))
    assert len(held) == 2
    shown = [key for step in range(11) for key in keys(feed.images(step, range(4)))]
    first, second = shown[:22], shown[22:]
    assert len(set(first)) == 22
    assert set(first) == set(second)
    assert first != second
    assert not set(held) & set(shown)
    again = stored()
    assert keys(again.images(7, range(4))) == shown[28:32]
    assert again.sha256 == feed.sha256
    other = stored(seed=1)
    assert keys(other.images(0, range(4))) != shown[:4]


def test_right_eyes_are_mirrored_and_grey_images_come_back_with_three_channels() -> None:
    grey = np.repeat(np.arange(32 * 32, dtype=np.int64).reshape(32, 32, 1) % 251, 3, axis=2).astype(np.uint8)
    images = [SourceImage(grey, "a", side="image_right"), SourceImage(grey, "b", side="image_left")]
    feed = StoredImages([images], 32, held_out=1, batch=2, seed=0)
    found = [*feed.images(0, [0]), *feed.held_out(1)]
    assert all(image.shape == (32, 32, 3) for image in found)
    assert sorted(keys(found)) == sorted(keys([grey[:, ::-1], grey]))


def test_a_generators_images_are_those_of_the_seeds_each_once(tiny: Path) -> None:
    feed = SampledImages(open_generator(tiny), 16, steps=3, batch=8, seed_start=5, psi=0.7)
    shown = [key for step in range(3) for key in keys(feed.images(step, range(8)))]
    wanted = [key for batch in generate(tiny, range(5, 29), psi=0.7) for key in keys(list(batch))]
    assert shown == wanted
    assert len(set(shown)) == 24
    assert not set(shown) & set(keys(feed.held_out(4)))
    assert feed.summary["seeds"] == [5, 29]
    assert keys(feed.images(1, range(1, 8, 2))) == shown[9:16:2]  # one of two processes


def test_a_generator_with_classes_takes_them_in_turn(tiny_conditional: Path) -> None:
    feed = SampledImages(open_generator(tiny_conditional), 16, steps=1, batch=3, seed_start=0, psi=1.0)
    wanted = [generate(tiny_conditional, [seed], label=seed % 3) for seed in range(3)]
    assert keys(feed.images(0, range(3))) == [key for batches in wanted for b in batches for key in keys(list(b))]


def test_other_images_have_another_digest(tiny: Path) -> None:
    generator = open_generator(tiny)
    feeds = [
        SampledImages(generator, 16, steps=s, batch=2, seed_start=start, psi=psi)
        for s, start, psi in ((3, 0, 1.0), (4, 0, 1.0), (3, 1, 1.0), (3, 0, 0.5))
    ]
    assert len({feed.sha256 for feed in feeds}) == 4
    assert stored(4).sha256 != stored(3).sha256


def test_both_or_none_of_data_and_generator_are_refused(tiny: Path) -> None:
    for data, generator in ((None, None), (people(2), tiny)):
        with pytest.raises(
            UsageError, match="give images with --data or a generator with --generator, one of them"
        ):
            open_feed(data, generator, 32, **OPTIONS)
    with pytest.raises(UsageError, match="a generator has no end: say how many --steps"):
        open_feed(None, tiny, 32, **{**OPTIONS, "steps": None})
    with pytest.raises(UsageError, match="pass the largest seed"):
        open_feed(None, tiny, 32, **{**OPTIONS, "seed_start": 2**32 - 5})
    with pytest.raises(UsageError, match="no image source was given"):
        open_feed([], None, 32, **OPTIONS)


def test_a_row_that_does_not_decode_is_named(tmp_path: Path) -> None:
    pixels = people(1)[0].pixels
    good = encode(pixels, "png", encoder_identity("png")["options"])
    cells = [{"bytes": good, "path": "a.png"}, {"bytes": good[:60], "path": "b.png"}]
    pq.write_table(pa.table({"image": cells}), tmp_path / "crops.parquet")
    with pytest.raises(InputError, match=r"crops.parquet, row 1"):
        open_feed(tmp_path / "crops.parquet", None, 32, **OPTIONS)


def test_images_that_are_not_square_or_too_few_are_refused() -> None:
    wide = SourceImage(np.zeros((8, 9, 3), np.uint8), "x.parquet, row 3")
    with pytest.raises(InputError, match=r"x\.parquet, row 3: 9x8 pixels, a crop is square"):
        open_feed([wide, wide], None, 32, **OPTIONS)
    with pytest.raises(InputError, match="1 images: two are needed"):
        open_feed(people(1)[:1], None, 32, **OPTIONS)
