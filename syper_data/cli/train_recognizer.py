"""``syper-data train-recognizer``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Train a recognizer on labelled crops.")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    multiple=True,
    help="Crops with the columns subject and side (image_left, image_right): Parquet, a dataset directory or "
    "hf:OWNER/NAME; or a folder with one folder of images a subject. Give it again for further sources; the same "
    "id in two sources is two persons.",
)
@click.option(
    "--columns",
    multiple=True,
    metavar="OURS=THEIRS",
    help="Other column names, e.g. subject=person; spectrum= reads no such column.",
)
@click.option(
    "--subjects",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read these subjects only: a text file, one id a line.",
)
@click.option(
    "--subjects-half",
    type=int,
    metavar="0|1",
    help="Read one half of the subjects only, by the last bit of the SHA-256 of their ids: for auditors.",
)
@click.option(
    "--holdout",
    type=float,
    metavar="SHARE",
    help="Leave out this share of the subjects (as train-generator does), and log how well they are told apart.",
)
@click.option(
    "--init-from",
    metavar="NAME|FILE",
    help="Begin with the weights of this recognizer, a bundled one or a file, of the recipe's architecture.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    recipe: Path,
    data: tuple[str, ...],
    columns: tuple[str, ...],
    subjects: Path | None,
    subjects_half: int | None,
    holdout: float | None,
    init_from: str | None,
    out: Path,
    quiet: bool,
) -> None:
    """Train by RECIPE (YAML); the same command again resumes.

    Writes recognizer.safetensors, a checkpoint and a line of training.jsonl every few hundred steps.
    Under torchrun, or accelerate launch, the processes share each batch.
    """
    from syper_data.cli.process_group import process_group
    from syper_data.cli.training_lines import TrainingLines
    from syper_data.execution.memory import keep_freed_memory
    from syper_data.imaging.columns import parse_columns
    from syper_data.recognition.training import train_recognizer

    keep_freed_memory()
    with process_group() as leads:
        weights = train_recognizer(
            recipe,
            data,
            out,
            columns=parse_columns(columns),
            subjects=subjects,
            subjects_half=subjects_half,
            holdout=holdout,
            init_from=init_from,
            report=TrainingLines(quiet),
        )
    if leads and not quiet:
        click.echo(f"{weights}: syper-data embed IMAGES --embedder {weights} --out FILE")
