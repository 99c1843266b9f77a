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
    help="Crops: a folder of images, Parquet, or a dataset directory. A column side (image_left, image_right) "
    "brings them to one orientation, nose at the right edge.",
)
@click.option("--columns", multiple=True, metavar="OURS=THEIRS", help="Other column names, e.g. side=eye.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(recipe: Path, data: Path, columns: tuple[str, ...], out: Path, quiet: bool) -> None:
    """Train by RECIPE (YAML); the same command again resumes.

    Writes a checkpoint, the averaged generator, a contact sheet and a line of training.jsonl every
    few thousand images.
    """
    from syper_data.errors import UsageError
    from syper_data.execution.memory import keep_freed_memory
    from syper_data.gan.training import train_generator

    names = {}
    for pair in columns:
        ours, separator, theirs = pair.partition("=")
        if not separator or not ours or not theirs:
            raise UsageError(f"--columns is {pair!r}: must look like side=eye")
        names[ours] = theirs

    def show(line: dict[str, object]) -> None:
        if not quiet:
            shown = ", ".join(f"{name} {value}" for name, value in line.items())
            click.echo(shown, err=True)

    keep_freed_memory()
    weights = train_generator(recipe, data, out, columns=names, report=show)
    if not quiet:
        click.echo(f"{weights}: syper-data sample --generator {weights} --n 1000")
