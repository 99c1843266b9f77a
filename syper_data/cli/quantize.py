"""``syper-data quantize``."""

from __future__ import annotations

from pathlib import Path

import click

from syper_data.cli.student_options import student_options


@click.command(short_help="Make a recognizer of 2 to 8 bits, with images without labels.")
@click.option("--weights", type=int, metavar="BITS", help="Of the weights, 2..8 (default: 8).")
@click.option("--activations", type=int, metavar="BITS", help="Of the activations, 2..8 (default: 8).")
@click.option(
    "--layer-bits",
    multiple=True,
    metavar="LAYERS=W/A",
    help="Other bits for the layers of this name, * and ? as in file names: conv_34.*=8/6. May be given again.",
)
@click.option("--preset", type=click.Choice(["syper", "quantface"]), help="A published schedule; see below.")
@click.option("--recipe", type=click.Path(path_type=Path), metavar="FILE", help="A recipe (YAML) in its place.")
@student_options(
    data="labels or not",
    generator="",
    seed="the order of images and of their changes",
    start=", not the teacher's",
)
def command(quiet: bool, **options: object) -> None:
    """Train a copy of a recognizer whose weights and activations are whole numbers of a few bits.

    The copy learns to give the recognizer's vectors. Writes student.syq (bit-packed), a checkpoint and a line of
    training.jsonl every few dozen steps; the same command again resumes. Under torchrun, or accelerate launch,
    the processes share each batch.

    --preset syper and --preset quantface are the schedules that these papers published: loss, optimiser, rates,
    epochs, batch and when ranges are fixed. They run for epochs of --data; with --generator give --steps.
    """
    from syper_data.cli.process_group import process_group
    from syper_data.cli.training_lines import TrainingLines
    from syper_data.execution.memory import keep_freed_memory
    from syper_data.imaging.columns import parse_columns
    from syper_data.quantization.quantize import quantize

    options |= {name: options[name] or None for name in ("data", "layer_bits")}
    options["columns"] = parse_columns(options["columns"])  # type: ignore[arg-type]
    keep_freed_memory()
    with process_group() as leads:
        path = quantize(report=TrainingLines(quiet), **options)  # type: ignore[arg-type]
    if leads and not quiet:
        click.echo(f"{path}: {path.stat().st_size:,} bytes")
