"""``syper-data filter``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(short_help="Audit a dataset: image quality, identity overlap, a ledger.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--reference", metavar="SOURCE|EMBEDDINGS", help="The real people that no image may show.")
@click.option(
    "--calibration", metavar="SOURCE|EMBEDDINGS", help="Real people outside of the reference; set the threshold."
)
@click.option(
    "--embedder",
    multiple=True,
    metavar="NAME|FILE",
    help="Recognizers, bundled or files (default: the spectrum's auditors).",
)
@click.option(
    "--fpir", type=float, default=0.01, show_default=True, help="Share of outsiders that may be flagged."
)
@click.option("--neighbours", type=int, default=5, show_default=True, help="Nearest real images looked at.")
@click.option(
    "--duplicates",
    type=click.Choice(["report", "reject"]),
    default="report",
    show_default=True,
    help="What becomes of an image that repeats an earlier one.",
)
@click.option("--typicality", is_flag=True, help="Also reject what is further from all real images than they are.")
@click.option(
    "--membership",
    is_flag=True,
    help="Also infer membership: --reference is what the generator was trained on, --calibration what it was not.",
)
@click.option(
    "--allow-seen-identities", is_flag=True, help="Let a recognizer judge people that it was trained on."
)
@click.option("--quality-only", is_flag=True, help="Measure the images only, compare with nobody.")
@click.option(
    "--quality-thresholds",
    metavar="FILE",
    help="Thresholds of an earlier audit, or 'bundled' (default: set from --reference).",
)
@click.option(
    "--false-rejection-rate",
    type=float,
    default=0.005,
    show_default=True,
    metavar="SHARE",
    help="Of the real crops, each side of each measure.",
)
@click.option("--iris-diameters", type=float, help="Side of a crop (default: 5.4 in visible light, 2.4 in nir).")
@click.option("--utility", is_flag=True, help="Also measure how steady a recognizer's embedding is (SER-FIQ).")
@click.option("--measure", multiple=True, metavar="MODULE:CLASS", help="A quality measure of your own.")
@click.option("--columns", multiple=True, metavar="OURS=THEIRS", help="Other column names, e.g. subject=person.")
@click.option("--workers", type=int, help="Processes of one thread each (default: one a core).")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(directory: Path, columns: tuple[str, ...], quiet: bool, **options: Any) -> None:
    """Audit DIRECTORY and write ledger.parquet: every score, the verdict and its reasons.

    An image is flagged where it is nearer to a real person of --reference than outsiders are (--fpir):
    people of --calibration, or each of the reference's in turn where a column subject names them.
    Quality thresholds are what real crops allow at --false-rejection-rate. No image is changed.
    The same command again reuses the scores; killed, it goes on.
    """
    from syper_data.cli.progress import ProgressLine
    from syper_data.filtering.filter import filter
    from syper_data.imaging.columns import parse_columns

    with ProgressLine("measuring", "images", quiet) as line:
        done = filter(
            directory,
            columns=parse_columns(columns),
            report=lambda stage, at, total: line.update(at, total, stage),
            **options,
        )
    if not quiet:
        for text in table(done.figures):
            click.echo(text)
        click.echo(f"{directory}/ledger.parquet: every image with its scores and reasons")


def table(figures: dict[str, Any]) -> list[str]:
    """The lines that a person reads: kept, rejected by first reason, where the thresholds are from,
    flagged, expected, excess and sensitivity."""
    rows, quality = figures["rows"], figures["quality"]
    width = max(len(name) for name in ("kept", *figures["rejected"]))
    counts = {"kept": figures["kept"], **figures["rejected"]}
    lines = [f"{name:<{width}}  {count:>8,}  {count / rows:6.2%}" for name, count in counts.items()]
    crops = quality["thresholds"]["crops"]
    origin = {"file": "a file", "bundled": "the bundled file", "reference": "the reference"}[quality["origin"]]
    lines.append(
        f"quality: {quality['share']:.2%} rejected; the same thresholds reject {quality['expected_share']:.2%} of "
        f"the {crops['images']:,} {crops.get('what', 'real crops')} that set them ({origin})"
    )
    return lines + list((figures["overlap"] or {}).get("summary", []))
