"""Templates escape what they are given, and refuse to leave a value out."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from syper_data.rendering import templates
from syper_data.rendering.templates import data_uri, render_template


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(templates, "artifact_folder", lambda kind: tmp_path)
    return tmp_path


def test_html_is_escaped_and_markdown_goes_through_its_filters(cards: Path) -> None:
    (cards / "p.html.j2").write_text("<b>{{ x }}</b>")
    (cards / "c.md.j2").write_text("{{ x | plain }} {{ x | code }}")
    assert render_template("p.html.j2", x="<i>&") == "<b>&lt;i&gt;&amp;</b>"
    assert render_template("c.md.j2", x="a*b") == "a&#42;b `a*b`"
    assert render_template("c.md.j2", x="95 %") == "95 % `95 %`"  # marks nothing up


def test_a_value_that_is_not_given_is_an_error(cards: Path) -> None:
    (cards / "c.md.j2").write_text("{{ missing }}")
    with pytest.raises(jinja2.UndefinedError):
        render_template("c.md.j2")


def test_a_picture_becomes_an_address() -> None:
    assert data_uri(b"\x00\x01", "image/png") == "data:image/png;base64,AAE="
