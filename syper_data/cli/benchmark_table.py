"""A benchmark's figures on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

    from syper_data.benchmarking.benchmark import BenchmarkResult


def print_results(done: BenchmarkResult) -> None:
    """The table of the page, what must be said of each model, and where the rest is."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from syper_data.benchmarking.summary import headline, mark_legend, remarks, shortened, summary_rows

    results = done.results
    table = Table(title=Text(_title(results)), title_justify="left", box=SIMPLE_HEAD)
    table.add_column("")
    for model in results["models"]:
        table.add_column(Text(str(model["label"])), justify="right")
    rows = shortened(summary_rows(results))
    for name, cells in rows:
        table.add_row(Text(name), *(Text(cell) for cell in cells))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    console.print(table)
    if len(results["folds"]) > 1:
        console.print(_folds_table(results))
    legend = mark_legend(cell for _, cells in rows for cell in cells)
    if legend is not None:
        console.print(Text(f"{legend}."))
    for model in results["models"]:
        if model["label"] != model["name"] and model["label"] in done.given:  # two models share the name
            console.print(Text(f"{model['label']}: {done.given[model['label']]}"))
    for name, text in remarks(results):
        console.print(Text(f"{name}: {text}"))
    lost = len(results["images"]["failures"])
    if lost:
        of = results["images"]["distinct"]
        said = "could not be acquired: counted as errors (d\N{PRIME} leaves them out)"
        console.print(Text(f"{lost:,} of {of:,} images {said}"))
    console.print(Text(headline(results)))
    shown = " (shows images of the protocol: mind their terms)" if done.shows_images else ""
    click.echo(f"{done.path / 'report.html'}: curves and the hardest pairs{shown}")


def _folds_table(results: dict[str, Any]) -> Table:
    """What each fold rests on, and the EERs with their intervals."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from syper_data.benchmarking.summary import fold_rows

    title = Text("EER of each fold, with 95 % intervals over people")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("")
    for model in results["models"]:
        table.add_column(Text(str(model["label"])), justify="right")
    for name, rests, cells in fold_rows(results):
        table.add_row(Text(f"fold {name}: {rests}"), *(Text(cell) for cell in cells))
    return table


def _title(results: dict[str, Any]) -> str:
    protocol = results["protocol"]
    folds = protocol["folds"]
    merged = ", both eyes merged" if results["settings"]["merged"] else ""
    if len(folds) > 1:
        return f"{protocol['name']}{merged}: mean ± standard deviation over {len(folds)} folds"
    fold = folds[0]
    return (
        f"{protocol['name']}{merged}, fold {fold['name']}: {fold['people']:,} people, {fold['mated']:,} mated and "
        f"{fold['nonmated']:,} non-mated comparisons; 95 % intervals over people"
    )
