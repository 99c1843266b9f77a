"""``syper-data train-generator``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Train a generator on periocular crops.")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Crops: a folder of images, Parquet, a dataset directory, or hf:OWNER/NAME. A column side (image_left, "
    "image_right) brings them to one orientation, nose at the right edge; a column subject gives the classes, "
    "where the recipe has any.",
)
@click.option(
    "--columns",
    multiple=True,
    metavar="OURS=THEIRS",
    help="Other column names, e.g. side=eye; spectrum= reads no such column.",
)
@click.option(
    "--subjects",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Train on these subjects only: a text file, one id a line; evaluate --subjects takes the others.",
)
@click.option(
    "--holdout",
    type=float,
    metavar="SHARE",
    help="Leave out this share of the subjects (column subject); evaluate --holdout measures against them.",
)
@click.option(
    "--init-from", metavar="FILE", help="Start from this generator file, or from a bundled generator by name."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    recipe: Path,
    data: Path,
    columns: tuple[str, ...],
    subjects: Path | None,
    holdout: float | None,
    init_from: str | None,
    out: Path,
    quiet: bool,
) -> None:
    """Train by RECIPE (YAML); the same command again resumes.

    Writes a checkpoint, the averaged generator, a contact sheet and a line of training.jsonl every
    few thousand images. Under torchrun, or accelerate launch, the processes share each batch.
    """
    from syper_data.cli.process_group import process_group
    from syper_data.cli.training_lines import TrainingLines
    from syper_data.execution.memory import keep_freed_memory
    from syper_data.gan.training import train_generator
    from syper_data.imaging.columns import parse_columns

    lines = TrainingLines(quiet)
    keep_freed_memory()
    with process_group() as leads:
        weights = train_generator(
            recipe,
            data,
            out,
            columns=parse_columns(columns),
            subjects=subjects,
            holdout=holdout,
            init_from=init_from,
            report=lines,
        )
    if leads and not quiet:
        some = "--per-label 10" if lines.announced["classes"] else "--n 1000"
        click.echo(f"{weights}: syper-data sample --generator {weights} {some}")
