"""Whether a generator repeats its training images: nearest neighbours against two controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from syper_data.imaging.pixels import resize
from syper_data.metrics.distances import (
    Features,
    Indices,
    nearest,
    pairwise_distances,
)
from syper_data.metrics.intervals import Floats, bootstrap_interval

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

PIXEL_SIDE = 32
QUANTILE = 0.01
NEIGHBOURS = 3
FAR = 2.0  # times the held-out images' median distance
MOST_COMPARED, BOOTSTRAPS = 1000, 200  # images a set for the second question, repeats for both


@dataclass(frozen=True)
class Neighbourhood:
    """Nearest training images of every sample: row numbers and distances [n, 3], in one space."""

    indices: Indices
    distances: Floats
    floor: Floats  # the distances of held-out real images to their nearest training image [m]


def thumbnails(pixels: Pixels) -> Features:
    """uint8 [n, h, w, 3] -> [n, 3072]: 32 px (box filter), scaled so that distances are the
    root mean square difference in levels of 0..255."""
    small = np.stack([resize(x, PIXEL_SIDE, "box") for x in pixels]).reshape(len(pixels), -1)
    vectors: Features = small.astype(np.float64) / np.sqrt(small.shape[1])
    return vectors


def measure(
    samples: Features, train: Features, held_out: Features, seed: int = 0
) -> tuple[dict[str, Any], Neighbourhood]:
    """Two questions in one space; ``held_out`` are real images whose subjects are not in ``train``.

    *Near copies*: the share of samples nearer to a training image than 99 % of the held-out images
    are; about 1 % is what chance gives. A generator of average, look-alike images exceeds it without
    copying, which the second question tells apart: *closer to training*: the share of samples whose
    nearest neighbour among equally many training and held-out images is a training image; half of
    them, where nothing was memorised.
    """
    indices, distances = nearest(samples, train, min(NEIGHBOURS, len(train)))
    floor = nearest(held_out, train)[1][:, 0]
    near = _near_copies(distances[:, 0], floor, seed)
    closer = _closer_to_training(samples, train, held_out, seed)
    ratio = distances[:, 0] / np.median(floor)
    low, high = bootstrap_interval(ratio, seed=seed)
    figures = {
        "near_copies": near,
        "closer_to_training": closer,
        "median_ratio": {"value": float(np.median(ratio)), "low": low, "high": high, "expected": 1.0},
    }
    return figures, Neighbourhood(indices, distances, floor)


def _near_copies(distances: Floats, floor: Floats, seed: int) -> dict[str, Any]:
    """The interval is a percentile bootstrap over samples and held-out images, whose few nearest
    set the limit. ``expected`` is the mean share of samples that are like held-out images."""
    rng = np.random.default_rng(seed)
    m, n = len(distances), len(floor)
    shares = []
    for _ in range(BOOTSTRAPS):
        limit = np.quantile(floor[rng.integers(0, n, n)], QUANTILE)
        shares.append((distances[rng.integers(0, m, m)] < limit).mean())
    at = float(np.quantile(floor, QUANTILE))
    value = float((distances < at).mean())
    expected = (1 + QUANTILE * (n - 1)) / (n + 1)
    return {**_share(value, shares, m, expected), "n_held_out": n, "limit": at}


def _closer_to_training(samples: Features, train: Features, held_out: Features, seed: int) -> dict[str, Any]:
    """The interval is a percentile bootstrap over samples, training and held-out images alike: which
    images happen to be in the two sets moves the share as much as which samples are asked."""
    rng = np.random.default_rng(seed)
    m, n = min(len(samples), MOST_COMPARED), min(len(train), len(held_out), MOST_COMPARED)
    asked = samples[rng.permutation(len(samples))[:m]]
    to_train = pairwise_distances(asked, train[rng.permutation(len(train))[:n]])
    to_held_out = pairwise_distances(asked, held_out[rng.permutation(len(held_out))[:n]])
    shares = []
    for _ in range(BOOTSTRAPS):
        a, b = (rng.integers(0, n, n) for _ in range(2))
        closer = to_train[:, a].min(1) < to_held_out[:, b].min(1)
        shares.append(closer[rng.integers(0, m, m)].mean())
    value = float((to_train.min(1) < to_held_out.min(1)).mean())
    return {**_share(value, shares, m, 0.5), "n_each": n}


def _share(value: float, bootstrapped: list[float], n: int, expected: float) -> dict[str, Any]:
    """A share of ``n`` samples, its percentile interval at 95 %, and what it would be by chance."""
    low, high = np.quantile(bootstrapped, [0.025, 0.975])
    return {
        "value": value,
        "low": min(value, float(low)),
        "high": max(value, float(high)),
        "n": n,
        "bootstraps": BOOTSTRAPS,
        "expected": expected,
    }


def verdict(spaces: dict[str, dict[str, Any]]) -> str:
    """One sentence from the figures of all spaces."""
    close = [name for name, f in spaces.items() if f["near_copies"]["low"] > f["near_copies"]["expected"]]
    drawn = [
        name
        for name, f in spaces.items()  # far from every real image, which set is nearer says nothing
        if f["closer_to_training"]["low"] > 0.5 and f["median_ratio"]["value"] < FAR
    ]
    both = sorted(set(close) & set(drawn))
    if both:
        return (
            f"Signs of memorisation ({' and '.join(both)}): more samples than chance explains are near copies of "
            "training images, and samples are closer to training images than to as many held-out ones."
        )
    if drawn:
        return (
            f"Unclear ({' and '.join(sorted(drawn))}): samples are closer to training images than to as many "
            "held-out ones, but no more of them are near copies than chance explains."
        )
    if close:
        return (
            f"No sign of copying, but of sameness ({' and '.join(sorted(close))}): more samples than chance "
            "explains are near some training image, and just as near to held-out images."
        )
    return "No sign of memorisation by these two measures; they can't prove that there is none."
