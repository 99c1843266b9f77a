"""What every error shares: one way to say how an extra is installed."""

from __future__ import annotations

import re

import pytest

from small_generators import REPOSITORY
from syper_data.errors import install_command


@pytest.mark.parametrize("extras", [("crop",), ("train",), ("train", "report")])
def test_an_extra_is_installed_as_the_readme_says(extras: tuple[str, ...]) -> None:
    assert f"`{install_command(*extras)}`" in (REPOSITORY / "README.md").read_text("utf-8")


def test_nothing_else_says_how_to_install_the_toolkit() -> None:
    places = [*(REPOSITORY / "syper_data").rglob("*.py"), *(REPOSITORY / "cards").glob("*.j2")]
    found = {p.name: re.findall(r"pip install [^`\"\n]*", p.read_text("utf-8")) for p in places}
    assert {name: lines for name, lines in found.items() if lines} == {
        "errors.py": ["pip install -c constraints.txt '.[{','.join(extras)}]'"],
        "dataset.md.j2": ["pip install -c constraints.txt ."],
    }
