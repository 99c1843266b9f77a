"""Crops of one spectrum and a recipe of another are refused, by both trainings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

import small_recognizer_training
import small_training
from syper_data.errors import InputError
from syper_data.gan.training import train_generator
from syper_data.imaging.source import SourceImage
from syper_data.imaging.spectrum import OneSpectrum
from syper_data.recognition.training import train_recognizer

SETTINGS = {"vis": "spectrum: vis", "nir": "spectrum: nir"}


def named(spectra: Iterable[str | None]) -> list[SourceImage]:
    images = small_training.crops(count=3)
    return [replace(x, spectrum=spectrum) for x, spectrum in zip(images, spectra, strict=True)]


def let_through(images: list[SourceImage], spectrum: str = "vis") -> list[SourceImage]:
    return list(OneSpectrum(spectrum, SETTINGS).checked(images))


@pytest.mark.parametrize("spectra", [(None,) * 3, ("vis",) * 3, ("vis", None, "vis")])
def test_images_of_the_recipes_spectrum_and_of_an_unnamed_one_go_through(spectra: tuple[str | None, ...]) -> None:
    images = named(spectra)
    assert let_through(images) == images


@pytest.mark.parametrize(
    ("spectra", "message"),
    [
        (
            ("nir", "nir", "nir"),
            "crops/0.png: spectrum is nir, the recipe says vis: set spectrum: nir in the recipe, or give crops in "
            "visible light",
        ),
        (
            (None, "vis", "nir"),
            "crops/2.png: spectrum is nir, images before it are vis: a recipe is for one spectrum; give the crops "
            "in visible light only",
        ),
        (("nir", "vis", "vis"), "crops/0.png: spectrum is nir, the recipe says vis"),
        (
            ("thermal", "vis", "vis"),
            "crops/0.png: spectrum is 'thermal': must be vis or nir; if that column means something else, "
            "--columns spectrum= leaves it unread",
        ),
    ],
)
def test_another_spectrum_is_refused_in_one_line(spectra: tuple[str | None, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        let_through(named(spectra))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_spectra_that_differ_between_two_sources_are_mixed_ones_too() -> None:
    check = OneSpectrum("nir", SETTINGS)
    assert len(list(check.checked(named(["nir"] * 3)))) == 3
    with pytest.raises(InputError, match="images before it are nir"):
        list(check.checked(named(["vis"] * 3)))


def test_a_generator_is_not_trained_by_a_recipe_for_other_light(tmp_path: Path) -> None:
    images = [replace(image, spectrum="nir") for image in small_training.crops()]
    recipe = replace(small_training.RECIPE, spectrum="vis")
    with pytest.raises(InputError, match="recipe says vis: set spectrum: nir and img_channels: 1 in the recipe"):
        train_generator(recipe, images, tmp_path / "run")
    with pytest.raises(InputError, match="recipe says nir: set spectrum: vis and img_channels: 3 in the recipe"):
        train_generator(small_training.RECIPE, [replace(x, spectrum="vis") for x in images], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_recognizer_is_not_trained_by_a_recipe_for_other_light(tmp_path: Path) -> None:
    recipe = small_recognizer_training.RECIPE
    images = [replace(image, spectrum="vis") for image in small_recognizer_training.people()]
    with pytest.raises(InputError, match="recipe says nir: set spectrum: vis in the recipe, or give"):
        train_recognizer(recipe, images, tmp_path / "run")
    mixed = [replace(image, spectrum="nir") for image in images[:6]] + images[6:]
    with pytest.raises(InputError, match=r"row 6: spectrum is vis, images before it are nir"):
        train_recognizer(recipe, mixed, tmp_path / "run", holdout=0.5)
    assert not (tmp_path / "run").exists()
