"""The page of a benchmark: figures with their intervals, curves with bands, and what may not be read from them.

It is made of ``results.json`` alone, but for the images of the hardest pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from syper_data.benchmarking.charts import cmc_chart, det_chart, scores_chart
from syper_data.benchmarking.made import made_rows
from syper_data.benchmarking.shown import LEGEND, figures_of, plain, target_text
from syper_data.benchmarking.summary import (
    Row,
    command,
    difference_text,
    fold_rows,
    headline,
    remarks,
    shortened,
    summary_rows,
)
from syper_data.imaging.source import SourceImage, Unreadable
from syper_data.metrics.error_rates import NONE
from syper_data.protocols.protocol import Pictures
from syper_data.rendering.curves import STYLE, legend
from syper_data.rendering.numbers import count, counted
from syper_data.rendering.sheet import contact_sheet, encode_sheet
from syper_data.rendering.templates import data_uri, render_template

TEMPLATE = "benchmark.html.j2"
TILE = 96  # pixels a side, at most
HARDEST = 6  # pairs of each kind on the page; results.json lists more

Results = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """A comparison that went wrong most clearly; pictures only where they may be shown."""

    probe: str
    reference: str
    score: str
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelSection:
    """One model on one fold: its distributions, its hardest pairs, and what failures cost it."""

    label: str
    chart: Markup | None
    acquired: str
    false_non_matches: list[Pair]
    false_matches: list[Pair]


@dataclass(frozen=True)
class FoldSection:
    """A fold of the page."""

    name: str
    counts: list[tuple[str, str]]
    table: list[Row]
    det: Markup | None
    cmc: Markup | None
    models: list[ModelSection]
    differences: list[str]
    support: list[str]
    compat: list[Row]


def render_page(results: Results, pictures: Pictures | None = None) -> str:
    """``results.json``'s content -> the text of ``report.html``.

    ``pictures`` are where the images of the hardest pairs come from; None shows none.
    """
    labels = [str(model["label"]) for model in results["models"]]
    tiles = {} if pictures is None else _tiles(results, pictures)
    return render_template(
        TEMPLATE,
        style=STYLE,
        protocol=results["protocol"],
        labels=labels,
        legend=legend(labels),
        headline=headline(results),
        mark=LEGEND,
        warnings=list(remarks(results)),
        failures=results["images"]["failures"],
        distinct=count(results["images"]["distinct"]),
        several=len(results["folds"]) > 1,
        summary=shortened(summary_rows(results)),
        folds=list(fold_rows(results)) if len(results["folds"]) > 1 else [],
        sections=[_section(results, fold, labels, tiles) for fold in results["folds"]],
        made=list(made_rows(results)),
        command=command(results),
        shows_images=pictures is not None,
    )


def _section(
    results: Results, fold: Mapping[str, Any], labels: Sequence[str], tiles: Mapping[str, str]
) -> FoldSection:
    about = next(entry for entry in results["protocol"]["folds"] if entry["name"] == fold["name"])
    figures = fold["figures"]
    verification = figures[labels[0]]["verification"]
    found = {label: figures_of(figures[label]) for label in labels}
    counts = [("Images", count(about["images"]))]
    counts += [("Templates", count(about["templates"]))] if about["templates"] != about["images"] else []
    counts += [
        ("People", count(about["people"])),
        ("Mated comparisons", count(about["mated"])),
        ("Non-mated comparisons", count(about["nonmated"])),
        ("Independent ones: distinct pairs of identities", count(verification["independent"])),
    ]
    searched = figures[labels[0]]["identification"]
    if searched is not None:
        counts.append(("Searches with a reference", count(searched["mated"])))
        counts.append(("Searches without one", count(searched["nonmated"])))
        counts.append(("References", count(searched["references"])))
    return FoldSection(
        name=str(fold["name"]),
        counts=counts,
        table=shortened(
            (first.name, [found[label][key].text for label in labels]) for key, first in found[labels[0]].items()
        ),
        det=det_chart(figures, labels, f"DET of fold {fold['name']}"),
        cmc=cmc_chart(figures, labels, f"CMC of fold {fold['name']}"),
        models=[_model(fold, label, tiles) for label in labels],
        differences=[difference_text(entry) for entry in fold["differences"]],
        support=list(_support(verification["at"])),
        compat=_compat(figures, labels),
    )


def _support(points: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the counts carry, down to the first rate that they don't; they carry none below it either."""
    for entry in points:
        yield str(entry["point"]["note"])
        if entry["point"]["support"] == NONE:
            return


def _model(fold: Mapping[str, Any], label: str, tiles: Mapping[str, str]) -> ModelSection:
    figures = fold["figures"][label]
    pairs: dict[bool, list[Pair]] = {True: [], False: []}
    for entry in fold["hardest"].get(label, ()):
        found = tuple(tiles[name] for name in (entry["probe"], entry["reference"]) if name in tiles)
        shown = found if len(found) == 2 else ()
        pairs[bool(entry["mated"])].append(
            Pair(entry["probe"], entry["reference"], f"{entry['score']:.3f}", shown)
        )
    return ModelSection(
        label,
        scores_chart(figures["distribution"], f"Scores of {label} on fold {fold['name']}"),
        _acquired(figures),
        pairs[True][:HARDEST],
        pairs[False][:HARDEST],
    )


def _acquired(figures: Mapping[str, Any]) -> str:
    fta = figures["fta"]
    failed = fta["failed_mated"] + fta["failed_nonmated"]
    if not failed:
        return ""
    text = f"{counted(failed, 'comparison')} with an image that could not be acquired: no match."
    alone = figures["acquired"]
    return text if alone is None else f"{text} EER without them: {plain(alone['eer'], 'rate')}."


def _compat(figures: Mapping[str, Any], labels: Sequence[str]) -> list[Row]:
    """Figures as published repositories computed them, where they were asked for."""
    found = [figures[label]["paper_compat"] for label in labels]
    if any(entry is None for entry in found):
        return []
    rows: list[Row] = [("EER", [plain(entry["eer"], "rate") for entry in found])]
    for index, point in enumerate(found[0]["at"]):
        cells = [
            f"{plain(entry['at'][index]['fnmr'], 'rate')} (FMR {plain(entry['at'][index]['fmr'], 'rate')})"
            for entry in found
        ]
        rows.append((f"FNMR nearest to FMR {target_text(point['target'])}", cells))
    if any(entry["rank1_both_eyes"] is not None for entry in found):
        shares = [entry["rank1_both_eyes"] for entry in found]
        rows.append(("Rank-1, both eyes", ["" if s is None else plain(s, "share") for s in shares]))
    return rows


def _tiles(results: Results, pictures: Pictures) -> dict[str, str]:
    """The images of the hardest pairs that the page lists; of templates of several images none is shown."""
    names: dict[str, None] = {}
    for fold in results["folds"]:
        for hard in fold["hardest"].values():
            for kind in (True, False):
                for pair in [entry for entry in hard if entry["mated"] is kind][:HARDEST]:
                    if pair["single"]:
                        names |= dict.fromkeys((pair["probe"], pair["reference"]))
    read = zip(names, pictures.read(list(names)), strict=True)
    return {name: _tile(entry) for name, entry in read if not isinstance(entry, Unreadable)}


def _tile(image: SourceImage) -> str:
    side = min(TILE, len(image.pixels))
    return data_uri(encode_sheet(contact_sheet([image.pixels], 1, side), "JPEG"), "image/jpeg")
