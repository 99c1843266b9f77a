"""Two recognizers on the same comparisons of a fold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from syper_data.benchmarking.counting import labels
from syper_data.benchmarking.figures import curves_of
from syper_data.benchmarking.scoring import FAILED, FoldScores, Scored
from syper_data.errors import UsageError
from syper_data.metrics.error_rates import NONE, support
from syper_data.metrics.identification import rank_shares
from syper_data.metrics.intervals import Bools, Codes, Floats, subject_weights
from syper_data.metrics.paired import McNemar, PairedDifference, mcnemar, paired
from syper_data.metrics.view2 import accuracy
from syper_data.protocols.protocol import Fold

REPEATS = 1000
FNMR = "fnmr@"
RANKS = {"rank1": 1, "rank5": 5}
PAIRED_FIGURES = ("eer", "auc", "d_prime", f"{FNMR}TARGET", *RANKS, "accuracy")


def paired_difference(
    fold: Fold,
    first: FoldScores,
    second: FoldScores,
    *,
    figure: str = "eer",
    repeats: int = REPEATS,
    seed: int = 0,
) -> PairedDifference:
    """First minus second ``figure`` on the same resamples of people, with a p value.

    ``figure``: ``eer``, ``auc``, ``d_prime``, ``fnmr@0.001`` (any target FMR that both support), ``rank1``,
    ``rank5``, or ``accuracy`` (folds with parts; beside the bootstrap the exact test of McNemar).

    Raises:
        UsageError: scores of other comparisons, an unknown figure, or one that the fold doesn't give.
    """
    same = len(first.score) == len(second.score) and all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ("probe", "reference", "mated")
    )
    if not same:
        raise UsageError(f"fold {fold.name}: the two sets of scores are not of the same comparisons")
    if figure == "accuracy":
        (a, b), exact = _accuracies(fold, first, second, repeats, seed)
        return paired(figure, a, b, seed=seed, exact=exact)
    a, b = (_figures(fold, scores, figure, repeats, seed) for scores in (first, second))
    return paired(figure, a, b, seed=seed)


def _figures(fold: Fold, scores: FoldScores, figure: str, repeats: int, seed: int) -> Floats:
    if figure in RANKS:
        if scores.searches is None or fold.identification is None or not len(scores.searches.rank):
            raise UsageError(f"fold {fold.name}: has no mated search, so no {figure}")
        subject = fold.subject[fold.identification.probe]
        return rank_shares(scores.searches, subject, RANKS[figure], repeats, seed)

    def source() -> Iterator[Scored]:
        yield scores.probe, scores.reference, scores.mated, scores.score

    known = labels(fold, lambda: (x[:3] for x in source()), scores.failed_templates, len(scores.failed_images))
    target = _target(figure)
    if target is not None and support(target, known.independent)[0] == NONE:
        raise UsageError(f"--figure {figure}: {support(target, known.independent)[1]}")
    curves = curves_of(known, source, () if target is None else (target,), repeats, seed)
    if target is not None:
        return curves.fnmr_at(target)
    return {"eer": curves.eer, "auc": curves.auc, "d_prime": curves.d_prime}[figure]()


def _target(figure: str) -> float | None:
    if figure in ("eer", "auc", "d_prime"):
        return None
    try:
        if figure.startswith(FNMR):
            return float(figure.removeprefix(FNMR))
    except ValueError:
        pass
    raise UsageError(f"--figure is {figure!r}: must be one of {', '.join(PAIRED_FIGURES)}")


def _accuracies(
    fold: Fold, first: FoldScores, second: FoldScores, repeats: int, seed: int
) -> tuple[tuple[Floats, Floats], McNemar]:
    """Shares of right decisions, the thresholds of each part kept in every resample."""
    if fold.parts is None:
        raise UsageError(f"fold {fold.name}: has no parts, so no accuracy over them")
    rows = np.concatenate(list(fold.parts))
    right = [accuracy(s.score, s.mated, fold.parts, failed=FAILED)[1] for s in (first, second)]
    people = np.unique(fold.subject[np.stack([first.probe[rows], first.reference[rows]])], return_inverse=True)[1]
    drawn = list(_weights(people.reshape(2, -1), repeats, seed))
    a, b = (np.array([r.mean(), *((w * r).sum() / w.sum() for w in drawn)]) for r in right)
    return (a, b), mcnemar(right[0], right[1])


def _weights(people: Codes, repeats: int, seed: int) -> Iterator[Floats]:
    one: Bools = people[0] == people[1]
    for w in subject_weights(int(people.max()) + 1, repeats, seed):
        weights = np.where(one, w[people[0]], w[people[0]] * w[people[1]])
        if weights.any():
            yield weights
