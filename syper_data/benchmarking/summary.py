"""A benchmark in words and rows, for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from syper_data.benchmarking.shown import LEGEND, MARK, figures_of, marked, plain

Results = Mapping[str, Any]
Row = tuple[str, list[str]]

_NAMES = {"eer": "EER", "accuracy": "Accuracy", "rank1": "Rank-1 identification"}
_PREFIXES = ("FNMR at FMR ≤ ", "FNIR at FPIR ≤ ")


def summary_rows(results: Results) -> Iterator[Row]:
    """A figure and what each model has: with its interval (one fold), or mean and deviation over folds."""
    folds, labels = results["folds"], [str(model["label"]) for model in results["models"]]
    found = {label: figures_of(folds[0]["figures"][label]) for label in labels}
    for key, first in found[labels[0]].items():
        if len(folds) == 1:
            yield first.name, [found[label][key].text for label in labels]
        else:
            yield first.name, [over_text(results["summary"][m].get(key), len(folds), first.unit) for m in labels]


def fold_rows(results: Results) -> Iterator[tuple[str, str, list[str]]]:
    """Of each fold its name, what it rests on, and each model's EER with its interval."""
    labels = [str(model["label"]) for model in results["models"]]
    for about, fold in zip(results["protocol"]["folds"], results["folds"], strict=True):
        rests = (
            f"{about['people']:,} people, {about['mated']:,} mated and {about['nonmated']:,} non-mated comparisons"
        )
        yield str(fold["name"]), rests, [figures_of(fold["figures"][label])["eer"].text for label in labels]


def over_text(entry: Mapping[str, Any] | None, folds: int, unit: str) -> str:
    """Mean and deviation over folds: ``5.90 % ± 0.31``."""
    if entry is None:
        return "not supported"
    if entry["mean"] is None:
        return "not defined"
    text = plain(entry["mean"], unit)
    if entry["deviation"] is not None:
        text += " ± " + plain(entry["deviation"], unit).removesuffix("\xa0%")
    text = marked(text, entry.get("support"))
    return text if entry["n"] == folds else f"{text} ({entry['n']} of {folds} folds)"


def remarks(results: Results) -> Iterator[tuple[str, str]]:
    """What must be said wherever figures stand: of the protocol's copy, and of each model."""
    for text in results["protocol"].get("differences") or ():
        yield str(results["protocol"]["name"]), f"measured on a copy that is not the expected one: {text}"
    for model in results["models"]:
        for text in model["labels"]:
            yield str(model["label"]), str(text)


def mark_legend(cells: Iterable[str]) -> str | None:
    """What the mark on a figure means, where one of these cells has it."""
    return LEGEND if any(MARK in cell for cell in cells) else None


def shortened(rows: Iterable[Row]) -> list[Row]:
    """Neighbouring rows of one kind in which no model has a figure become one."""
    found: list[Row] = []
    for name, cells in rows:
        before = found[-1] if found else ("", [])
        kind = next((p for p in _PREFIXES if name.startswith(p) and before[0].startswith(p)), None)
        if kind is not None and before[1] == cells and set(cells) == {"not supported"}:
            found[-1] = (f"{before[0]}, {name.removeprefix(kind)}", cells)
        else:
            found.append((name, cells))
    return found


def headline(results: Results) -> str:
    """The lowest EER, and whether chance may explain that it is the lowest."""
    folds, labels = results["folds"], [str(model["label"]) for model in results["models"]]
    cells = next(cells for name, cells in summary_rows(results) if name == _NAMES["eer"])
    if len(labels) == 1:
        return f"EER: {cells[0]}."
    best = min(labels, key=lambda label: (results["summary"][label]["eer"]["mean"], labels.index(label)))
    ahead: dict[str, int] = {label: 0 for label in labels if label != best}
    for fold in folds:
        for entry in fold["differences"]:
            if entry["figure"] == "eer" and best in entry["models"] and _winner(entry) == best:
                ahead[next(m for m in entry["models"] if m != best)] += 1
    said = f"Lowest EER: {best}, {cells[labels.index(best)]}."
    unsure = [label for label, n in ahead.items() if n < len(folds)]
    if not any(fold["differences"] for fold in folds):
        return said
    if not unsure:
        where = "" if len(folds) == 1 else " in every fold"
        return f"{said} Its lead over each other model is more than chance explains{where}."
    if len(folds) == 1:
        return f"{said} Its lead over {' and '.join(unsure)} is not more than chance explains."
    often = [f"over {label} is more than chance explains in {ahead[label] or 'none'}" for label in unsure]
    return f"{said} Its lead {', '.join(often)} of {len(folds)} folds."


def difference_text(entry: Mapping[str, Any]) -> str:
    """A paired difference in a sentence."""
    first, second = entry["models"]
    found = entry["difference"]
    name = _NAMES.get(entry["figure"], entry["figure"])
    text = f"{name}, {first} minus {second}: {100 * found['value']:+.2f} percentage points"
    if found["low"] is None or entry["p"] is None:
        return f"{text}."
    p = f"p = {entry['p']:.3f}" if entry["p"] >= 0.001 else "p < 0.001"
    winner = _winner(entry)
    verdict = "chance may explain it" if winner is None else f"{winner} is better"
    exact = "" if entry["exact"] is None else f", McNemar's test p = {entry['exact']['p']:.3g}"
    return (
        f"{text} (95 % interval {100 * found['low']:+.2f} to {100 * found['high']:+.2f}, {p}{exact}): {verdict}."
    )


def command(results: Results) -> str:
    """What was run, as far as a page may know it: no path of a machine."""
    settings, protocol = results["settings"], results["protocol"]
    words = ["syper-data benchmark", f"--protocol {protocol['name']}"]
    words += [f"--{name} {settings[name]}" for name in ("root", "images") if settings[name]]
    words += [
        f"--model {model['name'] if model['kind'] == 'recognizer' else 'FILE'}" for model in results["models"]
    ]
    words += [f"--folds {name}" for name in settings["folds"] or ()]
    for name in ("merged", "paper_compat", "compat_orientation", "allow_contaminated", "allow_other_copy"):
        words += ["--" + name.replace("_", "-")] if settings.get(name) else []
    words += [f"--repeats {settings['repeats']}", f"--seed {settings['seed']}", "--out OUT"]
    return " ".join(words)


def _winner(entry: Mapping[str, Any]) -> str | None:
    """The better of two models, None where the interval of the difference holds zero."""
    low, high = entry["difference"]["low"], entry["difference"]["high"]
    if low is None or high is None or low <= 0 <= high:
        return None
    less = high < 0
    first, second = (str(model) for model in entry["models"])
    return first if less == (entry["figure"] == "eer") else second
