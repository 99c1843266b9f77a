"""``syper-data reproduce quantization``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

_PATH = click.Path(path_type=Path)


@click.command(
    name="quantization", short_help="Recognizers of few bits, trained and compared with their teachers."
)
@click.option("--budget", required=True, metavar="1h|8h|full", help="Which table of the plan.")
@click.option(
    "--real", type=_PATH, metavar="CROPS", help="Crops of real people, for the rows that train with some."
)
@click.option("--protocol", metavar="NAME|FILE", help="What students are tested on (default: the plan's).")
@click.option("--root", type=_PATH, metavar="DIR", help="Your copy of the protocol's data, if it needs any.")
@click.option("--images", type=_PATH, metavar="SOURCE", help="Where the images lie, if not with the lists.")
@click.option("--folds", multiple=True, metavar="NAME", help="The fold of the table (default: the plan's).")
@click.option("--generator", metavar="NAME|FILE", help="In place of the plan's first generator.")
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    metavar="[NAME=]FILE",
    help="In place of the plan's first teacher, or of the one that it calls NAME. May be given again.",
)
@click.option("--steps", type=int, help="Of every run, in place of the plan's; the page says so.")
@click.option(
    "--plan", type=_PATH, metavar="FILE", help="A plan of your own (YAML) in place of the one that ships."
)
@click.option("--out", required=True, type=_PATH, metavar="DIR", help="The folder to write.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(folds: tuple[str, ...], teachers: tuple[str, ...], quiet: bool, **options: Any) -> None:
    """Run the experiment table of low-bit recognizers.

    Every run is quantize and then what benchmark does, with its teacher on the same comparisons. OUT holds
    quantization.html, quantization.json, both written after every run, and the students. The same command again,
    also after a kill, goes on where it was. Budgets 1h, 8h and full are sized for two cores.
    """
    from syper_data.cli.training_lines import shown
    from syper_data.execution.memory import keep_freed_memory
    from syper_data.reproduction.quantization import reproduce_quantization

    def show(line: dict[str, object]) -> None:
        if not quiet:
            click.echo(shown(line), err=True)

    keep_freed_memory()
    done = reproduce_quantization(folds=folds or None, teachers=teachers or None, report=show, **options)
    states = [str(run["status"]) for run in done.table["runs"]]
    if not quiet:
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        click.echo(f"{done.path / 'quantization.html'}: {counts}")
    if "failed" in states:
        sys.exit(1)
