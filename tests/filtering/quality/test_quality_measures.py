"""Each measure sees its own fault on a drawn eye, and the set refuses what is no measure."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from drawn_crops import drawn_eye
from small_recognizers import save_random_recognizer
from syper_data.errors import InputError, SyperError, UsageError
from syper_data.filtering.quality.measure import Measure, Pixels
from syper_data.filtering.quality.measures import MeasureSet
from syper_data.recognition.embedder import load_embedder

VIS = {m.name: m for m in MeasureSet("vis").measures}


class Brightest(Measure):
    """A user's measure."""

    name = "brightest"
    unit = "levels"
    low = "no light"

    def measure(self, pixels: Pixels) -> float:
        return float(pixels.max())


class Failing(Brightest):
    name = "failing"

    def measure(self, pixels: Pixels) -> float:
        raise ZeroDivisionError("no lashes")


class NotANumber(Brightest):
    name = "not_a_number"

    def measure(self, pixels: Pixels) -> float:
        return math.nan


class TakenName(Brightest):
    name = "sharpness"


def eye(seed: int = 3) -> Pixels:
    return drawn_eye(seed, 128)


def with_lens(pixels: Pixels) -> Pixels:
    lit = pixels.copy()
    lit[70:90, 60:100] = 250
    return lit


def test_blur_lowers_sharpness_and_noise_raises_it() -> None:
    sharp = VIS["sharpness"]
    blurred = np.asarray(Image.fromarray(eye()).filter(ImageFilter.GaussianBlur(2)))
    noise = np.random.default_rng(0).normal(0, 12, (128, 128, 1))
    noisy = np.clip(eye() + noise, 0, 255).astype(np.uint8)
    assert sharp.measure(blurred) < 0.6 * sharp.measure(eye()) < 0.6 * sharp.measure(noisy)


def test_exposure_and_contrast_are_mean_and_deviation_of_the_luma_in_levels() -> None:
    half = np.full((128, 128, 3), 100, np.uint8)
    half[:64] = 140
    assert VIS["exposure"].measure(half) == pytest.approx(120)
    assert VIS["contrast"].measure(half) == pytest.approx(20)


def test_a_colour_cast_moves_warmth_and_tint_by_the_logarithm_of_its_gain() -> None:
    grey = np.full((128, 128, 3), 100, np.uint8)
    warm, green = grey.copy(), grey.copy()
    warm[..., 0] = 150
    green[..., 1] = 150
    assert VIS["colour_warmth"].measure(grey) == pytest.approx(0)
    assert VIS["colour_warmth"].measure(warm) == pytest.approx(100 * math.log(151 / 101))
    assert VIS["colour_tint"].measure(grey) == pytest.approx(0)
    assert VIS["colour_tint"].measure(green) == pytest.approx(100 * math.log(151 / 101))


def test_near_infrared_has_no_colour_measure() -> None:
    assert not [m.name for m in MeasureSet("nir").measures if m.name.startswith("colour")]


def test_glare_is_the_share_of_bright_pixels_in_percent() -> None:
    dark = np.minimum(eye(), 200)
    assert VIS["glare"].measure(dark) == 0
    assert VIS["glare"].measure(with_lens(dark)) == pytest.approx(100 * 20 * 40 / 128**2)


@pytest.mark.parametrize("spectrum", ["vis", "nir"])
def test_a_closed_eye_has_no_contrast_and_a_moved_eye_is_off_centre(spectrum: str) -> None:
    measures = {m.name: m for m in MeasureSet(spectrum).measures}
    radius = 128 / (2 * 5.4) if spectrum == "vis" else 0.45 * 128 / (2 * 2.4)
    y, x = np.mgrid[:128, :128] + 0.5 - 64

    def picture(dx: float) -> Pixels:
        disk = np.hypot(x - dx, y) < radius
        return np.repeat(np.where(disk, 40, 170).astype(np.uint8)[..., None], 3, axis=2)

    closed = np.clip(170 + np.random.default_rng(1).normal(0, 10, (128, 128, 1)), 0, 255)
    closed = np.repeat(closed, 3, axis=2).astype(np.uint8)
    assert measures["eye_contrast"].measure(picture(0)) > 2 * measures["eye_contrast"].measure(closed)
    assert measures["eye_offset"].measure(picture(0)) < 2
    assert measures["eye_offset"].measure(picture(19.2)) == pytest.approx(15, abs=2)


