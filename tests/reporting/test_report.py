"""The page says what was found, escapes what it is given, and is the same for the same files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import syper_data
from audited_dataset import HOSTILE, audited_dataset, page_of, text_of
from drawn_crops import drawn_eye, png
from filter_thresholds import write_thresholds
from headless_browser import Browser, needs_chromium
from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory
from syper_data.errors import InputError, LockedError, UsageError, VerificationError
from syper_data.filtering.ledger import LEDGER, write_ledger


def rate(value: float, n: int = 100) -> dict[str, Any]:
    return {
        "value": value,
        "low": value - 0.02,
        "high": min(1.0, value + 0.02),
        "n": n,
        "clusters": n,
        "effective": n,
    }


def copies(**found: float) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind,
            "description": "as drawn",
            "flagged": rate(value),
            "named": rate(value),
            "median_similarity": 0.9,
        }
        for kind, value in found.items()
    ]


def test_a_leak_is_the_first_thing_the_page_says(tmp_path: Path) -> None:
    dataset = audited_dataset(tmp_path / "eyes", leaked=8)
    page = page_of(dataset)
    assert page.index("More images resemble real people than chance explains.") < page.index("What was tested")
    flagged = int(re.search(r"Flagged: (\d+) of 20 images\. By chance alone 1 would be", page).group(1))  # type: ignore[union-attr]
    assert flagged >= 8
    assert f"rejected: resembles a real person {flagged}" in page
    assert re.search(r"very probably \d+ images? or more show, or closely resemble, people in the reference", page)
    for section in ("Decision", "Date and signature", "I refuse", "What can not be concluded", "How it was made"):
        assert section in page


def test_no_excess_is_called_clear_only_where_the_audit_would_have_seen_a_leak(tmp_path: Path) -> None:
    clear = {"copies": copies(recompressed=1.0, mirrored=0.99)}
    page = page_of(audited_dataset(tmp_path / "a", changes=clear))
    assert "No more images resemble these real people than chance explains." in page
    assert "at least nine in ten of each were found" in page

    auc = {"value": 0.7, "low": 0.52, "high": 0.8}
    tells = {"auc": auc, "at": [{"fpr": 0.01, "tpr": None, "support": "", "note": ""}], "verdict": "It shows."}
    tells |= {"train_images": 40, "train_people": 20, "held_out_images": 40, "held_out_people": 20}
    tells |= {"synthetic_images": 20, "embedders": ["a"], "repeats": 50, "seed": 0}
    page = page_of(audited_dataset(tmp_path / "m", changes=clear | {"membership": tells}))
    assert "It can be told, to a degree, which photos the generator was trained on." in page
    assert "about as much as pictures of strangers do" not in page

    blind = {"copies": copies(recompressed=1.0, re_lit=0.62)}
    page = page_of(audited_dataset(tmp_path / "b", changes=blind))
    assert "it was not shown that this audit would have seen every leak" in page
    assert "Of 100 of each kind would have been missed: 38 re lit." in page

    page = page_of(audited_dataset(tmp_path / "c", changes=clear, weak=True))
    assert re.search(r"of 100 new pictures of people in the reference, about \d+ would have been missed", page)

    page = page_of(audited_dataset(tmp_path / "d", changes=clear, second_images=False))
    assert "Copies were tested, identity was not" in page
    assert "it was not shown" in page


def test_the_false_alarm_rate_stands_beside_what_was_planted(tmp_path: Path) -> None:
    changes = {"copies": copies(blurred=0.95), "false_alarms": [{"rate": rate(0.031), "held_out": True}]}
    page = page_of(audited_dataset(tmp_path / "eyes", changes=changes))
    assert re.search(r"copy, blurred: as drawn 95 % \(93 % to 97 %\) of 100 95 % 3\.1 %", page)


def test_several_networks_are_named_with_a_threshold_each(tmp_path: Path) -> None:
    one = page_of(audited_dataset(tmp_path / "a"))
    two = page_of(audited_dataset(tmp_path / "b", networks=2))
    assert "by a network that recognises people" in one
    assert "by 2 networks that recognise people" in two
    assert (one.count("threshold cosine similarity"), two.count("threshold cosine similarity")) == (1, 2)
    assert "What lies beyond the threshold is flagged." in one
    assert "The thresholds are in the table." in two


def test_a_topped_up_dataset_names_the_seeds_of_every_plan(tmp_path: Path, tiny: Path) -> None:
    dataset = syper_data.sample(n=12, out=tmp_path / "eyes", generator=tiny, workers=1)
    options = {"quality_only": True, "workers": 1}
    file = write_thresholds(tmp_path / "t.json")
    syper_data.filter(dataset.path, quality_thresholds=file, **options)
    syper_data.top_up(dataset.path, kept=20, generator=tiny, workers=1)
    page = page_of(DatasetDirectory.open(dataset.path))
    assert "Seeds 0 to 11: 12 images" in page
    assert re.search(r"Seeds of top-up 1 12 to \d+: \d+ images", page)


def test_a_dataset_that_was_never_audited_says_so(tmp_path: Path) -> None:
    result = syper_data.report(make_dataset(tmp_path / "eyes", 9).path)
    page = text_of(result.path.read_text("utf-8"))
    assert result.level == "not audited"
    assert "Not audited: nothing is known about these images." in page
    assert "There is no ground to sign this dataset." in page


def test_quality_alone_is_not_called_private(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "eyes", 20)
    syper_data.filter(dataset.path, quality_only=True, quality_thresholds="bundled", workers=1)
    page = page_of(dataset)
    assert "Whether the images show real people was not tested." in page
    assert "It does not mean that the images are private" in page
    rejected = json.loads((dataset.path / "filter.json").read_text())["rejected"]
    for reason, count in rejected.items():
        assert f"rejected: {reason} {count}" in page
    assert re.search(rf"“{next(iter(rejected))}” (below|above) [-\d.]+: [1-9]\d* images?", page)


def test_where_no_image_is_kept_there_is_nothing_to_sign(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "eyes", 4)
    quality = {"exposure": np.arange(4.0)}
    write_ledger(dataset, quality, [["too dark"], [], [], []], {})
    page = page_of(dataset)
    assert "I agree to the use of the kept images" in page
    assert "kept 3 75 %" in page.replace("\xa0", " ")
    write_ledger(dataset, quality, [["too dark"]] * 4, {})
    page = page_of(dataset)
    assert "There is nothing to sign: no image is kept." in page
    assert "I agree" not in page
    assert "kept 0 0 %" in page.replace("\xa0", " ")


def test_without_a_threshold_nothing_is_concluded(tmp_path: Path) -> None:
    page = page_of(audited_dataset(tmp_path / "eyes", labelled=False))
    assert "nothing can be concluded: there is no threshold" in page
    assert "no image was flagged and none is cleared" in page


def test_every_text_is_escaped_and_paths_of_the_machine_stay_behind(tmp_path: Path) -> None:
    dataset = audited_dataset(tmp_path / "<script>eyes", leaked=2, changes={"notes": [HOSTILE]})
    page = syper_data.report(dataset.path).path.read_text("utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert") > 5
    assert "/home/someone" not in page
    assert str(tmp_path) not in page
    assert "--reference reference.parquet --fpir 0.05" in page
    assert "'&lt;script&gt;eyes'" in page.replace("&#39;", "'")


def test_the_page_needs_nothing_else_and_is_the_same_for_the_same_files(tmp_path: Path) -> None:
    dataset = audited_dataset(tmp_path / "eyes", leaked=2)
    first = syper_data.report(dataset.path).path.read_bytes()
    assert syper_data.report(dataset.path, out=tmp_path / "again.html").path.read_bytes() == first
    assert b"http" not in first
    assert all(uri.startswith(b"data:") for uri in re.findall(rb'(?:src|href)="([^"]*)"', first))
    assert b"url(" not in first


def test_the_commands_name_the_file_of_a_generator_that_does_not_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(tmp_path / "eyes", 4)
    page = page_of(dataset)
    sha256 = dataset.manifest.generator.sha256
    assert f"where FILE is the generator with the SHA-256 {sha256}, which does not ship" in page
    assert "sample --from-manifest eyes/manifest.json --out again --generator FILE" in page
    assert "verify eyes --rows all --generator FILE" in page
    monkeypatch.setattr("syper_data.gan.bundled.file_sha256", lambda path: sha256)  # as if it shipped
    page = page_of(dataset)
    assert "FILE" not in page
    assert "sample --from-manifest eyes/manifest.json --out again To verify" in page


def test_real_people_are_shown_only_when_asked_for(tmp_path: Path) -> None:
    dataset = audited_dataset(tmp_path / "eyes", leaked=3)
    names = pq.read_table(dataset.path / LEDGER)["nearest_reference"].to_pylist()
    hidden = syper_data.report(dataset.path)
    assert not hidden.shows_real
    assert "Do not publish" not in hidden.path.read_text("utf-8")
    table = {"image": [{"bytes": png(drawn_eye(i)), "path": None} for i in range(len(names))], "source_id": names}
    pq.write_table(pa.table(table), tmp_path / "real.parquet")
    shown = syper_data.report(dataset.path, reference=tmp_path / "real.parquet", show_real=True)
    page = shown.path.read_text("utf-8")
    assert shown.shows_real
    assert "Do not publish this page" in page
    assert page.count("data:image/") == hidden_pictures(dataset, tmp_path) + 12


def hidden_pictures(dataset: DatasetDirectory, tmp_path: Path) -> int:
    return (
        syper_data.report(dataset.path, out=tmp_path / "hidden.html").path.read_text("utf-8").count("data:image/")
    )


def test_real_people_need_both_options_and_the_right_source(tmp_path: Path) -> None:
    dataset = audited_dataset(tmp_path / "eyes")
    with pytest.raises(UsageError, match="--show-real needs the real images: --reference SOURCE"):
        syper_data.report(dataset.path, show_real=True)
    with pytest.raises(UsageError, match="say so with --show-real"):
        syper_data.report(dataset.path, reference="x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").write_bytes(png(drawn_eye(0)))
    with pytest.raises(InputError, match="holds none of the real images that the audit names"):
        syper_data.report(dataset.path, reference=tmp_path / "other", show_real=True)
    assert not (dataset.path / "report.html").exists()


def test_a_ledger_that_is_damaged_or_foreign_is_one_error(tmp_path: Path) -> None:
    dataset = audited_dataset(tmp_path / "eyes")
    good = (dataset.path / LEDGER).read_bytes()
    other = make_dataset(tmp_path / "other", 20, generator_name="other-v1")
    (other.path / LEDGER).write_bytes(good)
    (dataset.path / LEDGER).write_bytes(good[:200])
    for folder, words in ((dataset.path, "truncated or damaged"), (other.path, "ledger of another dataset")):
        with pytest.raises(InputError, match=words) as caught:
            syper_data.report(folder)
        assert "\n" not in str(caught.value)
        assert not (folder / "report.html").exists()


@pytest.mark.parametrize("change", [{"networks": None}, {"excess": {"excess": 3}}, {"copies": [{}]}])
def test_a_record_that_filter_did_not_write_is_one_error(change: dict[str, Any], tmp_path: Path) -> None:
    dataset = audited_dataset(tmp_path / "eyes", changes=change)
    with pytest.raises(InputError, match=r"ledger\.parquet: its record is not one") as caught:
        syper_data.report(dataset.path)
    assert "\n" not in str(caught.value)


def test_figures_of_another_ledger_are_refused(tmp_path: Path) -> None:
    dataset = audited_dataset(tmp_path / "eyes")
    for content, words in (('{"ledger_sha256": "00"}', "belongs to another ledger"), ("{", "damaged")):
        (dataset.path / "filter.json").write_text(content)
        with pytest.raises(InputError, match=words):
            syper_data.report(dataset.path)


def test_a_ledger_without_figures_still_gives_a_page(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "eyes", 20)
    write_ledger(dataset, {"score": np.arange(20.0)}, [["blurred"]] * 20, {})
    page = page_of(dataset)
    assert "None: every image was rejected." in page
    assert "no quality measures are recorded" in page


def test_an_unfinished_a_damaged_and_a_locked_dataset_are_refused(tmp_path: Path) -> None:
    from syper_data.dataset.lock import folder_lock

    with pytest.raises(InputError, match="not complete"):
        syper_data.report(make_dataset(tmp_path / "half", 9, complete=False).path)
    dataset = make_dataset(tmp_path / "eyes", 20)
    with folder_lock(dataset.path):
        with pytest.raises(LockedError):
            syper_data.report(dataset.path)
        assert syper_data.report(dataset.path, out=tmp_path / "page.html").path.exists()
    victim = dataset.shard_path(dataset.shards[1])
    victim.write_bytes(victim.read_bytes() + b"x")
    with pytest.raises(VerificationError, match="damaged or changed"):
        syper_data.report(dataset.path)


@needs_chromium
def test_the_page_fits_phone_and_desktop_and_asks_the_network_for_nothing(tmp_path: Path) -> None:
    dataset = audited_dataset(tmp_path / "eyes", leaked=6, changes={"copies": copies(blurred=0.95, mirrored=0.5)})
    page = syper_data.report(dataset.path).path
    with Browser(tmp_path) as browser:
        for width in (390, 1280):
            seen = browser.visit(page, width)
            assert seen.scroll_width <= seen.client_width <= width
            assert [r for r in seen.requests if not r.startswith("data:")] == [page.as_uri()]
            assert seen.console == []
        browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
