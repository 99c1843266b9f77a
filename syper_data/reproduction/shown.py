"""The table as a person reads it: rows and sentences from ``quantization.json``'s content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syper_data.rendering.error_bars import Bar
from syper_data.rendering.numbers import count, counted
from syper_data.reproduction.record import DONE

Content = Mapping[str, Any]
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class RunRow:
    """A finished run. ``teacher``, ``student``, ``difference``, ``p`` count failures to acquire as errors, those
    that begin with ``acquired`` leave them out and are empty where nothing failed."""

    trained_with: str
    seed: int
    teacher: str
    student: str
    difference: str
    p: str
    acquired_teacher: str
    acquired_student: str
    acquired_difference: str
    acquired_p: str
    agreement: str
    seconds: str
    images_seen: str
    length: str
    images: str


@dataclass(frozen=True)
class Group:
    """The finished runs of one width on one protocol, and their means over seeds."""

    title: str
    rows: list[RunRow]
    means: list[tuple[str, str]]


def groups(content: Content) -> list[Group]:
    """The finished runs by bits, then by protocol, in the order of the table."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in finished(content):
        found.setdefault((run["bits"], run["test"]["protocol"]), []).append(run)
    several = len({protocol for _, protocol in found}) > 1
    return [
        Group(
            f"{bits} on {protocol}" if several else bits,
            [_row(run) for run in runs],
            list(_means(content, dict.fromkeys(run["cell"] for run in runs))),
        )
        for (bits, protocol), runs in found.items()
    ]


def overview(content: Content) -> list[tuple[str, str, str, str, str]]:
    """A cell a row: bits, mean difference to the teacher with and without failures, seeds, trained with."""
    rows = []
    for entry in content["over_seeds"]:
        run = next(run for run in finished(content) if run["cell"] == entry["cell"])
        alone = entry.get("acquired_difference")
        rows.append(
            (
                run["bits"],
                _signed(entry["difference"]),
                "" if alone is None else _signed(alone),
                str(len(entry["seeds"])),
                f"{_trained_with(run)}, tested on {run['test']['protocol']}",
            )
        )
    return rows


def finished(content: Content) -> list[Mapping[str, Any]]:
    """Runs with figures."""
    return [run for run in content["runs"] if run["status"] == DONE]


def left_out(content: Content) -> list[tuple[str, str, str]]:
    """Run, state and reason of every run without figures."""
    return [
        (f"{run['bits']}, {_trained_with(run)}, seed {run['seed']}", str(run["status"]), str(run["reason"]))
        for run in content["runs"]
        if run["status"] != DONE
    ]


def bars(content: Content, part: str) -> list[Bar]:
    """The paired differences in percentage points; ``part`` is ``all`` or ``acquired``. One colour a width."""
    runs = [run for run in finished(content) if run["test"][part] is not None]
    widths = list(dict.fromkeys(run["bits"] for run in runs))
    found = []
    for run in runs:
        entry = run["test"][part]["difference"]
        if None not in (entry["value"], entry["low"], entry["high"]):
            name = f"{run['bits']}, {_trained_with(run)}, seed {run['seed']}"
            value, low, high = (100 * entry[key] for key in ("value", "low", "high"))
            found.append(Bar(name, value, low, high, widths.index(run["bits"])))
    return found


def sizes(content: Content) -> list[tuple[str, str, str, str]]:
    """Network and bits, bytes of the student, bytes promised, times smaller than the teacher's file."""
    rows: dict[tuple[str, str], tuple[str, str, str, str]] = {}
    for run in finished(content):
        made = run["training"]
        kept = "kept" if made["student_bytes"] <= made["promised_bytes"] else "missed"
        rows[run["teacher_name"], run["bits"]] = (
            f"{run['teacher_name']}, {run['bits']}",
            f"{made['student_bytes']:,}",
            f"{made['promised_bytes']:,}: {kept}",
            f"{made['teacher_bytes'] / made['student_bytes']:.1f}",
        )
    return list(rows.values())


