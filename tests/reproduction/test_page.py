"""The page of an experiment: what was run, what not, what others published; readable everywhere."""

from __future__ import annotations

from pathlib import Path

from headless_browser import Browser, needs_chromium
from small_experiments import reproduce
from syper_data.reproduction.quantization import Reproduction


def test_the_page_says_what_was_run_what_not_and_what_others_published(finished: Reproduction) -> None:
    page = (finished.path / "quantization.html").read_text("utf-8")
    for text in (
        "4 of 5 runs are finished",
        "no teacher large was given: --teacher large=FILE",
        "could not be acquired, without them",
        "other data, other networks",
        "Somebody, 2020",
        "Ours: teacher, synthetic images",
        "syper-data reproduce quantization --budget short",
        "--generator tiny --real CROPS --teacher main=teacher --out OUT",
    ):
        assert text in page, text
    assert str(finished.path) not in page
    assert "Not the plan" not in page
    assert page.count('class="whisker"') == 3 * 2 * 4  # three lines a run, with failures and without


def test_a_shortened_table_says_so(teacher: Path, tiny: Path, tmp_path: Path) -> None:
    done = reproduce(teacher, tiny, tmp_path, budget="one", steps=1)
    assert done.table["runs"][0]["steps"] == 1
    page = (tmp_path / "quantization.html").read_text("utf-8")
    assert "Not the plan" in page
    assert "1 step, planned 3 steps" in page


@needs_chromium
def test_the_page_fits_phone_and_desktop_and_asks_the_network_for_nothing(
    finished: Reproduction, tmp_path: Path
) -> None:
    page = finished.path / "quantization.html"
    with Browser(tmp_path) as browser:
        for width in (390, 1280):
            seen = browser.visit(page, width)
            assert seen.scroll_width <= seen.client_width <= width
            assert [r for r in seen.requests if not r.startswith("data:")] == [page.as_uri()]
            assert seen.console == []
