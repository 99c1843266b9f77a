"""What a training says of itself on the terminal."""

from __future__ import annotations

from typing import Any

import click

from syper_data.cli.progress import in_words


class TrainingLines:
    """The ``report`` of a training: prints each record on stderr, and in words where a run goes on and how long
    it will take; digests are left to ``data.json``.

    ``announced`` is the first record, what is known before the first step.
    """

    def __init__(self, quiet: bool) -> None:
        self.announced: dict[str, Any] = {}
        self._quiet = quiet

    def __call__(self, line: dict[str, Any]) -> None:
        first = not self.announced
        self.announced = self.announced or line
        if self._quiet:
            return
        click.echo(shown(line), err=True)
        if first and resumed(line) is not None:
            click.echo(resumed(line), err=True)


def shown(line: dict[str, Any]) -> str:
    """A record as it is printed: what it holds, without digests, and the time left in words."""
    left = line.get("seconds_left")
    hidden = [name for name, value in line.items() if value is None or name.endswith("sha256")]
    words = [f"{k} {v}" for k, v in line.items() if k not in (*hidden, "seconds_left")]
    return ", ".join(words + ([] if left is None else [f"about {in_words(left)} left"]))


def resumed(line: dict[str, Any]) -> str | None:
    """Where a run goes on, in words; None for one that begins."""
    if "from_kimg" in line:
        at, end, unit = line["from_kimg"], line["of_kimg"], "thousand images"
    else:
        at, end, unit = line["from_step"], line["steps"], "steps"
    if not at:
        return None
    return f"{'goes on' if at < end else 'ended already'} at {at:.10g} of {end:.10g} {unit}"
