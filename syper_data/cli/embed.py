"""``syper-data embed``."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command(short_help="Turn images into a file of embeddings.")
@click.argument("images", metavar="IMAGES")
@click.option("--embedder", metavar="NAME|FILE", help="Bundled recognizer or a file (default: the spectrum's).")
@click.option("--out", type=_PATH, required=True, metavar="FILE", help="The Parquet file to write.")
@click.option("--cache", type=_PATH, metavar="FOLDER", help="Where vectors are kept (default: OUT.cache).")
@click.option("--columns", multiple=True, metavar="OURS=THEIRS", help="Other column names, e.g. subject=person.")
@click.option("--mirrored", is_flag=True, help="Mirror every image, for a search in the other orientation.")
@click.option("--workers", type=int, help="Processes of one thread each (default: one a core).")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(images: str, out: Path, columns: tuple[str, ...], quiet: bool, **options: object) -> None:
    """Embed every crop of IMAGES with a recognizer, and write the vectors as one Parquet file.

    IMAGES is a folder of square crops, Parquet, a dataset folder, or hf:OWNER/NAME for a Hub dataset.
    What cannot be read is listed in the file with its reason. The same command again, also after a
    kill, computes only what is new.
    """
    from syper_data.cli.progress import ProgressLine
    from syper_data.imaging.columns import parse_columns
    from syper_data.recognition.embeddings import embed, reasons

    with ProgressLine("embedding", "images", quiet) as line:
        made = embed(images, out=out, columns=parse_columns(columns), report=line.update, **options)  # type: ignore[arg-type]
    if quiet:
        return
    click.echo(f"{len(made)} embeddings of {made.dim} values by {made.embedder_name} in {out}")
    for reason, count in reasons(made.unreadable)[:5]:
        click.echo(f"{count} not embedded: {reason}")