def test_a_flat_image_has_finite_scores() -> None:
    scores = MeasureSet("vis").measure(np.zeros((128, 128, 3), np.uint8), "black")
    assert all(math.isfinite(v) for v in scores.values())
    assert scores["eye_contrast"] == 0


def test_an_image_of_another_size_is_measured_at_128_pixels() -> None:
    small, large = drawn_eye(5, 128), drawn_eye(5, 256)
    a, b = (MeasureSet("vis").measure(x, "x") for x in (small, large))
    assert a["exposure"] == pytest.approx(b["exposure"], abs=2)
    assert a["eye_offset"] == pytest.approx(b["eye_offset"], abs=1.6)


def test_an_image_that_is_not_square_is_named() -> None:
    with pytest.raises(InputError, match=r"row 3: 20x10 pixels, a crop is square"):
        MeasureSet("vis").measure(np.zeros((10, 20, 3), np.uint8), "x.parquet, row 3")


def test_a_measure_of_the_users_own_stands_beside_ours() -> None:
    measures = MeasureSet("nir", extra=(f"{__name__}:Brightest",))
    assert measures.measure(eye(), "x")["brightest"] == eye().max()
    assert measures.digest() != MeasureSet("nir").digest()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("Brightest", "must look like module:Class"),
        ("no_such_module:X", "cannot be imported"),
        ("math:sqrt", "must be a subclass of Measure"),
        (f"{__name__}:TakenName", "the name 'sharpness' is taken"),
    ],
)
def test_what_is_no_measure_is_refused_by_name(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _ = MeasureSet("vis", extra=(spec,)).measures


@pytest.mark.parametrize(
    ("name", "what"), [("Failing", "ZeroDivisionError: no lashes"), ("NotANumber", "gave nan")]
)
def test_a_measure_that_fails_names_the_image(name: str, what: str) -> None:
    with pytest.raises(SyperError, match=f"row 7: the measure .* {what}|row 7: the measure .*{what}"):
        MeasureSet("vis", extra=(f"{__name__}:{name}",)).measure(eye(), "x.parquet, row 7")


@pytest.mark.parametrize(("spectrum", "side"), [("uv", None), ("vis", 0.5), ("nir", 40.0)])
def test_an_unknown_spectrum_or_crop_size_is_refused(spectrum: str, side: float | None) -> None:
    with pytest.raises(UsageError):
        MeasureSet(spectrum, side)


def test_utility_is_the_papers_formula_on_the_last_layer(tmp_path: Path) -> None:
    """Terhoerst et al. 2020: 2 sigmoid(-mean pairwise distance) over passes that drop half of the last input."""
    file = save_random_recognizer(tmp_path / "random.safetensors")
    measures = MeasureSet("vis", utility=str(file))
    found = {m.name: m for m in measures.measures}["utility"]
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    value = found.measure(pixels)
    embedder = load_embedder(file)
    with torch.inference_mode():
        inside = embedder.network.penultimate(embedder.prepare(np.array(embedder.oriented(pixels)[None])))[
            0
        ].numpy()
        kept = np.random.default_rng(0).random((100, len(inside))) >= 0.5
        drawn = [embedder.network.project(torch.from_numpy(inside * k * 2)[None].float())[0] for k in kept]
    unit = [v.double().numpy() / np.linalg.norm(v.double().numpy()) for v in drawn]
    mean = np.mean([np.linalg.norm(unit[i] - unit[j]) for i in range(100) for j in range(i)])
    assert value == pytest.approx(2 / (1 + np.exp(mean)), rel=1e-4)
    assert MeasureSet.from_dict(measures.to_dict()).digest() == measures.digest()
    other = save_random_recognizer(tmp_path / "other.safetensors", seed=1)
    assert measures.digest() != MeasureSet("vis", utility=str(other)).digest()
