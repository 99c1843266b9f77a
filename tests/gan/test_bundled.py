from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import syper_data
from small_generators import REPOSITORY, save_small_generator
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError
from syper_data.gan.bundled import (
    bundled_generators,
    default_generator,
    find_by_digest,
    find_generator,
    open_generator,
)
from syper_data.gan.recipe import TrainingRecipe

RELEASES = sorted(p.parent for p in REPOSITORY.glob("generator/*/generator.safetensors"))


def test_the_default_is_one_of_the_bundled_generators() -> None:
    assert default_generator() in bundled_generators()
    assert open_generator().name == default_generator()
    assert find_generator() == find_generator(default_generator())


@pytest.mark.parametrize("release", RELEASES, ids=lambda p: p.name)
def test_a_release_holds_what_it_takes_to_make_it_again(release: Path) -> None:
    loaded = open_generator(release.name)
    recipe = TrainingRecipe.read(release / "recipe.yaml")
    lines = [json.loads(line) for line in (release / "training.jsonl").read_text().splitlines()]
    assert (release / "generator.safetensors").stat().st_size < 40_000_000
    assert recipe.generator == loaded.config
    assert (recipe.name, recipe.spectrum) == (release.name, loaded.spectrum)
    assert recipe == TrainingRecipe.read(REPOSITORY / "generator" / "recipes" / f"{release.name}.yaml")
    assert lines[-1]["kimg"] == loaded.summary["kimg"] == recipe.total_kimg
    assert loaded.summary["data_sha256"] in (release / "CARD.md").read_text()
    assert Image.open(release / "contact-sheet.jpg").width >= 1000
    evaluation = release / "evaluation.json"  # the first release was made before there was one
    if release.name != "syper-vis-128-v1":
        assert json.loads(evaluation.read_text())["generated"]["generator"]["sha256"] == loaded.sha256


def test_the_bundled_images_are_varied_pictures_and_not_noise() -> None:
    images = np.concatenate(list(syper_data.generate(seeds=range(16)))).astype(float)
    assert images.std(axis=0).mean() > 10  # they differ from each other
    assert 40 < images.mean() < 220
    steps = np.abs(np.diff(images, axis=2)).mean()
    assert steps < images.std() / 3  # neighbouring pixels belong together


def test_a_generator_is_found_by_its_digest(tmp_path: Path) -> None:
    path = find_generator()
    assert find_by_digest(file_sha256(path)) == path
    own = save_small_generator(tmp_path / "own.safetensors")
    assert find_by_digest(file_sha256(own), own) == own
    with pytest.raises(InputError, match=file_sha256(own)):
        find_by_digest(file_sha256(own))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=default_generator()):
        find_generator("syper-vis-9000")
