"""Entries are kept of benchmarks, and the page in the docs is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from small_generators import REPOSITORY
from small_protocols import drawn_protocol
from small_recognizers import save_random_recognizer
from syper_data.benchmarking import leaderboard as module
from syper_data.benchmarking.leaderboard import leaderboard, read_boards, read_entries, render_leaderboard
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, LockedError, UsageError
from syper_data.recognition.recognizer_file import identity_digest

Run = Callable[..., Any]


def test_the_page_in_the_docs_is_that_of_the_entries() -> None:
    entries = read_entries(REPOSITORY / "results")
    assert (REPOSITORY / "docs" / "results.md").read_text("utf-8") == render_leaderboard(entries)
    for board in read_boards(REPOSITORY / "results"):
        assert board.models, board


def test_every_bundled_entry_is_of_a_model_that_its_board_names() -> None:
    boards = {board.protocol: board for board in read_boards(REPOSITORY / "results")}
    for entry in read_entries(REPOSITORY / "results"):
        board = boards[entry["protocol"]["name"]]
        assert entry["model"]["name"] in board.models
        assert not any(entry["model"]["trained_on"].values())
        assert [fold["name"] for fold in entry["folds"]] == list(board.folds) or not board.folds


def test_an_entry_a_model_with_figures_counts_digests_and_nobodys_name(run: Run, tmp_path: Path) -> None:
    done = run(protocol=drawn_protocol(lost=["person-1/image_left/0"]))
    entries = leaderboard(tmp_path / "results", add=[done.path], page=tmp_path / "docs" / "results.md")
    assert sorted(p.name for p in (tmp_path / "results" / "drawn").iterdir()) == ["centre.json", "halves.json"]
    assert [e["model"]["label"] for e in entries] == ["centre", "halves"]  # by EER
    for entry in entries:
        label = entry["model"]["label"]
        eer = done.results["folds"][0]["figures"][label]["verification"]["eer"]
        kept = entry["folds"][0]["figures"]["eer"]
        assert {k: kept[k] for k in ("value", "low", "high")} == eer
        assert entry["images"]["failures"] == 1
        assert "--model" in entry["command"]
        assert "person-" not in json.dumps(entry)
    page = (tmp_path / "docs" / "results.md").read_text("utf-8")
    assert page == render_leaderboard(read_entries(tmp_path / "results"))
    assert "- fold 1: 8 people, 48 mated and 504 non-mated comparisons" in page
    assert page.count("| centre ‡ |") == page.count("| halves ‡ |") == 1


def test_the_same_again_changes_no_byte(run: Run, tmp_path: Path) -> None:
    done = run(protocol=drawn_protocol(folds=2))
    pages = []
    for _ in range(2):
        leaderboard(tmp_path / "results", add=[done.path], page=tmp_path / "page.md")
        pages.append([(tmp_path / "page.md").read_bytes(), (tmp_path / "results/drawn/halves.json").read_bytes()])
    assert pages[0] == pages[1]
    assert b"\xc2\xb1" in pages[0][0]  # mean and deviation


def test_one_command_measures_a_boards_models_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "boards.yaml").write_text('drawn: {models: [halves], folds: ["1"]}\n')
    called: list[dict[str, Any]] = []

    def benchmark(**options: Any) -> Any:
        called.append(options)
        return run(models=options["models"], folds=options["folds"], out=options["out"])

    monkeypatch.setattr(module, "benchmark", benchmark)
    entries = leaderboard(tmp_path / "results", run={"drawn": "my-copy"}, work=tmp_path / "work")
    assert [e["model"]["label"] for e in entries] == ["halves"]
    assert (called[0]["protocol"], called[0]["root"], called[0]["folds"]) == ("drawn", "my-copy", ("1",))
    with pytest.raises(UsageError, match=r"--run other: .*boards\.yaml has drawn"):
        leaderboard(tmp_path / "results", run={"other": "x"})


def test_contaminated_figures_are_no_result(run: Run, tmp_path: Path) -> None:
    knows = save_random_recognizer(tmp_path / "r.safetensors", identities=[identity_digest("person-0")])
    done = run(models=[knows], allow_contaminated=True)
    with pytest.raises(InputError, match="was trained on people of drawn; that is no result"):
        leaderboard(tmp_path / "results", add=[done.path])
    assert not list((tmp_path / "results").glob("*/*"))


def test_a_model_that_does_not_say_whom_it_knows_is_marked_and_comes_last(run: Run, tmp_path: Path) -> None:
    other = save_random_recognizer(tmp_path / "r.safetensors", name="open", identities=[identity_digest("else")])
    done = run(models=["halves", other])
    entries = leaderboard(tmp_path / "results", add=[done.path], page=tmp_path / "page.md")
    eers = {e["model"]["label"]: e["summary"]["eer"]["mean"] for e in entries}
    assert eers["halves"] < eers["open"]
    assert [e["model"]["label"] for e in entries] == ["open", "halves"]
    assert [e["model"]["people_checked"] for e in entries] == [True, False]
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "| halves ‡ |" in page
    assert "| open |" in page
    assert page.count("‡ may have been trained on these very people: nobody can tell.") == 1
    for entry in entries:
        del entry["model"]["people_checked"]  # as older files have it
    assert "| halves ‡ |" in render_leaderboard(entries)


def test_where_the_lists_name_nobody_no_model_could_be_checked(run: Run, tmp_path: Path) -> None:
    protocol = drawn_protocol()
    unnamed = replace(protocol, folds=tuple(replace(fold, named=False) for fold in protocol.folds))
    other = save_random_recognizer(tmp_path / "r.safetensors", name="open", identities=[identity_digest("else")])
    done = run(models=[other], protocol=unnamed)
    leaderboard(tmp_path / "results", add=[done.path], page=tmp_path / "page.md")
    assert "| open ‡ |" in (tmp_path / "page.md").read_text("utf-8")


def test_a_name_from_outside_neither_leaves_the_folder_nor_breaks_the_page(run: Run, tmp_path: Path) -> None:
    done = run()
    results = json.loads((done.path / "results.json").read_bytes())
    results["protocol"]["name"] = "../../up`\n# no heading"
    results["models"][0]["label"] = "..|a|"
    results["folds"][0]["figures"]["..|a|"] = results["folds"][0]["figures"].pop("halves")
    results["summary"]["..|a|"] = results["summary"].pop("halves")
    (done.path / "results.json").write_text(json.dumps(results))
    leaderboard(tmp_path / "results", add=[done.path], page=tmp_path / "page.md")
    assert sorted(p.name for p in (tmp_path / "results").rglob("*.json")) == ["_a_.json", "centre.json"]
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "\n# no heading" not in page
    assert page.count("```") == 2
    assert "|a|" not in page


def test_damaged_entries_boards_and_a_folder_in_use_are_refused(run: Run, tmp_path: Path) -> None:
    results = tmp_path / "results"
    leaderboard(results, add=[run().path])
    entry = results / "drawn" / "halves.json"
    good = entry.read_text("utf-8")
    for text, words in (
        ("{", "damaged"),
        ('{"schema": "syper-result/1"}', "damaged"),
        (good.replace("syper-result/1", "other"), "is no entry"),
        (good.replace('"name": "drawn"', '"name": "elsewhere"'), "is no entry"),
    ):
        entry.write_text(text)
        with pytest.raises(InputError, match=words):
            read_entries(results)
    images = json.loads(good)["images"]["sha256"]
    entry.write_text(good.replace(images, "0" * 64))
    with pytest.raises(InputError, match="measured on other images or folds than"):
        read_entries(results)
    entry.write_text("{")
    assert (
        len(leaderboard(results, add=[tmp_path / "out"])) == 2
    )  # what is measured again replaces what is damaged
    for text in ("drawn: [x]", "drawn: {folds: [1]}", "- x", "a: : b"):
        (results / "boards.yaml").write_text(text)
        with pytest.raises(InputError, match="must map protocols to their models"):
            read_boards(results)
    path = tmp_path / "out" / "results.json"
    path.write_text(path.read_text("utf-8").replace('"trained_on"', '"x"'))
    with pytest.raises(InputError, match="is not one that benchmark writes"):
        leaderboard(results, add=[path.parent])
    with pytest.raises(InputError, match="no benchmark was finished here"):
        leaderboard(results, add=[tmp_path / "nothing"])
    with folder_lock(results), pytest.raises(LockedError):
        leaderboard(results)


def test_another_model_of_the_same_name_does_not_take_an_entrys_place(run: Run, tmp_path: Path) -> None:
    done = [
        run(
            models=[save_random_recognizer(tmp_path / f"{k}.safetensors", seed=k, name="same")],
            out=tmp_path / f"out{k}",
        )
        for k in (0, 1)
    ]
    words = r"same\.json: is of another model called same \(SHA-256 \w{12}, now \w{12}\); give"
    with pytest.raises(InputError, match=words):
        leaderboard(tmp_path / "results", add=[d.path for d in done])
    leaderboard(tmp_path / "results", add=[done[0].path])
    kept = (tmp_path / "results/drawn/same.json").read_bytes()
    with pytest.raises(InputError, match=words):
        leaderboard(tmp_path / "results", add=[done[1].path])
    assert (tmp_path / "results/drawn/same.json").read_bytes() == kept
    (tmp_path / "results/drawn/same.json").unlink()
    assert len(leaderboard(tmp_path / "results", add=[done[1].path])) == 1


def test_figures_that_few_comparisons_carry_are_marked_and_older_entries_without_support_are_read(
    run: Run, tmp_path: Path
) -> None:
    done = run(protocol=drawn_protocol(people=26, samples=2), models=["halves"])
    (entry,) = leaderboard(tmp_path / "results", add=[done.path], page=tmp_path / "page.md")
    assert entry["folds"][0]["figures"]["fnmr@0.01"]["support"] == "rule of 3"
    page = (tmp_path / "page.md").read_text("utf-8")
    assert page.count("†") == 2  # the figure, and what it means
    assert "† fewer than 30 errors are expected" in page
    for figure in entry["folds"][0]["figures"].values():
        del figure["support"]
    (tmp_path / "results/drawn/halves.json").write_text(json.dumps(entry))
    assert "†" not in render_leaderboard(read_entries(tmp_path / "results"))
