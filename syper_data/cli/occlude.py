"""``syper-data occlude``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Draw glasses, hair, lids, masks over images, to test recognizers.")
@click.argument("source", metavar="SOURCE")
@click.argument("out", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--kinds",
    multiple=True,
    type=click.Choice(["glasses", "lashes", "hair", "lid", "glare", "patch", "mask"]),
    help="What is drawn; may be given again (default: all but mask, which is for aligned faces).",
)
@click.option("--most", type=int, default=1, show_default=True, help="At most so many kinds over one image.")
@click.option(
    "--share",
    type=float,
    metavar="SHARE",
    help="Write each image once, and this share of them occluded (default: each twice, clean and occluded).",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides what is drawn where.")
@click.option("--columns", multiple=True, metavar="OURS=THEIRS", help="Other column names, e.g. subject=person.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(source: str, out: Path, quiet: bool, **options: object) -> None:
    """Write the images of SOURCE with something drawn over them, to a dataset folder.

    SOURCE holds eye crops, or aligned faces for masks. Labels are kept, the column masked is added. With --share
    0.5 syper-data protocol make FOLDER --across masked compares occluded with clean images; with --share 1 a
    protocol without --across compares occluded ones. Without --share the folder is for training: a photo's two
    copies would be compared with each other.
    """
    from syper_data.imaging.columns import parse_columns
    from syper_data.recognition.occlusion.occlude import occlude

    options["kinds"] = options["kinds"] or None
    options["columns"] = parse_columns(options["columns"])  # type: ignore[arg-type]
    occlude(source, out, **options)  # type: ignore[arg-type]
    if not quiet:
        click.echo(f"{out}: {_next_step(out, options['share'])}")


def _next_step(out: Path, share: object) -> str:
    if share is None:
        return "every image clean and occluded; for a protocol give --share"
    return f"syper-data protocol make {out} --out PROTOCOL{'' if share in (0, 1) else ' --across masked'}"
