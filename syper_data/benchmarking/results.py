"""``results.json``: what was measured, of what, with which settings. The same inputs give the same bytes.

Keys: ``schema``, ``toolkit``, ``protocol`` (its folds with digests and counts), ``images`` (number, failures to
acquire, digest), ``models``, ``settings``, ``folds`` (figures and paired differences), ``summary`` (mean and
deviation over folds), ``environment``. It holds no time and no path.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import syper_data
from syper_data.benchmarking.contamination import Contamination
from syper_data.benchmarking.folds import over_folds
from syper_data.benchmarking.measured import MeasuredFold
from syper_data.benchmarking.model import Model
from syper_data.benchmarking.vectors import Acquired
from syper_data.errors import InputError
from syper_data.metrics.record import json_ready
from syper_data.protocols.protocol import Fold, Protocol

SCHEMA = "syper-benchmark/1"
RESULTS = "results.json"
_NUMBERS = re.compile(r"\[\n\s*-?\d[-+.\deE,\snul]*\]")


def protocol_record(protocol: Protocol, differences: Sequence[str] | None) -> dict[str, Any]:
    """The protocol as it was read, and in what the user's copy is not the expected one (None: nobody looked)."""
    return {
        "name": protocol.name,
        "dataset": protocol.dataset,
        "subset": protocol.subset,
        "spectrum": protocol.spectrum,
        "notes": list(protocol.notes),
        "source_files": dict(sorted(protocol.source_files.items())),
        "differences": None if differences is None else list(differences),
        "folds": [_fold_record(fold) for fold in protocol.folds],
    }


def _fold_record(fold: Fold) -> dict[str, Any]:
    mated, nonmated = fold.counts()
    return {
        "name": fold.name,
        "sha256": fold.sha256(),
        "images": len(fold.images),
        "templates": fold.templates,
        "people": len(set(fold.subject.tolist())),
        "mated": mated,
        "nonmated": nonmated,
    }


def model_record(
    label: str, model: Model, vectors: Any, found: Sequence[Contamination], protocol: Protocol
) -> dict[str, Any]:
    """A model: what it is, and what must be said wherever its figures stand."""
    return {
        "label": label,
        "name": model.name,
        "kind": str(getattr(model, "kind", "other")),
        "sha256": model.sha256,
        "embedder_sha256": getattr(model, "embedder_sha256", None),
        "runtime": getattr(model, "runtime", None),
        "dim": int(vectors.shape[1]),
        "spectrum": model.spectrum,
        "identities_known": bool(model.identities_known),
        "people_checked": bool(model.identities_known) and all(entry.named for entry in found),
        "trained_on": {entry.fold: entry.trained_on for entry in found},
        "labels": [*model_labels(model, found, protocol.spectrum), *getattr(model, "notes", ())],
    }


def model_labels(model: Model, found: Sequence[Contamination], spectrum: str | None) -> list[str]:
    """Short sentences: trained on those whom it was tested on, perhaps so, or meant for other images."""
    said = [
        f"contaminated: trained on {entry.trained_on} of the {entry.people} people of fold {entry.fold}"
        for entry in found
        if entry.trained_on
    ]
    if not model.identities_known:
        said.append("does not say whom it was trained on: it may know these people")
    elif not all(entry.named for entry in found):
        said.append("nobody is named in the protocol's lists: it may know these people")
    if spectrum is not None and model.spectrum not in (None, spectrum):
        said.append(f"made for {model.spectrum} images, tested on {spectrum} ones")
    return said


def images_record(acquired: Acquired) -> dict[str, Any]:
    """How many images there are, and which could not be acquired."""
    failures = [{"name": name, "reason": _reason(reason)} for name, reason in acquired.failures.items()]
    return {"distinct": len(acquired.names), "sha256": acquired.sha256, "failures": failures}


def environment() -> dict[str, str]:
    """What figures depend on besides inputs: versions, and the kind of machine."""
    import numpy
    import torch

    from syper_data.sampling.environment import cpu_capability

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "machine": platform.machine(),
        "cpu_capability": cpu_capability(),
    }


def results(
    protocol: Mapping[str, Any],
    images: Mapping[str, Any],
    models: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    folds: Sequence[MeasuredFold],
    scores: Mapping[str, str | None],
    machine: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The content of ``results.json``; ``scores`` is the digest of each fold's file, None where none is kept."""
    measured = [{**one.record, "scores_sha256": scores[one.fold.name]} for one in folds]
    found: dict[str, Any] = json_ready(
        {
            "schema": SCHEMA,
            "toolkit": f"syper-data {syper_data.__version__}",
            "protocol": dict(protocol),
            "images": dict(images),
            "models": [dict(model) for model in models],
            "settings": dict(settings),
            "folds": measured,
            "summary": {label: over_folds([one.figures[label] for one in folds]) for label in folds[0].figures},
            "environment": dict(machine or environment()),
        }
    )
    return found


def to_text(content: Mapping[str, Any]) -> str:
    """The bytes of ``results.json``."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return _NUMBERS.sub(lambda found: " ".join(found[0].split()), text) + "\n"  # a list of numbers on one line


def read_results(folder: Path) -> dict[str, Any]:
    """The results that a benchmark wrote into ``folder``.

    Raises:
        InputError: there are none, or they are damaged or of another version.
    """
    path = folder / RESULTS
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        schema = content["schema"]
    except FileNotFoundError:
        raise InputError(f"{folder}: holds no {RESULTS}: no benchmark was finished here") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: damaged; run the benchmark again, which reuses its vectors") from error
    if schema != SCHEMA:
        raise InputError(f"{path}: schema is {schema!r}, this toolkit reads {SCHEMA!r}")
    missing = {"protocol", "images", "models", "settings", "folds", "summary"} - set(content)
    if missing:
        raise InputError(
            f"{path}: has no {sorted(missing)[0]!r}; run the benchmark again, which reuses its vectors"
        )
    return content


def _reason(text: str) -> str:
    """Why, without the place: places are paths of one machine."""
    return text.rsplit(": ", 1)[-1]
