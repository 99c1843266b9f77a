"""A recognizer's error rates on people whom it was not trained on, as a file that a release takes.

``evaluation.json``: the recognizer's SHA-256 and one entry a set of comparisons, with counts, the digest of
the images, EER and FNMR at FMR 1 % and 0.1 %, each with its interval over people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import syper_data
from syper_data.dataset.atomic import write_atomically
from syper_data.errors import InputError, UsageError
from syper_data.imaging.source import SourceImage
from syper_data.imaging.subjects import only_subjects, read_people, read_subjects
from syper_data.metrics.pairs import PairScores, all_pairs
from syper_data.metrics.verification import verification
from syper_data.recognition.bundled import open_recognizer
from syper_data.recognition.embedder import Embedder
from syper_data.recognition.recipe import BOTH_EYES
from syper_data.recognition.recognizer_file import RecognizerFile, knows

SCHEMA = "syper-recognizer-evaluation/1"
TARGETS = (0.01, 0.001)  # false match rates
EVALUATION = "evaluation.json"

Report = Callable[[str, int], None]

_BLOCK = 256  # images decoded and embedded together


def evaluate_recognizer(
    recognizer: str | Path,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    subjects: str | Path | Iterable[str] | None = None,
    both_eyes: str = "two_classes",
    allow_training_identities: bool = False,
    report: Report | None = None,
) -> dict[str, Any]:
    """Compare all pairs of images within each source of ``data``; write and return the evaluation.

    ``recognizer`` is a bundled name or a recognizer file. Mated are two images of one eye (``both_eyes``:
    ``two_classes``) or of one person (``one_class``, the right eye of the picture mirrored), non-mated those of
    two people. ``subjects`` (a text file, one id a line, or the ids) chooses whom to compare. Writes the JSON file
    ``out``; ``report`` is called with a source and its number of images embedded so far.

    Raises:
        InputError: unusable images, no subject or side where they are needed, people whom the recognizer was
            trained on (unless ``allow_training_identities``), or people whom it does not name at all.
        UsageError: no source, or too few images for an error rate.
    """
    if both_eyes not in BOTH_EYES:
        raise UsageError(f"--both-eyes is {both_eyes!r}: must be {' or '.join(BOTH_EYES)}")
    given = [data] if isinstance(data, str | Path) else list(data)
    if not given:
        raise UsageError("--data: no image source was given")
    file = open_recognizer(recognizer)
    if not file.identities_known and not allow_training_identities:
        raise InputError(
            f"{file.path}: does not say whom it was trained on, so these people may not be new to it; "
            "--allow-training-identities measures it all the same"
        )
    wanted = read_subjects(subjects) if isinstance(subjects, str | Path) else subjects
    sets = []
    for source in given:
        images: Iterable[SourceImage] = read_people(source, columns)
        images = images if wanted is None else only_subjects(images, wanted)
        sets.append(_measure(file, images, str(source), both_eyes, allow_training_identities, report))
    return write_evaluation(out, file, sets)


def write_evaluation(
    out: str | Path, recognizer: RecognizerFile, sets: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write ``evaluation.json`` of a recognizer from what :func:`evaluation_set` made of its comparisons."""
    content = {
        "schema": SCHEMA,
        "toolkit": f"syper-data {syper_data.__version__}",
        "recognizer": {"name": recognizer.name, "sha256": recognizer.sha256},
        "sets": [dict(entry) for entry in sets],
    }
    write_atomically(Path(out), json.dumps(content, indent=1) + "\n")
    return content


def evaluation_set(
    name: str, comparison: str, pairs: PairScores, *, images: int, data_sha256: str, trained_on: int = 0
) -> dict[str, Any]:
    """One set of comparisons as it is written: ``comparison`` says in a few words what is compared,
    ``data_sha256`` identifies the images, ``trained_on`` counts people the recognizer was trained on."""
    return {
        "name": name,
        "comparison": comparison,
        "images": images,
        "data_sha256": data_sha256,
        "trained_on": trained_on,
        **verification(pairs, targets=TARGETS).to_dict(),
    }


def percent(estimate: Mapping[str, Any] | None) -> str:
    """A rate and its interval as a person reads them: ``2.31 % [1.80, 2.95]``."""
    if estimate is None or estimate["value"] is None:
        return "not supported"
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    interval = "" if low is None or high is None else f" [{100 * low:.2f}, {100 * high:.2f}]"
    return f"{100 * value:.2f} %{interval}"


def _measure(
    file: RecognizerFile,
    images: Iterable[SourceImage],
    source: str,
    both_eyes: str,
    allowed: bool,
    report: Report | None,
) -> dict[str, Any]:
    embedder = Embedder(file)
    vectors, people, eyes = [], [], []
    digest = hashlib.sha256()
    for block in _blocks(_labelled(images, both_eyes)):
        for image in block:
            digest.update(hashlib.sha256(image.pixels.tobytes()).digest())
            people.append(str(image.subject))
            eyes.append(f"{image.subject}\n{image.side if both_eyes == 'two_classes' else ''}")
        vectors.append(embedder.embed([x.pixels for x in block], [x.side for x in block]))
        if report is not None:
            report(source, len(people))
    known = {person for person in set(people) if knows(file.identities, person)}
    if known and not allowed:
        raise InputError(
            f"{source}: {file.path} was trained on {len(known)} of the {len(set(people))} subjects; choose others "
            "with --subjects, or --allow-training-identities"
        )
    if not people:
        raise InputError(f"{source}: no image of the subjects asked for")
    pairs = all_pairs(np.concatenate(vectors), eyes, people)
    what = "all pairs; mated: the same eye" if both_eyes == "two_classes" else "all pairs; mated: the same person"
    name = Path(source).stem or source
    return evaluation_set(
        name, what, pairs, images=len(people), data_sha256=digest.hexdigest(), trained_on=len(known)
    )


def _labelled(images: Iterable[SourceImage], both_eyes: str) -> Iterator[SourceImage]:
    for image in images:
        for column in ("subject", "side") if both_eyes == "two_classes" else ("subject",):
            if getattr(image, column) is None:
                raise InputError(f"{image.where}: names no {column}; name the column with --columns {column}=NAME")
        yield image


def _blocks(images: Iterable[SourceImage]) -> Iterator[list[SourceImage]]:
    block: list[SourceImage] = []
    for image in images:
        block.append(image)
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block
