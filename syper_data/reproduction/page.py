"""The page of an experiment table, made of ``quantization.json`` alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from syper_data.rendering import curves, error_bars
from syper_data.rendering.numbers import count
from syper_data.rendering.templates import render_template
from syper_data.reproduction import shown

PAGE = "quantization.html"
TEMPLATE = "quantization.html.j2"
_AXIS = "EER of the student minus EER of the teacher, percentage points"

Content = Mapping[str, Any]


def render_page(content: Content) -> str:
    """The text of ``quantization.html``."""
    finished = shown.finished(content)
    published = [(entry, *shown.published_rows(entry)) for entry in content["published"]]
    return render_template(
        TEMPLATE,
        style=curves.STYLE + Markup("\n") + error_bars.STYLE,
        plan=content["plan"],
        done=len(finished),
        total=len(content["runs"]),
        shortened=content["plan"]["steps"],
        tested=[_tested(content, name) for name in dict.fromkeys(run["test"]["protocol"] for run in finished)],
        labels=list(dict.fromkeys(text for run in finished for text in run["test"]["labels"])),
        overview=shown.overview(content),
        groups=shown.groups(content),
        charts=list(_charts(content)),
        sizes=shown.sizes(content),
        left_out=shown.left_out(content),
        published=[
            (entry, columns, rows, shown.our_row(content, columns) if entry["figure"].startswith("EER") else [])
            for entry, columns, rows in published
        ],
        command=command(content["plan"], content["options"]),
        made=list(_made(content)),
    )


def command(plan: Mapping[str, Any], options: Mapping[str, str]) -> str:
    """What was run, without a path of anyone's machine."""
    words = ["syper-data reproduce quantization", f"--budget {plan['budget']}", f"--protocol {plan['protocol']}"]
    words += [f"--folds {plan['fold']}", "[--root DIR]"]
    words += [f"{name}{'=' if ' ' in name else ' '}{value}" for name, value in options.items()]
    words += [f"--steps {plan['steps']}"] if plan["steps"] is not None else []
    return " ".join([*words, "--out OUT"])


def _charts(content: Content) -> Iterator[tuple[Markup, str]]:
    for part, text in (
        ("all", "images that could not be acquired count as errors"),
        ("acquired", "comparisons of acquired images alone"),
    ):
        bars = shown.bars(content, part)
        if bars:
            yield error_bars.error_bars(bars, _AXIS, f"Paired differences: {text}"), text


def _tested(content: Content, name: str) -> str:
    """How much a protocol's figures rest on."""
    runs = [run["test"] for run in shown.finished(content) if run["test"]["protocol"] == name]
    test, figures = runs[0], runs[0]["all"]
    text = (
        f"{name}, fold {test['fold']}: {figures['people']} people, {count(figures['mated'])} mated and "
        f"{count(figures['nonmated'])} non-mated comparisons"
    )
    if test["acquired"] is not None:
        alone = test["acquired"]
        text += (
            f"; {count(test['not_acquired'])} images could not be acquired, without them {count(alone['mated'])} "
            f"and {count(alone['nonmated'])}"
        )
    return f"{text}."


def _made(content: Content) -> Iterator[tuple[str, str]]:
    for name, digest in content["inputs"].items():
        yield f"{name[:1].upper()}{name[1:]}, SHA-256", str(digest)
    for name in ("environment",):
        yield name.capitalize(), ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in content[name].items())
    yield "Toolkit", str(content["toolkit"])
