"""A protocol over generated eyes: the same pictures for the same names, whoever asks and in whatever order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from syper_data.errors import ConfigError, InputError
from syper_data.imaging.source import SourceImage
from syper_data.protocols.capture import Changes, captured
from syper_data.protocols.generated import GeneratedPictures, GeneratedSettings, generated_fold

OFF = Changes(**dict.fromkeys(Changes.__dataclass_fields__, 0))


def small(tiny: Path, **changes: Any) -> GeneratedSettings:
    values: dict[str, Any] = {"first_seed": 10, "seeds": 12, "captures": 3, "unenrolled": 2, **changes}
    return GeneratedSettings(str(tiny), **values)


def pixels(pictures: GeneratedPictures, names: list[str]) -> dict[str, bytes]:
    entries = list(pictures.read(names))
    assert all(
        isinstance(entry, SourceImage) and entry.name == name for entry, name in zip(entries, names, strict=True)
    )
    return {name: entry.pixels.tobytes() for name, entry in zip(names, entries, strict=True)}  # type: ignore[union-attr]


def test_a_picture_depends_on_its_name_alone(tiny: Path) -> None:
    names = list(generated_fold(small(tiny)).images)
    whole = pixels(GeneratedPictures(small(tiny)), names)
    backwards = pixels(GeneratedPictures(small(tiny)), names[::-1])
    one = pixels(GeneratedPictures(small(tiny)), ["19/2"])
    assert whole == backwards
    assert one["19/2"] == whole["19/2"]
    assert len(set(whole.values())) == len(names) == 36


def test_captures_without_changes_are_the_generated_eye_itself(tiny: Path) -> None:
    from syper_data import generate

    settings = small(tiny, changes=OFF)
    made = pixels(GeneratedPictures(settings), ["10/0", "10/2", "17/1"])
    eyes = np.concatenate(list(generate(tiny, range(10, 18), precision="fp32")))
    assert made["10/0"] == made["10/2"] == eyes[0].tobytes()
    assert made["17/1"] == eyes[7].tobytes()


def test_captures_of_one_eye_are_mated_and_the_first_ones_enrolled(tiny: Path) -> None:
    fold = generated_fold(small(tiny))
    assert fold.counts() == (12 * 3, 36 * 35 // 2 - 12 * 3)
    assert fold.identification is not None
    assert [fold.images[i] for i in fold.identification.gallery] == [f"{10 + i}/0" for i in range(10)]
    assert len(fold.identification.probe) == 26
    assert not {fold.images[i] for i in fold.identification.gallery} & {
        fold.images[i] for i in fold.identification.probe
    }
    assert len(set(fold.subject_names)) == 12
    assert generated_fold(small(tiny, enrol=0, unenrolled=0)).identification is None


@pytest.mark.parametrize("name", ["9/0", "22/0", "10/3", "10", "010/0", "10/0/0", "x/1", "10/-1", "../10/0"])
def test_a_name_that_is_none_of_the_protocol_is_one_error(tiny: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"1 of 2 images are not of this protocol, the first is {name}"):
        GeneratedPictures(small(tiny)).read(["10/0", name])


def test_another_generator_than_the_protocols_is_refused(tiny: Path, tiny_conditional: Path) -> None:
    with pytest.raises(InputError, match=r"its SHA-256 is [0-9a-f]{64}, the protocol wants ffff"):
        list(GeneratedPictures(small(tiny, sha256="f" * 64)).read(["10/0"]))
    with pytest.raises(InputError, match="has classes; give an unconditional generator"):
        list(GeneratedPictures(small(tiny_conditional)).read(["10/0"]))
    with pytest.raises(InputError, match="neither a generator file nor a bundled generator"):
        list(GeneratedPictures(GeneratedSettings("no-such")).read(["1000000/0"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no option 'generator'"),
        ({"generator": "g", "psi": 1}, "unknown option 'psi'"),
        ({"generator": 3}, "generator is 3"),
        ({"generator": "g", "seeds": 1}, "seeds and captures must be at least 2"),
        ({"generator": "g", "seeds": "many"}, "seeds is 'many': must be a whole number"),
        ({"generator": "g", "first_seed": 2**32 - 5}, "300 seeds pass the largest"),
        ({"generator": "g", "enrol": 4}, "enrol and unenrolled must leave"),
        ({"generator": "g", "changes": {"blur": 9}}, r"changes.blur is 9: must lie in 0..0.05"),
        ({"generator": "g", "changes": {"blur": float("nan")}}, r"changes.blur is nan"),
        ({"generator": "g", "changes": {"flip": 1}}, "changes is .* may have shift, rotation"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GeneratedSettings.from_options(options)


def square(at: tuple[int, int]) -> np.ndarray[Any, Any]:
    image = np.full((64, 64, 3), 100, np.uint8)
    image[at[1] - 4 : at[1] + 4, at[0] - 4 : at[0] + 4] = 200
    return image


def centre(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    y, x = np.nonzero(image[..., 0] > 150)
    return np.array([x.mean(), y.mean()]) + 0.5


@pytest.mark.parametrize("number", range(4))
def test_each_change_does_what_it_says(number: int) -> None:
    eye = square((32, 20))
    only = {name: Changes(**{**vars(OFF), name: vars(Changes())[name]}) for name in vars(OFF)}
    shifted = centre(captured(eye, 1, number, only["shift"])) - centre(eye)
    assert 0 < np.abs(shifted).max() <= 0.05 * 64 + 0.6
    turned = centre(captured(eye, 1, number, only["rotation"])) - 32
    assert np.hypot(*turned) == pytest.approx(12, abs=0.6)
    zoomed = centre(captured(eye, 1, number, only["scale"])) - 32
    assert abs(zoomed[0]) < 0.6
    assert 12 * np.exp(-0.08) - 0.6 <= -zoomed[1] <= 12 * np.exp(0.08) + 0.6
    for name in ("resolution", "blur"):
        soft = captured(eye, 1, number, only[name])
        assert any(len(np.unique(captured(eye, 1, n, only[name]))) > 2 for n in range(4))
        assert abs(soft.mean() - eye.mean()) < 1
    for name in ("gamma", "contrast", "brightness"):
        lit = captured(eye, 1, number, only[name])
        assert len(np.unique(lit)) == 2
        assert not np.array_equal(lit, eye)
    noise = captured(eye, 1, number, only["noise"]).astype(float) - eye
    assert 0 < noise.std() < 0.04 * 255 + 1
    assert abs(noise.mean()) < 1


def test_a_capture_is_the_same_on_every_machine() -> None:
    """Up to the last bit of a level, which resampling and the exponential may round otherwise."""
    made = captured(square((32, 20)), 7, 1, Changes())
    assert made.mean() == pytest.approx(156.45, abs=0.05)
    assert made[20, 30].tolist() == pytest.approx([237, 242, 239], abs=2)
