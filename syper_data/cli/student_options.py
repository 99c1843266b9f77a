"""The options that ``distill`` and ``quantize`` share: a network learns from a teacher and from images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def student_options(*, data: str, generator: str, seed: str, start: str) -> Callable[[Command], Command]:
    """Add the shared options below those that the command has of its own.

    What differs is said by the command: which images ``data`` takes, when a ``generator`` may take their place,
    what the ``seed`` is of, and what is begun with in place of what (``start``).
    """
    sources = "a folder, Parquet, a dataset directory or hf:OWNER/NAME"
    options = (
        click.option(
            "--teacher",
            metavar="NAME|FILE",
            help="A bundled recognizer or a recognizer file (default: the vis teacher).",
        ),
        click.option(
            "--data",
            multiple=True,
            help=f"Images to learn from, {data}: {sources}. Give it again for further sources.",
        ),
        click.option(
            "--generator",
            metavar="NAME|FILE",
            help=f"In place of --data{generator}: a generator that makes every image anew and keeps none.",
        ),
        click.option(
            "--columns", multiple=True, metavar="OURS=THEIRS", help="Other column names, e.g. subject=person."
        ),
        click.option("--steps", type=int, help="How many, in place of the recipe's length."),
        click.option("--seed", type=int, help=f"Of {seed} (default: 0)."),
        click.option("--start", metavar="NAME|FILE", help=f"Begin with this recognizer's weights{start}."),
        click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run."),
        click.option("--quiet", is_flag=True, help="Print nothing but errors."),
    )

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add
