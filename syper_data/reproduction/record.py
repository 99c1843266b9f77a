"""``quantization.json``: the table of an experiment, written after every run, and what the folder was begun with.

Keys: ``schema``, ``toolkit``, ``plan`` (name, budget, cells, steps, repeats), ``options`` (what was given in place
of the plan's), ``inputs`` (name -> digest of every teacher, generator, set of images and fold), ``protocols``,
``runs`` (in the plan's order, each ``done``, ``not run``, ``failed`` or ``waiting``), ``over_seeds`` (mean and
deviation of each cell), ``published``, ``environment``. It holds no path.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import syper_data
from syper_data.benchmarking.results import environment, to_text
from syper_data.dataset.atomic import write_atomically
from syper_data.errors import InputError
from syper_data.metrics.record import json_ready

TABLE = "quantization.json"
SCHEMA = "syper-quantization-table/1"
DONE, NOT_RUN, FAILED, WAITING = "done", "not run", "failed", "waiting"

Entry = dict[str, Any]


class Table:
    """The table of a folder: what is there already, and what this call adds.

    Raises:
        InputError: the file is damaged, or the folder holds the table of another plan or of other inputs.
    """

    def __init__(
        self, folder: Path, plan: Mapping[str, Any], inputs: Mapping[str, str], options: Mapping[str, str]
    ) -> None:
        self.path = folder / TABLE
        self.plan: dict[str, Any] = json_ready(dict(plan))
        old = _read(self.path)
        self.inputs: dict[str, str] = {}
        self.options = dict(options)
        self._runs: dict[str, Entry] = {}
        if old is not None:
            _refuse_another_plan(folder, old["plan"], self.plan)
            self.inputs, self.options = dict(old["inputs"]), {**old["options"], **options}
            self._runs = {str(entry["name"]): entry for entry in old["runs"]}
        for name, digest in inputs.items():
            self.require(name, digest)

    def require(self, name: str, digest: str) -> None:
        """Note an input.

        Raises:
            InputError: the folder was begun with another one.
        """
        known = self.inputs.setdefault(name, digest)
        if known != digest:
            raise InputError(
                f"{self.path.parent}: was begun with another {name} ({known[:12]}, now {digest[:12]}); "
                "choose another --out"
            )

    def finished(self, name: str, identity: str) -> bool:
        """Whether this very run is in the table."""
        entry = self._runs.get(name, {})
        return entry.get("status") == DONE and entry.get("identity") == identity

    def put(self, entry: Entry) -> None:
        """Add a run, or replace it; a finished one is not replaced by one that was not run."""
        name = str(entry["name"])
        if entry["status"] != DONE and self._runs.get(name, {}).get("status") == DONE:
            return
        self._runs[name] = json_ready(entry)

    def content(self, order: Iterable[str], protocols: Sequence[Any], published: Sequence[Any]) -> dict[str, Any]:
        """What the file holds, runs in this order."""
        runs = [self._runs[name] for name in order if name in self._runs]
        content: dict[str, Any] = json_ready(
            {
                "schema": SCHEMA,
                "toolkit": f"syper-data {syper_data.__version__}",
                "plan": self.plan,
                "options": dict(sorted(self.options.items())),
                "inputs": dict(sorted(self.inputs.items())),
                "protocols": list(protocols),
                "runs": runs,
                "over_seeds": over_seeds(runs),
                "published": list(published),
                "environment": environment(),
            }
        )
        return content

    def write(self, content: Mapping[str, Any]) -> None:
        """Write the file whole."""
        write_atomically(self.path, to_text(dict(content)))


def over_seeds(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A cell a row: over its finished runs the mean and sample deviation (None for one) of the student's EER, of
    the difference to the teacher and of the agreement. Seeds share the test, so this is no standard error."""
    cells: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        if run["status"] == DONE:
            cells.setdefault(run["cell"], []).append(run)
    found = []
    for name, members in cells.items():
        values = {
            "student_eer": [run["test"]["all"]["student"]["value"] for run in members],
            "difference": [run["test"]["all"]["difference"]["value"] for run in members],
            "agreement": [run["training"]["agreement"] for run in members],
        }
        if all(run["test"]["acquired"] for run in members):
            for key, part in (("acquired_student_eer", "student"), ("acquired_difference", "difference")):
                values[key] = [run["test"]["acquired"][part]["value"] for run in members]
        found.append(
            {
                "cell": name,
                "seeds": [run["seed"] for run in members],
                **{key: _spread(entries) for key, entries in values.items()},
            }
        )
    return found


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "deviation": deviation}


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        if content["schema"] != SCHEMA:
            raise InputError(f"{path}: schema is {content['schema']!r}, this toolkit writes {SCHEMA!r}")
        for entry in content["runs"]:
            entry["name"], entry["status"]
        _rows(content["plan"]), dict(content["inputs"]), dict(content["options"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: damaged; remove it and run the same command again, which reuses the students"
        ) from error
    return content


def _refuse_another_plan(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Another budget of the plan may go on in the folder if it has every row that the table has."""
    if old.get("budget") != new.get("budget") and _rows(old) <= _rows(new):
        new = {**new, **{key: old.get(key) for key in ("budget", "cells")}}
    for key in {**old, **new}:
        if key != "description" and old.get(key) != new.get(key):
            plain = all(not isinstance(plan.get(key), list | dict) for plan in (old, new))
            said = f" ({old.get(key)}, now {new.get(key)})" if plain else ""
            raise InputError(f"{folder}: holds a table of another plan: other {key}{said}; choose another --out")


def _rows(plan: Mapping[str, Any]) -> set[str]:
    """Every cell and seed of a plan's record."""
    return {
        json.dumps([{**cell, "seeds": seed}], sort_keys=True) for cell in plan["cells"] for seed in cell["seeds"]
    }
