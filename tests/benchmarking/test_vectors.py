"""Every distinct image goes through every model once, and what was computed is found again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drawn_crops import drawn_eye
from small_protocols import DrawnPictures, drawn_protocol
from small_recognizers import save_random_recognizer
from syper_data.benchmarking.contamination import contamination, require_new_people
from syper_data.benchmarking.model import Model
from syper_data.benchmarking.models import RecognizerModel
from syper_data.benchmarking.results import model_labels
from syper_data.benchmarking.vectors import Acquired, embed_images
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, LockedError, SyperError
from syper_data.imaging.source import Entry, SourceImage
from syper_data.recognition.embedder import load_embedder
from syper_data.recognition.embedding_cache import cache_folder
from syper_data.recognition.recognizer_file import identity_digest


class CountingModel:
    """Means of the left and the right half, and how often it was asked for what."""

    name, sha256, spectrum = "counting", "ab" * 32, None
    identities: frozenset[str] = frozenset()
    identities_known = True
    runtime = "numpy"

    def __init__(self, **attributes: Any) -> None:
        self.calls: list[int] = []
        self.__dict__.update(attributes)

    def embed(self, pixels: Sequence[Any], sides: Sequence[str | None] | None = None) -> Any:
        self.calls.append(len(pixels))
        turned = [x[:, ::-1] if s == "image_right" else x for x, s in zip(pixels, sides or (), strict=True)]
        raw = np.array([[x[:, : len(x) // 2].mean(), x[:, len(x) // 2 :].mean()] for x in turned], np.float32)
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def run(
    pictures: DrawnPictures, model: Model, cache: Path, names: Sequence[str] | None = None, **more: Any
) -> Acquired:
    return embed_images(pictures, list(names or pictures.images), {"m": model}, cache=cache, **more)


def pictures_of(n: int, lost: Sequence[str] = ()) -> DrawnPictures:
    images = {f"p{i}/image_{'right' if i % 2 else 'left'}/0": drawn_eye(i, 24) for i in range(n)}
    return DrawnPictures(images, lost)


def test_vectors_are_those_of_the_embedder_however_many_threads_there_are(tmp_path: Path) -> None:
    path = save_random_recognizer(tmp_path / "r.safetensors")
    pictures, found = pictures_of(19), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        try:
            found.append(run(pictures, RecognizerModel(str(path)), tmp_path / f"cache{threads}").vectors["m"])
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(1)
    sides = ["image_left", "image_right"] * 10
    wanted = load_embedder(path).embed(list(pictures.images.values()), sides[:19])
    assert np.array_equal(found[0], wanted)
    assert np.array_equal(found[1], wanted)


def test_a_second_run_embeds_nothing_and_gives_the_same(tmp_path: Path) -> None:
    pictures, first, second = pictures_of(40), CountingModel(), CountingModel()
    a, b = (run(pictures, model, tmp_path) for model in (first, second))
    assert sum(first.calls) == 40
    assert second.calls == []
    assert np.array_equal(a.vectors["m"], b.vectors["m"])
    assert a.sha256 == b.sha256


def test_the_cache_is_the_one_that_embed_fills(tmp_path: Path) -> None:
    from drawn_crops import write_crops
    from syper_data.recognition.embeddings import embed

    path = save_random_recognizer(tmp_path / "r.safetensors")
    images = [drawn_eye(i, 24) for i in range(6)]
    made = embed(write_crops(tmp_path / "e.parquet", images), embedder=path, cache=tmp_path / "c", workers=1)
    model = RecognizerModel(str(path))
    model.embed = None  # type: ignore[method-assign, assignment]  # it would fail
    pictures = DrawnPictures({f"p/image_left/{i}": image for i, image in enumerate(images)})
    assert np.array_equal(run(pictures, model, tmp_path / "c").vectors["m"], made.vectors)


def test_equal_images_are_embedded_once_and_mirrored_ones_apart(tmp_path: Path) -> None:
    eye, model = drawn_eye(3, 24), CountingModel()
    names = ["a/image_left/0", "b/image_left/0", "c/image_right/0"]
    found = run(DrawnPictures(dict.fromkeys(names, eye)), model, tmp_path)
    assert sum(model.calls) == 2
    vectors = found.vectors["m"]
    assert np.array_equal(vectors[0], vectors[1])
    assert np.array_equal(vectors[2], vectors[0][::-1])


def test_what_can_not_be_acquired_is_a_row_of_nan_with_its_reason(tmp_path: Path) -> None:
    pictures = pictures_of(5)
    name = list(pictures.images)[2]
    pictures.lost = {name}
    found = run(pictures, CountingModel(), tmp_path)
    assert np.flatnonzero(np.isnan(found.vectors["m"]).all(1)).tolist() == [2]
    assert found.failures == {name: f"/somewhere/{name}: no eye was found"}
    assert found.of("m", [name, next(iter(pictures.images))]).shape == (2, 2)


def test_compat_orientation_mirrors_only_what_does_not_say_its_own(tmp_path: Path) -> None:
    pictures = pictures_of(4)
    says, silent = CountingModel(), CountingModel(sha256="cd" * 32, says_orientation=False)
    plain = run(pictures, says, tmp_path, compat_orientation=True).vectors["m"]
    turned = run(pictures, silent, tmp_path, compat_orientation=True).vectors["m"]
    assert np.array_equal(plain, run(pictures, CountingModel(), tmp_path).vectors["m"])
    assert np.allclose(turned, plain[:, ::-1])


class Interrupted(DrawnPictures):
    """Ctrl-C after so many images."""

    def read(self, names: Sequence[str]) -> Iterator[Entry]:
        for number, entry in enumerate(super().read(names)):
            if number == 36:
                raise KeyboardInterrupt
            yield entry


def test_what_was_computed_before_ctrl_c_is_not_computed_again(tmp_path: Path) -> None:
    pictures, model = pictures_of(40), CountingModel()
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(pictures.images), model, tmp_path)
    assert sum(model.calls) == 32
    again = CountingModel()
    found = run(pictures, again, tmp_path)
    assert sum(again.calls) == 8
    assert np.array_equal(found.vectors["m"], run(pictures, CountingModel(), tmp_path / "new").vectors["m"])


def test_a_model_that_does_not_stand_for_its_vectors_is_never_cached(tmp_path: Path) -> None:
    for _ in range(2):
        model = CountingModel(cacheable=False)
        run(pictures_of(3), model, tmp_path / "cache")
        assert sum(model.calls) == 3
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (np.full((3, 2), np.nan, np.float32), "the vector of p0/image_left/0 is not finite"),
        (np.zeros((3, 2), np.float32), "has length 0, not 1"),
        (np.ones((3, 2)), "gives no float32"),
        (np.ones((2, 2), np.float32), r"gives no float32 \[3, d\] for 3 images"),
        (np.ones(3, np.float32), "different lengths"),
    ],
)
def test_vectors_of_a_model_of_another_room_are_checked(raw: Any, words: str, tmp_path: Path) -> None:
    model = CountingModel(embed=lambda pixels, sides: raw)
    with pytest.raises(SyperError, match=words):
        run(pictures_of(3), model, tmp_path)


def test_an_error_of_a_model_names_the_images(tmp_path: Path) -> None:
    def fail(pixels: Any, sides: Any) -> Any:
        raise SyperError("it broke")

    with pytest.raises(SyperError, match=r"images p0/image_left/0 to p2/image_left/0: it broke"):
        run(pictures_of(3), CountingModel(embed=fail), tmp_path)


def test_an_incomplete_copy_and_an_oblong_image_are_errors_not_failures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 images are missing, absent among them"):
        run(pictures_of(3), CountingModel(), tmp_path, names=["absent"])
    oblong = DrawnPictures({"a/image_left/0": np.zeros((8, 10, 3), np.uint8)})
    with pytest.raises(InputError, match="10x8 pixels, a crop is square"):
        run(oblong, CountingModel(), tmp_path)


def test_a_cache_in_use_or_damaged_is_refused(tmp_path: Path) -> None:
    folder = cache_folder(tmp_path, CountingModel.sha256, "numpy")
    with folder_lock(folder), pytest.raises(LockedError):
        run(pictures_of(3), CountingModel(), tmp_path)
    run(pictures_of(3), CountingModel(), tmp_path)
    part = next(folder.glob("*.arrow"))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(InputError, match="damaged; remove this file"):
        run(pictures_of(3), CountingModel(), tmp_path)


def test_no_image_at_all_is_an_error(tmp_path: Path) -> None:
    pictures = pictures_of(2)
    pictures.lost = set(pictures.images)
    with pytest.raises(InputError, match="none of the 2 images could be embedded"):
        run(pictures, CountingModel(), tmp_path)


def test_embeddings_of_a_file_are_found_and_its_failures_kept(tmp_path: Path) -> None:
    pictures = pictures_of(3)
    lost = list(pictures.images)[1]

    class Found(CountingModel):
        def find(self, name: str, image: SourceImage, pixel_sha256: str) -> Any:
            return None if name == lost else np.array([1, 0], np.float32)

    vectors = run(pictures, Found(), tmp_path).vectors["m"]
    assert np.isnan(vectors[:, 0]).tolist() == [False, True, False]


def test_people_that_a_model_knows_are_counted_and_refused() -> None:
    fold = drawn_protocol(people=4, samples=1).folds[0]
    new, silent = CountingModel(), CountingModel(identities_known=False)
    knows = CountingModel(identities=frozenset(identity_digest(f"person-{i}") for i in (2, 3, 99)))
    assert contamination(new, fold).trained_on == 0
    found = contamination(knows, fold)
    assert (found.trained_on, found.people, found.example) == (2, 4, "person-2")
    assert not contamination(silent, fold).known
    nameless = contamination(knows, replace(fold, named=False))
    assert (nameless.trained_on, nameless.named) == (0, False)
    assert model_labels(knows, [nameless], None) == [
        "nobody is named in the protocol's lists: it may know these people"
    ]
    assert model_labels(new, [contamination(new, fold)], None) == []
    numbers = replace(fold, subject_names=("1", "2", "3", "4"))  # of a table that holds ids as numbers
    padded = CountingModel(identities=frozenset([identity_digest("002")]))
    assert contamination(padded, numbers).trained_on == 1
    words = r"knows was trained on 2 of the 4 people of fold 1 \(one is person-2\).*--allow-contaminated"
    with pytest.raises(InputError, match=words):
        require_new_people({"new": new, "knows": knows}, [fold], allow_contaminated=False)
    assert require_new_people({"knows": knows}, [fold], allow_contaminated=True) == {"knows": [found]}
