"""``syper-data top-up``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(short_help="Make further seeds until enough images are kept.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--kept", type=int, required=True, metavar="N", help="How many images shall be kept in all.")
@click.option("--generator", metavar="NAME|FILE", help="The dataset's generator, if it is not a bundled one.")
@click.option("--measure", multiple=True, metavar="MODULE:CLASS", help="Your own measures, as filter had them.")
@click.option("--workers", type=int, help="Processes of one thread each (default: one a core).")
@click.option("--accept-drift", is_flag=True, help="Continue on another kind of machine, and record it.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(directory: Path, quiet: bool, **options: Any) -> None:
    """Add seeds to the filtered dataset DIRECTORY, and filter them, until N images are kept.

    The new seeds are a plan of their own, topups/0001.json, and are judged as the ledger says the
    others were. The same command again, also after a kill, goes on.
    """
    from syper_data.cli.progress import ProgressLine
    from syper_data.filtering.top_up import top_up

    with ProgressLine("sampling", "images", quiet) as line:
        done = top_up(directory, report=lambda stage, at, total: line.update(at, total, stage), **options)
    if not quiet:
        click.echo(f"{directory}: {done.kept:,} of {done.rows:,} images kept, {done.added:,} seeds added")
