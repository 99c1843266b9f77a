"""``leaderboard``: the figures of benchmarks as small files that can be kept, and the page that shows them.

``RESULTS/boards.yaml`` says which models belong on which protocol; ``RESULTS/PROTOCOL/MODEL.json`` is an entry:
figures with intervals, counts, digests and the command, and nobody's name. The page is made of the entries alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from syper_data.benchmarking.benchmark import benchmark
from syper_data.benchmarking.results import RESULTS, read_results, to_text
from syper_data.benchmarking.shown import Figure, figures_of
from syper_data.benchmarking.summary import command, mark_legend, over_text, remarks
from syper_data.dataset.atomic import write_atomically
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, UsageError
from syper_data.rendering.numbers import count
from syper_data.rendering.templates import render_template

SCHEMA = "syper-result/1"
BOARDS, TEMPLATE = "boards.yaml", "results.md.j2"

Entry = dict[str, Any]
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Board:
    """A protocol with the models that are reported on it, and on which folds (all, if empty)."""

    protocol: str
    models: tuple[str, ...]
    folds: tuple[str, ...] = ()


def leaderboard(
    path: str | Path,
    *,
    run: Mapping[str, str | Path | None] | None = None,
    add: Sequence[str | Path] | None = None,
    page: str | Path | None = None,
    work: str | Path | None = None,
    report: Report | None = None,
) -> list[Entry]:
    """Make entries of benchmarks in the folder ``path``, write ``page`` of all entries, and return them.

    ``run`` maps protocols of ``boards.yaml`` to the user's copy of their data (None where they need none): their
    models are measured again, in ``work`` (vectors in it are used again), with the options of ``benchmark`` at
    their defaults. ``add`` are folders that ``benchmark`` wrote. ``page`` is a Markdown file.

    Raises:
        UsageError: a protocol that is on no board.
        InputError: boards or entries that are damaged, a folder without results, a model that was trained on the
            people it was tested on, or another model of the same name.
        LockedError, OutputError: see ``benchmark``.
    """
    target = Path(path)
    wanted = dict(run or {})
    boards = {board.protocol: board for board in read_boards(target)} if wanted else {}
    strange = [name for name in wanted if name not in boards]
    if strange:
        raise UsageError(f"--run {strange[0]}: {target / BOARDS} has {', '.join(boards) or 'no boards'}")
    with folder_lock(target), ExitStack() as stack:
        folder = Path(work) if work is not None else Path(stack.enter_context(TemporaryDirectory()))
        measured = [(Path(given), read_results(Path(given))) for given in add or ()]
        for name, root in wanted.items():
            board = boards[name]
            done = benchmark(
                protocol=name, models=board.models, root=root, folds=board.folds or None, out=folder / name,
                replace=True, cache=folder / "cache", report=report,
            )  # fmt: skip
            measured.append((done.path, done.results))
        fresh = [entry for where, results in measured for entry in _entries(where, results)]
        files = _by_file(target, fresh)
        found = _ordered(target, [*_kept(target, files), *files.values()])
        for name, entry in files.items():
            write_atomically(target / name, to_text(entry))
        if page is not None:
            write_atomically(Path(page), render_leaderboard(found))
    return found


def read_boards(folder: Path) -> list[Board]:
    """What ``boards.yaml`` says: ``PROTOCOL: {models: [...], folds: [...]}``.

    Raises:
        InputError: it is not there, or not of this form.
    """
    path = folder / BOARDS
    try:
        content = yaml.safe_load(path.read_text("utf-8")) or {}
        boards = [
            Board(str(name), tuple(map(str, about["models"])), tuple(map(str, about.get("folds") or ())))
            for name, about in content.items()
        ]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: must map protocols to their models: NAME: {{models: [NAME]}}") from error
    return boards


def entries_of(results: Mapping[str, Any]) -> list[Entry]:
    """The entries of a benchmark: one a model.

    Raises:
        InputError: a model was trained on the people it was tested on.
    """
    found = []
    for model in results["models"]:
        label = str(model["label"])
        if any(model["trained_on"].values()):
            raise InputError(f"{label}: was trained on people of {results['protocol']['name']}; that is no result")
        folds = [{"name": fold["name"], "figures": _figures(fold["figures"][label])} for fold in results["folds"]]
        found.append(
            {
                "schema": SCHEMA,
                "protocol": {k: v for k, v in results["protocol"].items() if k != "notes"},
                "images": {
                    "distinct": results["images"]["distinct"],
                    "failures": len(results["images"]["failures"]),
                    "sha256": results["images"]["sha256"],
                },
                "model": dict(model),
                "settings": dict(results["settings"]),
                "folds": folds,
                "summary": dict(results["summary"][label]),
                "command": command({**results, "models": [model]}),
                "toolkit": results["toolkit"],
                "environment": dict(results["environment"]),
            }
        )
    return found


def entries_in(folder: Path) -> list[Entry]:
    """The entries of the benchmark in ``folder``.

    Raises:
        InputError: it holds none, or damaged ones, or a model was trained on the people it was tested on.
    """
    return _entries(folder, read_results(folder))


def _entries(where: Path, results: Mapping[str, Any]) -> list[Entry]:
    try:
        return entries_of(results)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{where / RESULTS}: is not one that benchmark writes ({type(error).__name__}: {error})"
        ) from error


def entry_file(entry: Mapping[str, Any]) -> str:
    """Where an entry lies within the folder of results."""
    parts = [
        "".join(c if c.isalnum() or c in "._-" else "_" for c in str(name)).lstrip(".") or "_"
        for name in (entry["protocol"]["name"], entry["model"]["label"])
    ]
    return "/".join(parts) + ".json"


def _by_file(folder: Path, fresh: Sequence[Entry]) -> dict[str, Entry]:
    """Fresh entries by their files.

    Raises:
        InputError: one would take the place of another model's that has the same name.
    """
    files: dict[str, Entry] = {}
    for entry in fresh:
        name, sha256 = entry_file(entry), entry["model"]["sha256"]
        there = files.get(name, {}).get("model", {}).get("sha256") or _sha256_in(folder / name)
        if there not in (None, sha256):
            both = f"SHA-256 {there[:12]}, now {str(sha256)[:12]}"
            raise InputError(
                f"{folder / name}: is of another model called {entry['model']['label']} ({both}); give one of "
                "them another name, or remove this file if it is out of date"
            )
        files[name] = entry
    return files


def _sha256_in(path: Path) -> str | None:
    """The digest of the model that an entry is of; None where there is none, or it is damaged."""
    try:
        return str(json.loads(path.read_bytes())["model"]["sha256"])
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        return None


def read_entries(folder: Path) -> list[Entry]:
    """All entries, by protocol, then EER; those of models whose training people are unknown last.

    Raises:
        InputError: one of them is damaged or of another version, or those of a protocol are of different data.
    """
    return _ordered(folder, _kept(folder, ()))


def _kept(folder: Path, replaced: Collection[str]) -> list[Entry]:
    """The entries in a folder, but for those files."""
    found = []
    for path in sorted(folder.glob("*/*.json")):
        if str(path.relative_to(folder)) in replaced:
            continue
        try:
            entry: Entry = json.loads(path.read_bytes())
            schema, place = entry["schema"], entry_file(entry)
            if schema == SCHEMA:
                _row(entry, [])
        except (ValueError, KeyError, TypeError, IndexError, OSError, RecursionError) as error:
            raise InputError(f"{path}: damaged; measure it again with --run") from error
        if schema != SCHEMA or place != str(path.relative_to(folder)):
            raise InputError(f"{path}: is no entry of this folder ({schema!r}, {place})")
        found.append(entry)
    return found


def _ordered(folder: Path, entries: Sequence[Entry]) -> list[Entry]:
    _require_one_copy(folder, entries)
    return sorted(entries, key=_rank)


def _rank(entry: Entry) -> tuple[Any, ...]:
    """By protocol; models that nobody could check for known people come last, whatever their EER."""
    return (
        entry["protocol"]["name"], not people_checked(entry), entry["summary"]["eer"]["mean"],
        entry["model"]["label"],
    )  # fmt: skip


def people_checked(entry: Mapping[str, Any]) -> bool:
    """Whether it is known that the model was trained on none of the people it was tested on."""
    model = entry["model"]
    return bool(model.get("people_checked", model["identities_known"]))


def _require_one_copy(folder: Path, entries: Iterable[Entry]) -> None:
    first: dict[str, tuple[Entry, list[str]]] = {}
    for entry in entries:
        digests = [entry["images"]["sha256"], *(str(fold["sha256"]) for fold in entry["protocol"]["folds"])]
        other, known = first.setdefault(str(entry["protocol"]["name"]), (entry, digests))
        if known != digests:
            raise InputError(
                f"{folder / entry_file(entry)}: measured on other images or folds than {entry_file(other)}, so "
                "they don't compare; measure all models of this protocol again"
            )


def render_leaderboard(entries: Iterable[Mapping[str, Any]]) -> str:
    """The entries as a page in Markdown."""
    by_protocol: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        by_protocol.setdefault(str(entry["protocol"]["name"]), []).append(entry)
    boards = [_board(group) for group in by_protocol.values()]
    legend = mark_legend(cell for board in boards for _, cells in board["rows"] for cell in cells)
    return render_template(TEMPLATE, boards=boards, legend=legend)


def _figures(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {key: asdict(figure) for key, figure in figures_of(figures).items()}


def _board(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = group[0]
    columns = _columns(group)
    folds = first["protocol"]["folds"]
    return {
        "name": first["protocol"]["name"],
        "dataset": first["protocol"]["dataset"],
        "subset": first["protocol"]["subset"],
        "several": len(folds) > 1,
        "columns": [name for _, name in columns],
        "rows": [_row(entry, [key for key, _ in columns]) for entry in group],
        "unchecked": [str(entry["model"]["label"]) for entry in group if not people_checked(entry)],
        "folds": [{k: fold[k] if k in ("name", "sha256") else count(fold[k]) for k in fold} for fold in folds],
        "labels": list(dict.fromkeys(pair for entry in group for pair in _remarks(entry))),
        "entries": [entry_file(entry) for entry in group],
        "commands": list(
            dict.fromkeys(" ".join(str(entry["command"]).replace("`", "").split()) for entry in group)
        ),
        "failures": sum(entry["images"]["failures"] for entry in group[:1]),
        "distinct": count(first["images"]["distinct"]),
    }


def _remarks(entry: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return remarks({**entry, "models": [entry["model"]]})


def _columns(group: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Figures that some model has, but for AUC and d', which rank nobody."""
    names: dict[str, str] = {}
    for entry in group:
        for fold in entry["folds"]:
            for key, figure in fold["figures"].items():
                if figure["value"] is not None and figure["unit"] in ("rate", "share"):
                    names.setdefault(key, figure["name"])
    return list(names.items())


def _row(entry: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, list[str]]:
    folds, cells = entry["folds"], []
    for key in keys:
        if key not in folds[0]["figures"]:
            cells.append("")
            continue
        figure = Figure(**folds[0]["figures"][key])
        several = len(folds) > 1
        cells.append(over_text(entry["summary"].get(key), len(folds), figure.unit) if several else figure.text)
    return str(entry["model"]["label"]), cells
