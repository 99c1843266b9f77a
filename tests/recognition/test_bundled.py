"""Finding recognizers by name, file, or role."""

from __future__ import annotations

from pathlib import Path

import pytest

from small_recognizers import save_random_recognizer
from syper_data.errors import InputError, UsageError
from syper_data.recognition import bundled
from syper_data.recognition.bundled import (
    bundled_recognizers,
    default_auditors,
    default_teacher,
    find_recognizer,
    open_recognizer,
)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of bundled recognizers."""
    monkeypatch.setattr(bundled, "artifact_folder", lambda kind: tmp_path)
    return tmp_path


@pytest.mark.parametrize("spectrum", ["vis", "nir"])
def test_a_spectrum_has_one_teacher_and_two_auditors_of_its_own(spectrum: str) -> None:
    auditors = default_auditors(spectrum)
    assert len({*auditors, default_teacher(spectrum)}) == 3
    other = "nir" if spectrum == "vis" else "vis"
    assert not {*auditors, default_teacher(spectrum)} & {*default_auditors(other), default_teacher(other)}


def test_without_bundled_weights_the_error_says_so(shelf: Path) -> None:
    (shelf / "default.yaml").write_text("vis: {teacher: t-v1, auditors: [a, b]}")
    with pytest.raises(InputError, match="t-v1: no such file, and this version of syper-data bundles no recogn"):
        find_recognizer()


def test_a_name_a_file_and_a_role_are_found(shelf: Path, tmp_path: Path) -> None:
    (shelf / "default.yaml").write_text("nir: {teacher: t-v1, auditors: [a, b]}")
    path = save_random_recognizer(shelf / "t-v1" / "recognizer.safetensors", name="t-v1")
    assert bundled_recognizers() == {"t-v1": path}
    assert find_recognizer("t-v1") == path
    assert find_recognizer(path) == path
    assert open_recognizer(spectrum="nir").name == "t-v1"
    with pytest.raises(InputError, match=r"nobody: neither a recognizer file nor a bundled recognizer \(t-v1\)"):
        find_recognizer("nobody")


@pytest.mark.parametrize("text", ["", "vis: 3", "vis: {teacher: t}", "vis: {teacher: t, auditors: [a]}", "\x00"])
def test_a_damaged_list_of_defaults_is_one_line(shelf: Path, text: str) -> None:
    (shelf / "default.yaml").write_text(text)
    with pytest.raises(InputError, match=r"default\.yaml: does not name"):
        default_teacher()


def test_an_unknown_spectrum_is_refused() -> None:
    with pytest.raises(UsageError, match="spectrum is 'uv'"):
        default_teacher("uv")
