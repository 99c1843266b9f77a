"""``syper-data leaderboard``."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command(short_help="Keep the figures of benchmarks, and the page that shows them.")
@click.argument("path", type=_PATH, metavar="RESULTS")
@click.option(
    "--run",
    multiple=True,
    metavar="PROTOCOL[=DIR]",
    help="Measure the models that boards.yaml names for this protocol; DIR is your copy of its data. Repeatable.",
)
@click.option(
    "--add", multiple=True, type=_PATH, metavar="DIR", help="Take over what syper-data benchmark wrote there."
)
@click.option("--page", type=_PATH, metavar="FILE", help="Write all entries as this Markdown page.")
@click.option(
    "--work", type=_PATH, metavar="FOLDER", help="Where --run works and keeps vectors (default: temporary)."
)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    path: Path, run: tuple[str, ...], add: tuple[Path, ...], page: Path | None, work: Path | None, quiet: bool
) -> None:
    """Keep an entry for every model and protocol in RESULTS: figures, counts, digests and the command."""
    from syper_data.benchmarking.leaderboard import leaderboard, people_checked
    from syper_data.cli.progress import ProgressLine

    parts = [given.partition("=") for given in run]
    roots = {name: root or None for name, _, root in parts}
    with ProgressLine("embedding", "images", quiet) as line:
        entries = leaderboard(path, run=roots or None, add=add or None, page=page, work=work, report=line.update)
    if quiet:
        return
    for entry in entries:
        eer = entry["summary"]["eer"]["mean"]
        doubt = "" if people_checked(entry) else " (may have been trained on these people: nobody can tell)"
        click.echo(f"{entry['protocol']['name']}: {entry['model']['label']}: EER {100 * eer:.2f} %{doubt}")
    if page is not None:
        click.echo(f"{page}: entries: {len(entries)}")
