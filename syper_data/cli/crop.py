"""``syper-data crop``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Cut aligned periocular crops out of face photos.")
@click.argument("source", metavar="FACES")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--columns",
    multiple=True,
    metavar="OURS=THEIRS",
    help="Other column names, e.g. subject=person; spectrum= reads no such column.",
)
@click.option(
    "--landmarks",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Eye positions from a CSV or JSON: ours, CelebA's list_landmarks, FFHQ's JSON.",
)
@click.option(
    "--fixed-eyes", metavar="X1,Y1,X2,Y2", help="Eyes at these shares of width and height, in every photo."
)
@click.option("--already-cropped", is_flag=True, help="The images show one eye: find the iris, crop to one scale.")
@click.option("--iris-diameters", type=float, default=2.4, show_default=True, help="Side of an eye image's crop.")
@click.option("--iris-ratio", type=float, help="An eye image's side in iris diameters, known instead of measured.")
@click.option(
    "--iris-pixels",
    type=float,
    metavar="PX",
    help="About how wide an eye image's iris is, where the camera is known.",
)
@click.option("--output-size", type=int, default=128, show_default=True, metavar="PX", help="Side of the crops.")
@click.option(
    "--spectrum",
    type=click.Choice(["vis", "nir"]),
    default="vis",
    show_default=True,
    help="Where no column says it.",
)
@click.option(
    "--faces",
    type=click.Choice(["largest", "all", "only"]),
    default="largest",
    show_default=True,
    help="Of several faces in a photo: the largest, all, or refuse the photo.",
)
@click.option(
    "--score-threshold", type=float, default=0.5, show_default=True, help="A face's least detection score."
)
@click.option(
    "--detect-size", type=int, default=640, show_default=True, metavar="PX", help="Faces are sought at this size."
)
@click.option(
    "--max-outside",
    type=float,
    default=0.2,
    show_default=True,
    help="Largest share of a crop outside of the photo.",
)
@click.option(
    "--min-eye-distance",
    type=float,
    default=16.0,
    show_default=True,
    metavar="PX",
    help="Smaller faces are refused.",
)
@click.option("--image-format", type=click.Choice(["png", "jpeg", "webp"]), default="png", show_default=True)
@click.option("--workers", type=int, help="Processes of one thread each (default: one a core).")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(source: str, out: Path, columns: tuple[str, ...], quiet: bool, **options: object) -> None:
    """Cut both eyes out of every photo of FACES, and write them as the dataset folder OUT.

    FACES is a folder of images, Parquet, a dataset folder, or hf:OWNER/NAME for a Hub dataset. A
    crop is a square around the eye of the aligned face, its side the distance between the eyes. OUT
    holds data/ (load_dataset opens it) and failures.parquet: every photo that gave no crop, and
    why. The same command again continues where it stopped.
    """
    from syper_data.cli.progress import ProgressLine
    from syper_data.cropping.crop import crop
    from syper_data.imaging.columns import parse_columns

    with ProgressLine("cropping", "photos", quiet) as line:
        made = crop(source, out, columns=parse_columns(columns), report=line.update, **options)  # type: ignore[arg-type]
    if quiet:
        return
    click.echo(
        f"{made.crops} crops of {made.entries} images in {out}: datasets.load_dataset({str(out)!r}) opens them"
    )
    if made.several_faces:
        which = {"largest": "the largest was taken", "all": "all were taken"}[str(options["faces"])]
        click.echo(f"{made.several_faces} photos show several faces: {which}")
    for reason, count in made.reasons()[:5]:
        click.echo(f"{count} without a crop: {reason} (failures.parquet lists them)")
