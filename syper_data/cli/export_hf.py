"""``syper-data export-hf``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Write a dataset for the Hugging Face Hub, and push it.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to write (default with --repo-id: DIRECTORY-export)."
)
@click.option("--repo-id", metavar="OWNER/NAME", help="Push to this dataset repository (HF_ENDPOINT is honoured).")
@click.option("--private", is_flag=True, help="Create the repository as a private one.")
@click.option("--license", default="other", show_default=True, metavar="ID", help="Licence id for the card.")
@click.option("--pretty-name", help="Title of the card.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    directory: Path,
    out: Path | None,
    repo_id: str | None,
    private: bool,
    license: str,
    pretty_name: str | None,
    quiet: bool,
) -> None:
    """Write DIRECTORY as a Hugging Face dataset: shards, card, manifest, Croissant, contact sheet.

    What was written is opened with load_dataset, offline, and compared before anything is pushed.
    The same command again sends only what is missing.
    """
    from syper_data.cli.progress import ProgressLine
    from syper_data.publishing.export import export_hf

    with ProgressLine("copying", "images", quiet) as line:
        folder = export_hf(
            directory,
            out=out,
            repo_id=repo_id,
            private=private,
            license=license,
            pretty_name=pretty_name,
            report=lambda stage, done, total: line.update(done, total, stage),
        )
    if not quiet:
        name = repo_id or str(folder)
        click.echo(f"{folder}: written and checked; datasets.load_dataset({name!r}) opens it")
