"""``syper-data report``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Write the page that a privacy officer signs or refuses.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="The page (default: DIRECTORY/report.html)."
)
@click.option("--reference", metavar="SOURCE", help="The real images of the audit, for --show-real.")
@click.option("--show-real", is_flag=True, help="Show real people beside the images that resemble them most.")
@click.option("--columns", multiple=True, metavar="OURS=THEIRS", help="Other column names, e.g. source_id=file.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    directory: Path,
    out: Path | None,
    reference: str | None,
    show_real: bool,
    columns: tuple[str, ...],
    quiet: bool,
) -> None:
    """Write the page of DIRECTORY: one HTML file that opens offline and prints.

    It says what was made and how, what the audit tested and found, and what that means and does not mean.
    """
    from syper_data.imaging.columns import parse_columns
    from syper_data.reporting.report import report

    done = report(directory, out=out, reference=reference, show_real=show_real, columns=parse_columns(columns))
    if not quiet:
        click.echo(done.headline)
        keep = " (shows real people: do not publish it)" if done.shows_real else ""
        click.echo(f"{done.path}: open it in a browser, or print it{keep}")
