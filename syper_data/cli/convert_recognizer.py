"""``syper-data convert-recognizer``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Read a published recognizer's checkpoint without executing it.")
@click.argument("source", metavar="CHECKPOINT", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--name", help="The recognizer's name (default: the checkpoint's file name).")
@click.option("--spectrum", type=click.Choice(["vis", "nir"]), help="What it was trained on, where known.")
@click.option(
    "--orientation",
    type=click.Choice(["canonical", "opposite"]),
    default="opposite",
    show_default=True,
    help="Its training images': nose at the right edge (canonical), or at the left as in the published ones.",
)
@click.option("--input-size", type=int, metavar="PX", help="Side of its input, where a pooling head does not say.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(source: Path, target: Path, quiet: bool, **options: object) -> None:
    """Turn a published PyTorch checkpoint of an IResNet or MobileFaceNet into a recognizer file.

    CHECKPOINT holds a state dictionary (.pth, .pt). Kind, input size and dimension are told by names
    and shapes. Only tensors are read; what holds more is refused.
    """
    from syper_data.recognition.checkpoint import convert_recognizer
    from syper_data.recognition.recognizer_file import read_recognizer

    convert_recognizer(source, target, **options)  # type: ignore[arg-type]
    if not quiet:
        config = read_recognizer(target).config
        what = f"{config.kind}, {config.input_size} px, {config.embedding_dim} values, {config.head} head"
        click.echo(f"{target}: {what}; syper-data embed IMAGES --embedder {target} --out embeddings.parquet")
