"""From feature vectors to figures: the sets against each other, and real halves as the floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from syper_data.errors import UsageError
from syper_data.metrics.distances import (
    Features,
    Indices,
    frechet_distance,
    kernel_distance,
    precision_recall,
)

COVERAGE_K = 5
INTERVALS = {
    "kid": "95 %, normal, delete-one jackknife over the images of both sets and the spread of subsets",
    "precision, recall, coverage": "95 %, Wilson, over the images judged, the other set's manifold as given",
    "frechet": "none; compare at equal n with the floor's range over the splits",
    "near copies": "95 %, percentile bootstrap over samples and held-out images",
    "closer to training": "95 %, percentile bootstrap over samples, training and held-out images",
    "median ratio": "95 %, percentile bootstrap over the samples",
    "floor": "mean, smallest and largest over the splits",
}


@dataclass(frozen=True)
class Measures:
    """How the figures are made; one record for API, command line and evaluation.json."""

    k: int = 3
    subsets: int = 100
    subset_size: int = 500
    splits: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        limits = (
            ("k", 1, 1000),
            ("subsets", 1, 10**6),
            ("subset_size", 2, 10**6),
            ("splits", 1, 100),
            ("seed", 0, 2**32 - 1),
        )
        for name, low, high in limits:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise UsageError(
                    f"--{name.replace('_', '-')} is {value!r}: must be a whole number in {low}..{high}"
                )

    def require(self, count: int, what: str) -> None:
        """Raise :class:`UsageError` where ``count`` images are too few for these measures."""
        if count < self.subset_size:
            raise UsageError(
                f"{what}: {count} images are fewer than a subset of {self.subset_size}; "
                "take more images or a smaller --subset-size"
            )
        if count < 2 * (max(self.k, COVERAGE_K) + 2):  # halves are measured, too
            need = 2 * (max(self.k, COVERAGE_K) + 2)
            raise UsageError(f"{what}: {count} images; at least {need} are needed for k = {self.k}")


def compare(real: Features, generated: Features, measures: Measures, judge: str) -> dict[str, Any]:
    """All figures of two sets, named after the judge, each with its counts.

    The kernel distance takes all images; the others, which depend on the number, take as many of
    either set as the smaller one has (``n``), chosen by ``numpy.random.default_rng(seed)``.
    """
    n = min(len(real), len(generated))
    size = min(measures.subset_size, n)
    kid = kernel_distance(real, generated, subsets=measures.subsets, subset_size=size, seed=measures.seed)
    a, b = _choose(real, n, measures.seed), _choose(generated, n, measures.seed)
    manifolds = precision_recall(a, b, k=measures.k, coverage_k=COVERAGE_K)
    counts = {"n_real": len(real), "n_generated": len(generated), "subset_size": size, "subsets": measures.subsets}
    return {
        f"frechet_{judge}": {"value": frechet_distance(a, b), "n": n},
        f"kid_{judge}": {"value": kid.mean, **{k: v for k, v in asdict(kid).items() if k != "mean"}, **counts},
        f"precision_{judge}": {**asdict(manifolds.precision), "k": measures.k},
        f"recall_{judge}": {**asdict(manifolds.recall), "k": measures.k},
        f"density_{judge}": {"value": manifolds.density, "n": n, "k": COVERAGE_K},
        f"coverage_{judge}": {**asdict(manifolds.coverage), "k": COVERAGE_K},
    }


def floor(
    real: Features, generated: Features, subjects: Sequence[str | None], measures: Measures, judge: str
) -> dict[str, Any]:
    """Real halves against each other, and the generated images against a half at the same count.

    A split keeps each subject's images on one side (``halves``); both figures are the mean over
    ``splits`` splits, with the smallest and largest.
    """
    halves_of = [halves(subjects, measures.seed + i) for i in range(measures.splits)]
    n = min(min(len(a), len(b)) for a, b in halves_of)
    n = min(n, len(generated))
    floors, same_count = [], []
    for i, (a, b) in enumerate(halves_of):
        first = real[a][:n]
        floors.append(compare(first, real[b][:n], measures, judge))
        same_count.append(compare(first, _choose(generated, n, measures.seed + i), measures, judge))
    return {
        "split_by": "subject"
        if _has_subjects(subjects)
        else "image (no subjects are known, so the floor may be too low)",
        "splits": measures.splits,
        "n": n,
        "real_halves": _over_splits(floors),
        "generated_at_the_same_count": _over_splits(same_count),
    }


def halves(subjects: Sequence[str | None], seed: int) -> tuple[Indices, Indices]:
    """Row numbers of two halves that share no subject; rows are in random order.

    Without subjects every image is its own.
    """
    names = [str(s) if s is not None else f"\x00{i}" for i, s in enumerate(subjects)]
    rng = np.random.default_rng(seed)
    people = sorted(set(names))
    place = {people[p]: i for i, p in enumerate(rng.permutation(len(people)))}
    order = np.array(sorted(range(len(names)), key=lambda row: (place[names[row]], row)), np.int64)
    middle = len(order) // 2
    while middle < len(order) and names[order[middle]] == names[order[middle - 1]]:
        middle += 1  # the half ends with the subject
    if middle == len(order):
        raise UsageError(f"real images: {len(people)} subjects can't be split into two halves")
    return rng.permutation(order[:middle]), rng.permutation(order[middle:])


def _has_subjects(subjects: Sequence[str | None]) -> bool:
    return all(s is not None for s in subjects)


def _choose(features: Features, n: int, seed: int) -> Features:
    return features if len(features) == n else features[np.random.default_rng(seed).permutation(len(features))[:n]]


def _over_splits(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: {
            "value": float(np.mean([f[name]["value"] for f in figures])),
            "smallest": min(f[name]["value"] for f in figures),
            "largest": max(f[name]["value"] for f in figures),
        }
        for name in figures[0]
    }
