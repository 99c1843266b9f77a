"""What every release has: files by fixed names, a log, texts by its maker, and a folder that is never changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from syper_data.dataset.atomic import atomic_folder
from syper_data.dataset.shards import file_sha256
from syper_data.errors import InputError, UsageError

Card = Callable[[dict[str, str]], str]  # digests of the other files -> the text of CARD.md

CARD, EVALUATION, RECIPE, LOG = "CARD.md", "evaluation.json", "recipe.yaml", "training.jsonl"


@dataclass(frozen=True)
class Release:
    """The folder that was written, and what its maker should know."""

    path: Path
    warnings: tuple[str, ...]


def write_release(
    out: Path,
    run: Path,
    weights: str,
    sha256: str,
    contents: Mapping[str, bytes],
    card: Card,
) -> None:
    """Write the files and the card, which is told their digests, into the new folder ``out``.

    Raises:
        OutputError: ``out`` is there, or can't be written.
        InputError: the weights are no longer those with this SHA-256.
    """
    with atomic_folder(out) as temporary:
        for name, data in contents.items():
            (temporary / name).write_bytes(data)
        if file_sha256(temporary / weights) != sha256:
            raise InputError(f"{run / weights}: changed while it was read; is the run still training?")
        (temporary / CARD).write_text(card({name: file_sha256(temporary / name) for name in contents}), "utf-8")


def data_options(summary: Mapping[str, Any]) -> list[str]:
    """The options that said what a run read, by its file's summary; words in capitals for what that lacks."""
    columns, holdout, sources = (summary.get(name) for name in ("columns", "holdout", "sources"))
    words = ["--data CROPS"]
    if isinstance(sources, int) and 1 < sources < 100:
        words = [f"--data CROPS-{number}" for number in range(1, sources + 1)]
    if isinstance(columns, Mapping):
        words += [f"--columns {quote(f'{ours}={theirs}')}" for ours, theirs in sorted(columns.items())]
    if isinstance(holdout, int | float):
        words.append(f"--holdout {holdout:g}")
    return [*words, "--subjects LIST"] if summary.get("listed") else words


def one_line(words: Sequence[str]) -> str:
    """A command as one printable line."""
    return "".join(c if c.isprintable() else " " for c in " ".join(words))


def run_contents(run: Path, weights: str, kind: str) -> dict[str, bytes]:
    """The files of a run that every release takes over: ``weights``, recipe and log.

    Raises:
        InputError: one is not there, so it is no run that wrote a ``kind``.
    """
    names = (weights, RECIPE, LOG)
    for name in names:
        if not (run / name).is_file():
            raise InputError(f"{run}: holds no {name}, so it is no run that wrote a {kind}")
    return {name: (run / name).read_bytes() for name in names}


def card_section(release: Path, heading: str) -> str | None:
    """What the card of a release says under a heading; None where it says nothing, or there is no card."""
    card = release / CARD
    text = card.read_text("utf-8") if card.is_file() else ""
    _, _, rest = text.partition(f"## {heading}\n")
    return rest.split("\n## ", 1)[0].strip() or None


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``training.jsonl``; one that is no JSON object is named."""
    lines = []
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable training log") from error
    for number, line in enumerate(text.splitlines(), 1):
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise InputError(f"{path}, line {number}: not a JSON object")
        lines.append(content)
    if not lines:
        raise InputError(f"{path}: the training log is empty")
    return lines


def text_option(value: str | Path | None, option: str) -> str | None:
    """A text, or the text of the file that it names."""
    if value is None:
        return None
    try:
        is_file = Path(value).is_file()
    except (OSError, ValueError):  # a long text is no file name
        is_file = False
    try:
        text = Path(value).read_text("utf-8") if is_file else str(value)
    except (OSError, ValueError) as error:
        raise InputError(f"{option} {value}: not a readable text file") from error
    if not is_file and (
        isinstance(value, Path) or (str(value).endswith((".md", ".txt")) and " " not in str(value))
    ):
        raise InputError(f"{option} {value}: no such file")
    if not text.strip():
        raise UsageError(f"{option} is empty")
    return text.strip()
