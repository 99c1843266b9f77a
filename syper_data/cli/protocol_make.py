"""``syper-data protocol make``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

_PATH = click.Path(path_type=Path)


@click.command("make", short_help="Make a protocol from labelled images.")
@click.argument("source", metavar="SOURCE")
@click.option("--out", type=_PATH, required=True, metavar="FOLDER", help="The folder to write.")
@click.option("--name", help="The protocol's name (default: the folder's).")
@click.option(
    "--kind",
    type=click.Choice(["closed_world", "open_world", "open_world_valopen"]),
    default="open_world",
    show_default=True,
    help="Same people tested, others, or others with a validation on others again.",
)
@click.option("--folds", type=int, help="Parts of the people, each tested once (default: 3; 1 tests a third).")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides who and what is drawn.")
@click.option(
    "--validation",
    type=float,
    default=0.25,
    show_default=True,
    metavar="SHARE",
    help="Of the training images (of the people with open validation).",
)
@click.option("--split", type=_PATH, metavar="FILE", help="YAML with the people of each fold, instead.")
@click.option(
    "--across",
    type=click.Choice(["spectrum", "side", "masked"]),
    help="Compare only images that differ in this: other light, other eye, with and without mask.",
)
@click.option("--probe", metavar="VALUE", help="What probes are (default: vis, image_left, masked).")
@click.option("--mated", type=int, metavar="N", help="Draw N mated comparisons a fold (default: all).")
@click.option("--non-mated", type=int, metavar="N", help="Draw N non-mated ones (default: all).")
@click.option("--enrol", type=int, default=1, show_default=True, help="First samples of an eye in the gallery.")
@click.option(
    "--unenrolled",
    type=float,
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Of the tested people who are not in the gallery.",
)
@click.option("--key", multiple=True, metavar="FIELD", help="What names an image (default: what tells all apart).")
@click.option("--spectrum", type=click.Choice(["vis", "nir"]), help="Where the source does not say it.")
@click.option("--columns", multiple=True, metavar="OURS=THEIRS", help="Other column names, e.g. subject=person.")
@click.option("--csv", is_flag=True, help="Write the comparisons out as CSV lists.")
@click.option("--ufpr", is_flag=True, help="Write UFPR-Periocular's text layout as well.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(source: str, out: Path, columns: tuple[str, ...], quiet: bool, **options: Any) -> None:
    """Make a protocol of the labelled images in SOURCE, and write it to a folder.

    SOURCE is a folder with one folder a person, Parquet or a dataset folder with a column subject, or
    hf:OWNER/NAME. Who is trained on and who is tested is decided by --seed and the names alone; that nobody
    is both is checked and recorded. No image is read or copied.
    """
    from syper_data.imaging.columns import parse_columns
    from syper_data.protocols.making import make_protocol

    made = make_protocol(source, out=out, columns=parse_columns(columns), **options)
    if quiet:
        return
    click.echo(f"{made.name}: {len(made.table)} images of {len(set(made.table.subject))} people in {out}")
    for name, counts in made.counts.items():
        click.echo(
            f"fold {name}: {counts['train_subjects']} people to train on, {counts['test_subjects']} tested; "
            f"{counts['mated']:,} mated and {counts['non_mated']:,} non-mated comparisons"
        )
        if counts["identities_without_mated"]:
            click.echo(f"fold {name}: {counts['identities_without_mated']} eyes have no mated comparison")
    for entry in made.unused:
        click.echo(f"{entry['images']} images not used: {entry['reason']} (first {entry['first']})")
    click.echo(f"to use it: syper-data benchmark --protocol {out} --root {source} --model MODEL --out RESULTS")
