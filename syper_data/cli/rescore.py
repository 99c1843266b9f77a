"""``syper-data rescore``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Compute a benchmark's figures again from its scores.")
@click.argument("path", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(path: Path, quiet: bool) -> None:
    """Write results.json and report.html of DIR, which syper-data benchmark made, anew from the scores in it.

    It takes no network, no image and no protocol. The figures come out as they were.
    """
    from syper_data.benchmarking.benchmark import rescore
    from syper_data.cli.benchmark_table import print_results

    done = rescore(path)
    if not quiet:
        print_results(done)