def published_rows(entry: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The columns of a publication's table, and a row a network."""
    columns = list(dict.fromkeys(key for figures in entry["networks"].values() for key in figures))
    rows = [
        (name, [f"{figures[key]:.2f}" if key in figures else "" for key in columns])
        for name, figures in entry["networks"].items()
    ]
    return ["full precision" if key == "full" else key for key in columns], rows


def our_row(content: Content, columns: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Our EER in percent under a publication's columns: a row a teacher and kind of images, means over seeds."""
    cells: dict[str, dict[str, list[float]]] = {}
    for run in finished(content):
        figures = run["test"]["all"]
        row = cells.setdefault(f"{run['teacher_name']}, {_material(run)}, {run['test']['protocol']}", {})
        row.setdefault("full precision", []).append(figures["teacher"]["value"])
        row.setdefault(run["bits"], []).append(figures["student"]["value"])
    return [
        (name, [f"{100 * sum(row[c]) / len(row[c]):.2f}" if c in row else "" for c in columns])
        for name, row in cells.items()
    ]


def _row(run: Mapping[str, Any]) -> RunRow:
    test, made = run["test"], run["training"]
    alone = test["acquired"]
    empty = ("", "", "", "")
    return RunRow(
        _trained_with(run),
        run["seed"],
        *_eer(test["all"]),
        *(empty if alone is None else _eer(alone)),
        agreement=f"{made['agreement']:.4f} (least {made['least_agreement']:.3f}); test {test['agreement']:.4f}",
        seconds=f"{made['seconds']:,.0f}",
        images_seen=f"{count(made['images_seen'])} ({count(made['different_images'])} different)",
        length=_length(run),
        images=str(run["images_shown"]),
    )


def _eer(figures: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return (
        _rate(figures["teacher"]),
        _rate(figures["student"]),
        _points(figures["difference"]),
        "" if figures["p"] is None else f"{figures['p']:.3f}" if figures["p"] >= 0.001 else "< 0.001",
    )


def _rate(entry: Mapping[str, Any]) -> str:
    """``5.90 % [4.80, 7.10]``."""
    if None in (entry["value"], entry["low"], entry["high"]):
        return "not defined"
    return f"{100 * entry['value']:.2f}\xa0% [{100 * entry['low']:.2f}, {100 * entry['high']:.2f}]"


def _points(entry: Mapping[str, Any]) -> str:
    """``+0.42 [-0.10, +0.93]``, percentage points."""
    if None in (entry["value"], entry["low"], entry["high"]):
        return "not defined"
    text = f"{100 * entry['value']:+.2f} [{100 * entry['low']:+.2f}, {100 * entry['high']:+.2f}]"
    return text.replace("-", MINUS)


def _means(content: Content, cells: Mapping[str, None]) -> Iterator[tuple[str, str]]:
    for entry in content["over_seeds"]:
        if entry["cell"] in cells and len(entry["seeds"]) > 1:
            runs = [run for run in finished(content) if run["cell"] == entry["cell"]]
            seeds = ", ".join(str(seed) for seed in entry["seeds"])
            eer, difference = (_mean(entry[key], 100, 2) for key in ("student_eer", "difference"))
            said = f"EER {eer} %, difference {difference} points"
            if "acquired_difference" in entry:
                said += (
                    f"; without failures {_mean(entry['acquired_student_eer'], 100, 2)} %, "
                    f"{_mean(entry['acquired_difference'], 100, 2)} points"
                )
            yield (
                f"{_trained_with(runs[0])}, seeds {seeds}",
                f"{said}; agreement {_mean(entry['agreement'], 1, 4)}",
            )


def _signed(entry: Mapping[str, Any]) -> str:
    """A mean difference in percentage points: ``+3.62 ± 0.29``."""
    spread = "" if entry["deviation"] is None else f" ± {100 * entry['deviation']:.2f}"
    return f"{100 * entry['mean']:+.2f}".replace("-", MINUS) + spread


def _mean(entry: Mapping[str, float], factor: float, digits: int) -> str:
    text = f"{factor * entry['mean']:.{digits}f} ± {factor * entry['deviation']:.{digits}f}"
    return text.replace("-", MINUS)


def _trained_with(run: Mapping[str, Any]) -> str:
    return f"{_material(run)}, teacher {run.get('teacher_name', run['teacher'])}"


def _material(run: Mapping[str, Any]) -> str:
    number = "" if run["count"] is None else f"{count(run['count'])} "
    return f"{number}{run['images']} images" + (f", schedule of {run['preset']}" if run["preset"] else "")


def _length(run: Mapping[str, Any]) -> str:
    made = counted(run["training"]["steps"], "step")
    return made if run["planned"] == made else f"{made}, planned {run['planned']}"
