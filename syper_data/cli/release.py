"""``syper-data release``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Make a release of a training run: weights, records, card.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--evaluation",
    type=click.Path(path_type=Path),
    help="evaluation.json of this very network; a student's benchmark folder.",
)
@click.option("--unevaluated", is_flag=True, help="Release without an evaluation; the card says so.")
@click.option("--terms", metavar="TEXT|FILE", help="Terms of use for the card (Markdown).")
@click.option("--faults", metavar="TEXT|FILE", help="Known faults for the card (Markdown).")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    run: Path,
    out: Path,
    evaluation: Path | None,
    unevaluated: bool,
    terms: str | None,
    faults: str | None,
    quiet: bool,
) -> None:
    """Write the release folder OUT (generator/NAME, recognizer/NAME) of the training run RUN: weights, recipe,
    log, evaluation, card, and a generator's contact sheet. RUN may be one of quantize, too.

    An existing folder is never changed: a better network is another release, such as NAME-v2.
    """
    from syper_data.cli.progress import ProgressLine
    from syper_data.publishing.release import release

    with ProgressLine("sampling", "images", quiet) as line:
        done = release(
            run,
            out,
            evaluation=evaluation,
            unevaluated=unevaluated,
            terms=terms,
            faults=faults,
            report=lambda what, at, of: line.update(at, of, what),
        )
    if not quiet:
        for warning in done.warnings:
            click.echo(f"Warning: {warning}", err=True)
        click.echo(f"{done.path}: released; read its CARD.md before you pass it on")
