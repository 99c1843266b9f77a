"""``syper-data evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command(short_help="Measure a generator, or a dataset, against real crops.")
@click.argument("generator", metavar="GENERATOR|DATASET", required=False)
@click.option("--real", type=_PATH, help="Real crops: a folder, Parquet, a dataset directory, hf:OWNER/NAME.")
@click.option("--out", type=_PATH, default="evaluation", show_default=True, help="Folder of the report.")
@click.option("--train", type=_PATH, help="The crops it was trained on: adds the memorisation figures.")
@click.option(
    "--columns",
    multiple=True,
    metavar="OURS=THEIRS",
    help="Other column names, e.g. subject=person; spectrum= reads no such column.",
)
@click.option("--n", type=int, help="Images to judge (default: as many as there are real ones, at most 5,000).")
@click.option("--seed-start", type=int, default=0, show_default=True, help="First seed of the images.")
@click.option("--psi", type=float, default=1.0, show_default=True, help="Truncation; 1 is none.")
@click.option("--noise-mode", type=click.Choice(["const", "random", "none"]), default="const", show_default=True)
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", show_default=True)
@click.option("--psi-sweep", metavar="LIST", help="The figures at each of these truncations, e.g. 0.5,0.7,0.85,1.")
@click.option(
    "--subjects", type=_PATH, metavar="FILE", help="The list that the training had: --real takes the others."
)
@click.option("--holdout", type=float, metavar="SHARE", help="Take only one side of a split by subject, e.g. 0.1.")
@click.option(
    "--holdout-side",
    type=click.Choice(["held-out", "training"]),
    default="held-out",
    show_default=True,
    help="Which side --real takes; --train takes the other.",
)
@click.option("--k", type=int, default=3, show_default=True, help="Neighbours, for precision and recall.")
@click.option("--subsets", type=int, default=100, show_default=True, help="Subsets of the kernel distance.")
@click.option("--subset-size", type=int, default=500, show_default=True, help="Images of either side in a subset.")
@click.option("--splits", type=int, default=3, show_default=True, help="Splits into real halves, for the floor.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random choice in the figures.")
@click.option("--cache", type=_PATH, help="Folder for the real images' features (default: cache in --out).")
@click.option("--features-real", type=_PATH, help="Features made elsewhere, .npy [n, d], instead of --real.")
@click.option("--features-generated", type=_PATH, help="The same of generated images, instead of GENERATOR.")
@click.option("--features-name", default="features-from-file", show_default=True, help="What made these features.")
@click.option("--workers", type=int, help="Processes that make the images (default: one a core).")
@click.option("--quiet", is_flag=True, help="Print nothing but errors and warnings.")
def command(generator: str | None, quiet: bool, **options: object) -> None:
    """Judge a generator's images against real crops, with a feature net that training never used.

    GENERATOR is a bundled name, a generator file, or the folder of a training run; a dataset
    directory is judged as stored. Writes evaluation.json, report.html and pictures. The pictures
    of neighbours show real images: keep them.
    """
    from syper_data.cli.progress import ProgressLine
    from syper_data.evaluation.evaluate import evaluate
    from syper_data.evaluation.page import figure_rows
    from syper_data.execution.memory import keep_freed_memory

    keep_freed_memory()
    with ProgressLine("evaluating", "images", quiet) as line:
        done = evaluate(generator, report=lambda what, at, of: line.update(at, of, what), **options)  # type: ignore[arg-type]
    for warning in done.get("warnings", ()):
        click.echo(f"Warning: {warning}", err=True)
    if quiet:
        return
    for row in figure_rows(done):
        floor = f"; real halves {row['floor']}" if "floor" in row else ""
        click.echo(f"{row['name']}: {row['value']} {row['interval']} ({row['counts']}){floor}".replace("  ", " "))
    if done["memorisation"]:
        click.echo(done["memorisation"]["verdict"])
    for note in done["notes"]:
        click.echo(f"Note: {note}")
    click.echo(f"{options['out']}/report.html: the figures and the pictures")
