"""``syper-data evaluate-recognizer``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Measure a recognizer's error rates on people new to it.")
@click.argument("recognizer", metavar="NAME|FILE")
@click.option(
    "--data",
    required=True,
    multiple=True,
    help="Crops with the columns subject and side; all pairs within the source are compared. May be given again.",
)
@click.option("--columns", multiple=True, metavar="OURS=THEIRS", help="Other column names, e.g. subject=person.")
@click.option(
    "--subjects",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare these subjects only, one id a line.",
)
@click.option(
    "--both-eyes",
    type=click.Choice(["one_class", "two_classes"]),
    default="two_classes",
    show_default=True,
    help="Whether mated means the same person or the same eye.",
)
@click.option(
    "--allow-training-identities",
    is_flag=True,
    help="Also measure people whom it was, or may have been, trained on; the evaluation says so.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The evaluation, a JSON file.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    recognizer: str,
    data: tuple[str, ...],
    columns: tuple[str, ...],
    subjects: Path | None,
    both_eyes: str,
    allow_training_identities: bool,
    out: Path,
    quiet: bool,
) -> None:
    """EER, and FNMR at FMR 1 % and 0.1 %, of a bundled recognizer or a file, with intervals over people.

    The folders of a folder of pictures name people, and below them image_left and image_right the side.
    """
    from syper_data.imaging.columns import parse_columns
    from syper_data.recognition.evaluation import evaluate_recognizer, percent

    found = evaluate_recognizer(
        recognizer,
        data,
        out,
        columns=parse_columns(columns),
        subjects=subjects,
        both_eyes=both_eyes,
        allow_training_identities=allow_training_identities,
    )
    if not quiet:
        for entry in found["sets"]:
            click.echo(
                f"{entry['name']}: EER {percent(entry['eer'])}; {entry['subjects']} people, "
                f"{entry['mated']} mated, {entry['nonmated']} non-mated comparisons"
            )
