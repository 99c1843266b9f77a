"""The page says what was found and how sure it is, escapes what it is given, and needs nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headless_browser import Browser, needs_chromium
from small_protocols import drawn_protocol
from syper_data.benchmarking.charts import cmc_chart, det_chart
from syper_data.benchmarking.made import made_rows
from syper_data.benchmarking.page import render_page
from syper_data.benchmarking.summary import (
    command,
    difference_text,
    fold_rows,
    headline,
    over_text,
    shortened,
    summary_rows,
)
from syper_data.protocols.protocol import Protocol

Run = Callable[..., Any]
HOSTILE = "<script>alert(1)</script>"


def text_of(page: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("\xa0", " ").split())


def difference(low: float, high: float, figure: str = "eer", p: float = 0.004) -> dict[str, Any]:
    found = {"value": (low + high) / 2, "low": low, "high": high}
    return {"models": ["a", "b"], "figure": figure, "difference": found, "p": p, "exact": None}


def test_the_first_thing_said_is_which_is_better_and_whether_chance_explains_it(run: Run) -> None:
    results = run().results
    eer = {m: results["folds"][0]["figures"][m]["verification"]["eer"]["value"] for m in ("halves", "centre")}
    best = min(eer, key=lambda m: eer[m])
    assert headline(results).startswith(f"Lowest EER: {best}, {100 * eer[best]:.2f}\xa0% [")
    fold = results["folds"][0]
    for low, high, words in ((-0.2, -0.1, "is more than chance explains"), (-0.1, 0.1, "is not more than chance")):
        changed = {**fold, "differences": [difference(low, high) | {"models": [best, ({*eer} - {best}).pop()]}]}
        assert words in headline({**results, "folds": [changed]})
    other = ({*eer} - {best}).pop()
    pairs = [difference(*ends) | {"models": [best, other]} for ends in ((-0.2, -0.1), (-0.1, 0.1))]
    two = {**results, "folds": [fold | {"differences": [pair]} for pair in pairs]}
    assert headline(two).endswith(f"Its lead over {other} is more than chance explains in 1 of 2 folds.")
    page = text_of((run().path / "report.html").read_text("utf-8"))
    assert page.index("Lowest EER") < page.index("Figures")
    assert "rule of 3" in page


def test_a_difference_says_who_is_better_or_that_chance_may_explain_it() -> None:
    assert difference_text(difference(-0.04, -0.02)) == (
        "EER, a minus b: -3.00 percentage points (95 % interval -4.00 to -2.00, p = 0.004): a is better."
    )
    assert difference_text(difference(-0.04, -0.02, "rank1")).endswith("b is better.")
    assert difference_text(difference(-0.04, 0.02)).endswith("chance may explain it.")
    assert "p < 0.001" in difference_text(difference(0.1, 0.2, p=0.0004))
    unknown = difference(0.1, 0.1) | {"p": None, "difference": {"value": 0.1, "low": None, "high": None}}
    assert difference_text(unknown) == "EER, a minus b: +10.00 percentage points."


def test_rows_without_any_figure_become_one() -> None:
    none = ["not supported", "not supported"]
    rows = [("EER", ["1", "2"]), ("FNMR at FMR ≤ 1\xa0%", ["3", "not supported"])]
    rows += [(f"FNMR at FMR ≤ {t}", none) for t in ("0.1\xa0%", "0.01\xa0%")] + [("FNIR at FPIR ≤ 1\xa0%", none)]
    assert shortened(rows) == [
        *rows[:2],
        ("FNMR at FMR ≤ 0.1\xa0%, 0.01\xa0%", none),
        ("FNIR at FPIR ≤ 1\xa0%", none),
    ]


def test_several_folds_show_mean_and_deviation_and_how_many_had_the_figure(run: Run) -> None:
    results = run(protocol=drawn_protocol(folds=2)).results
    cells = dict(summary_rows(results))["EER"]
    assert all(re.fullmatch(r"\d+\.\d\d\xa0% ± \d+\.\d\d", cell) for cell in cells)
    assert over_text({"mean": 0.1, "deviation": None, "n": 1}, 3, "rate") == "10.00\xa0% (1 of 3 folds)"
    assert over_text(None, 3, "rate") == "not supported"
    page = text_of(render_page(results))
    assert "Fold 1 8 people, 48 mated and 504 non-mated comparisons" in page
    assert [name for name, _, _ in fold_rows(results)] == ["1", "2"]
    for cell in next(fold_rows(results))[2]:
        assert re.fullmatch(r"\d+\.\d\d\xa0% \[\d+\.\d\d, \d+\.\d\d\]", cell)


def test_figures_between_the_rule_of_3_and_the_rule_of_30_are_marked_and_the_mark_explained(run: Run) -> None:
    """504 non-mated comparisons of 56 pairs of eyes on each side bear no target; more people bear 1 %."""
    done = run(protocol=drawn_protocol(people=26, samples=2), models=["halves"])
    points = done.results["folds"][0]["figures"]["halves"]["verification"]["at"]
    assert [at["point"]["support"] for at in points] == ["rule of 3", "none", "none", "none", "none"]
    cells = dict(summary_rows(done.results))
    assert cells["FNMR at FMR ≤ 1\xa0%"][0].endswith("]\xa0†")
    assert not any("†" in cell for name in cells for cell in cells[name] if "FMR" not in name)
    page = text_of((done.path / "report.html").read_text("utf-8"))
    assert (
        "† fewer than 30 errors are expected at this FMR or FPIR (rule of 30): read it with its interval." in page
    )
    points[0]["point"]["support"] = "rule of 30"
    assert "†" not in dict(summary_rows(done.results))["FNMR at FMR ≤ 1\xa0%"][0]


def test_over_folds_the_weakest_support_counts(run: Run) -> None:
    done = run(protocol=drawn_protocol(people=26, samples=2, folds=2), models=["halves"])
    summary = done.results["summary"]["halves"]
    assert (summary["fnmr@0.01"]["support"], summary["eer"]["support"]) == ("rule of 3", None)
    cells = dict(summary_rows(done.results))
    assert cells["FNMR at FMR ≤ 1\xa0%"][0].endswith("†")
    assert over_text({"mean": 0.1, "deviation": 0.01, "n": 1, "support": "rule of 3"}, 3, "rate") == (
        "10.00\xa0% ± 1.00\xa0† (1 of 3 folds)"
    )
    assert over_text({"mean": 0.1, "deviation": None, "n": 3}, 3, "rate") == "10.00\xa0%"  # as older files have it


def test_how_it_was_made_is_said_in_words_without_what_was_left_alone(run: Run) -> None:
    results = run(protocol=drawn_protocol(folds=2), folds=["1"], paper_compat=True).results
    rows = {name: text for name, text, _ in made_rows(results)}
    assert rows["Settings"] == (
        "intervals from 20 resamples of people, drawn with seed 3; fold 1; figures as published code computes "
        "them stand beside"
    )
    assert rows["Made with"].startswith("Python 3.")
    assert rows["Model halves"] == "function of the user's, vectors of 12 values"
    assert {digest for name, _, digest in made_rows(results) if name == "Fold 1"} == {
        results["protocol"]["folds"][0]["sha256"]
    }
    made = text_of(render_page(results).partition("How it was made")[2])
    for word in ("None", "True", "False", "[", "{", "('"):
        assert word not in made, word


def test_what_comes_from_outside_is_escaped(run: Run) -> None:
    good = drawn_protocol(lost=["person-1/image_left/0"])
    hostile = Protocol(HOSTILE, HOSTILE, HOSTILE, good.folds, good.pictures, "vis", (HOSTILE,), {HOSTILE: "00"})
    results = run(protocol=hostile).results
    for model in results["models"]:
        model["labels"] = [HOSTILE]
    for failure in results["images"]["failures"]:
        failure |= {"name": HOSTILE, "reason": HOSTILE}
    for pair in results["folds"][0]["hardest"]["halves"]:
        pair["probe"] = HOSTILE
    page = render_page(results)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 8


def test_the_command_on_the_page_names_no_path(run: Run, tmp_path: Path) -> None:
    done = run(paper_compat=True, folds=["1"])
    assert command(done.results) == (
        "syper-data benchmark --protocol drawn --model FILE --model FILE --folds 1 --paper-compat "
        "--repeats 20 --seed 3 --out OUT"
    )
    page = (done.path / "report.html").read_text("utf-8")
    assert str(tmp_path) not in page
    assert "FNMR nearest to FMR" in page


def test_a_det_ends_where_the_comparisons_no_longer_carry_it() -> None:
    fmr = [0.0, 0.0005, 0.001, 0.01, 0.1, 0.4, 0.9]
    fnmr = [1.0, 0.9, 0.6, 0.3, 0.1, 0.02, 0.0]
    det = {"fmr": fmr, "fnmr": fnmr, "fnmr_low": fnmr, "fnmr_high": fnmr}
    figures = {"m": {"verification": {"independent": 3000, "mated": 100}, "det": det}}
    drawn = str(det_chart(figures, ["m"], "DET"))
    line = re.search(r'class="line s0" d="M([^"]*)"', drawn)
    assert line is not None
    assert len(line[1].split()) == 2 * 3  # FMR 0.001, 0.01 and 0.1: below 3 / 3000 nothing, FNMR not below 3 / 100
    figures["m"]["verification"]["independent"] = 1
    assert det_chart(figures, ["m"], "DET") is None


def test_without_searches_there_is_no_cmc() -> None:
    assert cmc_chart({"m": {"identification": None}}, ["m"], "CMC") is None
    figures = {"m": {"identification": {"cmc": [0.5, 0.75, 1.0]}}}
    assert 'class="line s0"' in str(cmc_chart(figures, ["m"], "CMC"))


@needs_chromium
@pytest.mark.parametrize("folds", [1, 3])
def test_the_page_fits_phone_and_desktop_and_asks_the_network_for_nothing(
    folds: int, run: Run, tmp_path: Path
) -> None:
    protocol = drawn_protocol(folds=folds, lost=["person-1/image_left/0"])
    lists = {f"experimentalProtocol/open_world/test_pairs/fold{k}/pairs.txt": "0" * 64 for k in range(9)}
    done = run(protocol=replace(protocol, source_files=lists), show_images=True, paper_compat=True)
    page = done.path / "report.html"
    assert "url(" not in page.read_text("utf-8")
    with Browser(tmp_path) as browser:
        for width in (390, 1280):
            seen = browser.visit(page, width)
            assert seen.scroll_width <= seen.client_width <= width
            assert seen.scroll_height < 12_000 * folds  # no column of single letters
            assert [r for r in seen.requests if not r.startswith("data:")] == [page.as_uri()]
            assert seen.console == []
