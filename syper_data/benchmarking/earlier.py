"""What an earlier run left in a folder: the same run may go on there, another may not take its place unasked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from syper_data.benchmarking.model import Model
from syper_data.benchmarking.results import RESULTS, read_results
from syper_data.errors import InputError

_OTHERWISE = "give another --out, or say --replace"


def require_same_run(
    folder: Path, protocol: Mapping[str, Any], models: Mapping[str, Model], *, compat_orientation: bool
) -> None:
    """Refuse to write over the results of another protocol, other folds or other models in ``folder``.

    ``protocol`` is its record in ``results.json``. Resamples, seed and what the page shows may differ: they are
    made of the same scores.

    Raises:
        InputError: what is there is of another run, or can't be read.
    """
    if not (folder / RESULTS).is_file():
        return
    try:
        there = read_results(folder)
        folds = _folds(there["protocol"])
        known = {str(model["label"]): str(model["sha256"]) for model in there["models"]}
        name, turned = str(there["protocol"]["name"]), bool(there["settings"].get("compat_orientation"))
    except (InputError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder / RESULTS}: is not one that this toolkit can read; {_OTHERWISE} to write over it"
        ) from error
    wanted = {label: model.sha256 for label, model in models.items()}
    differing = list(_differences(name, protocol["name"], folds, _folds(protocol), known, wanted))
    if turned != compat_orientation:
        differing.append(f"it was run {'with' if turned else 'without'} --compat-orientation")
    if differing:
        raise InputError(
            f"{folder}: holds the benchmark of {_listed(known)} on {name}, {_folds_text(folds)}, which is "
            f"another: {'; '.join(differing)}; {_OTHERWISE} to put this one in its place"
        )


def _differences(
    name: str, name_now: str, folds: Mapping[str, str], folds_now: Mapping[str, str], models: Mapping[str, str],
    models_now: Mapping[str, str],
) -> Any:  # fmt: skip
    if name != name_now:
        yield f"now the protocol is {name_now}"
    elif list(folds) != list(folds_now):
        yield f"now it is {_folds_text(folds_now)}"
    elif folds != folds_now:
        changed = [fold for fold in folds if folds[fold] != folds_now[fold]]
        yield f"other images are compared in {_folds_text(changed)} now"
    if set(models) != set(models_now):
        yield f"now the models are {_listed(models_now)}"
    elif models != models_now:
        yield f"{_listed([label for label in models if models[label] != models_now[label]])} has changed since"


def _folds(protocol: Mapping[str, Any]) -> dict[str, str]:
    return {str(fold["name"]): str(fold["sha256"]) for fold in protocol["folds"]}


def _folds_text(names: Mapping[str, str] | Sequence[str]) -> str:
    return f"fold{'s' if len(names) > 1 else ''} {_listed(names)}"


def _listed(names: Mapping[str, str] | Sequence[str]) -> str:
    return ", ".join(names)
