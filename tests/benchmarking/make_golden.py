"""Makes ``tests/data/reference_figures.json`` with scikit-learn, pyeer and bob.measure.

Run once, in an environment of its own, which the toolkit and its tests don't need:

    python3 -m venv golden && golden/bin/pip install scikit-learn==1.9.1 pyeer==0.5.6 bob.measure==6.1.1 \\
        numpy==1.26.4
    golden/bin/python tests/benchmarking/make_golden.py

The scores are random numbers and stand in the file, so that another numpy changes nothing.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import bob.measure
import numpy as np
from pyeer.eer_stats import calculate_roc, get_decidability_value, get_eer_values, get_fmr_op
from sklearn.metrics import roc_auc_score, roc_curve

OUT = Path(__file__).resolve().parent.parent / "data" / "reference_figures.json"
TARGETS = (0.3, 0.1, 0.05, 0.01)


def score_sets() -> dict[str, tuple[list[float], list[float]]]:
    """Name -> mated and non-mated scores."""
    rng = np.random.RandomState(20)

    def normal(mean: float, n: int, digits: int) -> list[float]:
        return np.round(rng.normal(mean, 1, n), digits).tolist()

    return {
        "smooth": (normal(2, 80, 4), normal(0, 300, 4)),
        "ties": (normal(1.5, 60, 0), normal(0, 200, 0)),
        "some ties": (normal(1, 50, 1), normal(0, 120, 1)),
        "few": (normal(1, 3, 3), normal(0, 5, 3)),
        "crossing at a score": ([0.4, 0.6, 0.8, 0.9], [0.1, 0.3, 0.5, 0.2]),
        "apart": (normal(20, 20, 3), normal(0, 40, 3)),
        "worse than chance": (normal(-1, 30, 3), normal(0, 40, 3)),
        "equal": ([0.5] * 4, [0.5] * 6),
    }


def verification(mated: list[float], nonmated: list[float]) -> dict[str, object]:
    """What the three libraries say of one set."""
    labels = [1] * len(mated) + [0] * len(nonmated)
    fpr, tpr, _ = roc_curve(labels, mated + nonmated)
    thresholds, fmr, fnmr = calculate_roc(mated, nonmated)
    positives, negatives = np.array(mated), np.array(nonmated)
    at = [bob.measure.far_threshold(negatives, positives, t) for t in TARGETS]
    nearest = [int(np.argmin(np.abs(fpr - t))) for t in TARGETS]
    eer_place = int(np.nanargmin(np.abs(1 - tpr - fpr)))
    return {
        "sklearn": {
            "auc": roc_auc_score(labels, mated + nonmated),
            "nearest_fmr": [float(fpr[i]) for i in nearest],
            "fnmr_at_nearest_fmr": [float(1 - tpr[i]) for i in nearest],
            "eer_of_least_difference": float((fpr[eer_place] + 1 - tpr[eer_place]) / 2),
        },
        "pyeer": {
            "thresholds": thresholds.tolist(),
            "fmr": fmr.tolist(),
            "fnmr": fnmr.tolist(),
            "eer": float(get_eer_values(fmr, fnmr)[3]),
            "fnmr_at_nearest_fmr": [float(get_fmr_op(fmr, fnmr, t)[1]) for t in TARGETS],
            "d_prime": float(
                get_decidability_value(positives.mean(), positives.std(), negatives.mean(), negatives.std())
            ),
        },
        "bob": {
            "eer": float(bob.measure.eer(negatives, positives)),
            "rates": [[float(x) for x in bob.measure.farfrr(negatives, positives, t)] for t in thresholds],
            "threshold_at_fmr": [float(t) for t in at],
            "fnmr_at_fmr": [float(bob.measure.farfrr(negatives, positives, t)[1]) for t in at],
        },
    }


def search() -> dict[str, object]:
    """Searches for 40 probes, 10 of them without a reference, in 12 references."""
    rng = np.random.RandomState(21)
    probes = rng.randint(0, 9, 40)
    references = np.concatenate([np.arange(7), rng.randint(0, 7, 5)])
    scores = np.round(rng.normal(size=(40, 12)) + 1.5 * (probes[:, None] == references[None]), 1)
    pairs = []
    for row, probe in zip(scores, probes, strict=True):
        own = row[references == probe]
        pairs.append((row[references != probe], own if len(own) else None))
    closed = [p for p in pairs if p[1] is not None]
    thresholds = [-1.0, 0.0, 1.0, 1.5, 2.0]
    return {
        "scores": scores.tolist(),
        "probes": probes.tolist(),
        "references": references.tolist(),
        "thresholds": thresholds,
        "cmc": bob.measure.cmc(closed).tolist(),
        "found_rank1": [float(bob.measure.detection_identification_rate(pairs, t, rank=1)) for t in thresholds],
        "false_alarm": [float(bob.measure.false_alarm_rate(pairs, t)) for t in thresholds],
    }


def main() -> None:
    """Write the file."""
    sets = {
        name: {"mated": mated, "nonmated": nonmated, **verification(mated, nonmated)}
        for name, (mated, nonmated) in score_sets().items()
    }
    versions = {name: version(name) for name in ("scikit-learn", "pyeer", "bob.measure", "numpy")}
    content = {"made_with": versions, "targets": TARGETS, "sets": sets, "search": search()}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
