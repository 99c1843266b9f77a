"""``syper-data benchmark``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

_PATH = click.Path(path_type=Path)


@click.command(short_help="Measure recognizers on a protocol, with intervals.")
@click.option("--protocol", required=True, metavar="NAME|FILE", help="A shipped protocol, or a descriptor file.")
@click.option("--root", type=_PATH, metavar="DIR", help="Your copy of the protocol's data, if it needs any.")
@click.option("--images", type=_PATH, metavar="SOURCE", help="Where the images lie, if not with the lists.")
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="MODEL",
    help="A bundled recognizer's name, a recognizer file, an .onnx file, a Parquet file of embeddings, or a "
    "function of yours, package.module:function. May be given again.",
)
@click.option("--folds", multiple=True, metavar="NAME", help="Run this fold only. May be given again.")
@click.option("--merged", is_flag=True, help="Both eyes of a person count as one identity (UFPR-Periocular).")
@click.option(
    "--paper-compat", is_flag=True, help="Also compute figures as published repositories did, labelled so."
)
@click.option(
    "--compat-orientation",
    is_flag=True,
    help="Mirror the input of ONNX files and functions, for networks trained with the nose at the left edge.",
)
@click.option(
    "--allow-contaminated",
    is_flag=True,
    help="Also test people whom a model was trained on; the results say so.",
)
@click.option(
    "--allow-other-copy",
    is_flag=True,
    help="Also measure on a copy that is not the one the protocol expects; the results say so.",
)
@click.option("--repeats", type=int, default=500, show_default=True, help="Resamples of people for intervals.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the resamples.")
@click.option("--show-images", is_flag=True, help="Show the images of the hardest pairs on the page.")
@click.option("--replace", is_flag=True, help="Write over another benchmark that lies in --out.")
@click.option("--cache", type=_PATH, metavar="FOLDER", help="Where vectors are kept (default: OUT.cache).")
@click.option("--out", required=True, type=_PATH, metavar="DIR", help="The folder to write.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(models: tuple[str, ...], folds: tuple[str, ...], quiet: bool, **options: Any) -> None:
    """Compare what a protocol compares, with each MODEL, and write figures, scores and a page.

    OUT holds results.json (every figure, setting and digest), report.html and the scores, from which
    syper-data rescore computes the figures again. The same command again, also after a kill, embeds only what
    is new.
    """
    from syper_data.benchmarking.benchmark import benchmark
    from syper_data.cli.benchmark_table import print_results
    from syper_data.cli.progress import ProgressLine

    if any(":" in model for model in models) and "" not in sys.path:
        sys.path.append(str(Path.cwd()))  # where a function of the user's is looked for, as python -m does
    with ProgressLine("embedding", "images", quiet) as line:
        done = benchmark(models=models, folds=folds or None, report=line.update, **options)
    if not quiet:
        print_results(done)
