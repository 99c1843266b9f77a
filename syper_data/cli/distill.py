"""``syper-data distill``."""

from __future__ import annotations

from pathlib import Path

import click

from syper_data.cli.student_options import student_options


@click.command(short_help="Train a recognizer with a teacher, or on synthetic identities.")
@click.option(
    "--method",
    type=click.Choice(["kt", "cls", "cl", "maskinv"]),
    help="What is learned; see below (default: kt, or what the recipe says).",
)
@click.option(
    "--holdout",
    type=float,
    metavar="SHARE",
    help="Leave out this share of the subjects, and log how well they are told apart.",
)
@click.option(
    "--recipe",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A recognizer's recipe (YAML), best with a section distill.",
)
@student_options(
    data=(
        "for all methods but kt with the column subject or, of generated images, label (without it every image is "
        "an identity)"
    ),
    generator=", for kt",
    seed="first weights, order, changes and occlusions",
    start="",
)
def command(quiet: bool, **options: object) -> None:
    """Train a new recognizer from another one's vectors, from synthetic identities, or from both.

    \b
    kt       vectors like the teacher's, no labels (SFace-KT)
    cls      a margin loss on synthetic identities, no teacher (SFace-CLS)
    cl       both (SFace-CL)
    maskinv  both; the teacher sees the clean image, the student an occluded one (MaskInv)

    Where every image is an identity of its own, as with a generator without classes, class vectors hardly learn:
    take a recipe with margin.kind contrastive, such as recognizer/recipes/sface-cls-nir.yaml.

    Writes recognizer.safetensors, a checkpoint and a line of training.jsonl every few hundred steps; the same
    command again resumes. Under torchrun, or accelerate launch, the processes share each batch.
    """
    from syper_data.cli.process_group import process_group
    from syper_data.cli.training_lines import TrainingLines
    from syper_data.execution.memory import keep_freed_memory
    from syper_data.imaging.columns import parse_columns
    from syper_data.quantization.distill import distill

    options["data"] = options["data"] or None
    options["columns"] = parse_columns(options["columns"])  # type: ignore[arg-type]
    keep_freed_memory()
    with process_group() as leads:
        weights = distill(report=TrainingLines(quiet), **options)  # type: ignore[arg-type]
    if leads and not quiet:
        click.echo(f"{weights}: syper-data embed IMAGES --embedder {weights} --out FILE")
