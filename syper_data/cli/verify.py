"""``syper-data verify``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Check a dataset, and make some of its images again.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--rows", default="100", show_default=True, metavar="K|all", help="Images to make again; 0 for none."
)
@click.option("--generator", metavar="NAME|FILE", help="The generator, where it is not a bundled one.")
@click.option("--workers", type=int, help="Processes of one thread each (default: one a core).")
@click.option("--accept-drift", is_flag=True, help="Compare within the stated tolerance on another machine.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    directory: Path, rows: str, generator: str | None, workers: int | None, accept_drift: bool, quiet: bool
) -> None:
    """Check DIRECTORY against its manifest and completion record; name the first thing that is wrong."""
    from syper_data.cli.progress import ProgressLine
    from syper_data.errors import UsageError
    from syper_data.sampling.verify import verify

    if rows != "all" and not rows.isdecimal():
        raise UsageError(f"--rows is {rows!r}: must be a whole number >= 0, or all")
    with ProgressLine("reading", "images", quiet) as line:
        done = verify(
            directory,
            rows=rows if rows == "all" else int(rows),
            generator=generator,
            workers=workers,
            accept_drift=accept_drift,
            report=lambda phase, at, total: line.update(at, total, phase),
        )
    if not quiet:
        same = "byte-identical" if done.max_difference == 0 else f"within {done.max_difference} levels"
        again = f"{done.regenerated} made again, {same}" if done.regenerated else "none made again"
        click.echo(f"{directory}: right. {done.shards} shards, {done.rows} images read, {again}")
