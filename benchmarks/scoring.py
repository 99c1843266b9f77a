"""Are ten million comparisons scored and reduced in ten seconds and two gibibytes, intervals included?

``python benchmarks/scoring.py [PEOPLE] [IMAGES] [DIM]``, by default 374 people with 12 images each and 256
numbers a vector: 10,068,828 comparisons. Each contestant runs in a process of its own, so that its peak memory
is its own; they take turns. The reference scores with one product of matrices and reduces with scikit-learn
(where it is installed) or a plain sort, without intervals; the direct bootstrap, every score weighted and
cumulated anew, is timed on 4 resamples. ``python benchmarks/scoring.py 1180 12`` makes 100 million, in blocks
only.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from syper_data.benchmarking.figures import REPEATS, blocked_figures, figures
from syper_data.benchmarking.scoring import MOST, score_fold
from syper_data.metrics.error_rates import Scores
from syper_data.metrics.intervals import subject_weights
from syper_data.protocols.protocol import AllComparisons, Fold
from timing import machine

DIRECT = 4  # resamples that the direct bootstrap is timed on
ROUNDS = 3


def material(people: int, images: int, dim: int) -> tuple[Fold, np.ndarray]:
    """Random people, one eye each, all images compared with all."""
    identity = np.repeat(np.arange(people), images)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((people, dim), dtype=np.float32)[identity]
    vectors += 1.6 * rng.standard_normal(vectors.shape, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = tuple(map(str, range(len(identity))))
    return Fold("all", names, identity, identity, tuple(map(str, range(people))), AllComparisons()), vectors


def in_memory(fold: Fold, vectors: np.ndarray) -> float:
    """Scores, figures, intervals."""
    return figures(fold, score_fold(fold, vectors)).verification.eer.value


def without_intervals(fold: Fold, vectors: np.ndarray) -> float:
    """The same with no resample."""
    return figures(fold, score_fold(fold, vectors), repeats=0).verification.eer.value


def in_blocks(fold: Fold, vectors: np.ndarray) -> float:
    """No score is held."""
    return blocked_figures(fold, vectors).verification.eer.value


def plain(fold: Fold, vectors: np.ndarray) -> float:
    """One product, the upper triangle, and the ROC curve and area of scikit-learn or of a sort."""
    rows, columns = np.triu_indices(len(vectors), 1)
    score = (vectors @ vectors.T)[rows, columns]
    mated = fold.identity[rows] == fold.identity[columns]
    try:
        from sklearn.metrics import roc_auc_score, roc_curve
    except ImportError:
        order = np.argsort(score)[::-1]
        true = np.cumsum(mated[order])
        fnmr, fmr = 1 - true / true[-1], (np.arange(1, len(order) + 1) - true) / (len(order) - true[-1])
    else:
        roc_auc_score(mated, score)
        fmr, tmr, _ = roc_curve(mated, score)
        fnmr = 1 - tmr
    place = np.argmin(np.abs(fmr - fnmr))
    return float(fmr[place] + fnmr[place]) / 2


def no_bootstrap(fold: Fold, vectors: np.ndarray) -> float:
    """What the direct bootstrap begins with."""
    return direct_bootstrap(fold, vectors, 0)


def direct_bootstrap(fold: Fold, vectors: np.ndarray, resamples: int = DIRECT) -> float:
    """Scores, then a few resamples, EER and two operating points each."""
    scores = score_fold(fold, vectors)
    first, second, m = fold.subject[scores.probe], fold.subject[scores.reference], scores.mated
    plain_scores = Scores(scores.score[m], scores.score[~m])
    for w in subject_weights(int(fold.subject.max()) + 1, resamples):
        sample = plain_scores.weighted(w[first[m]], w[first[~m]] * w[second[~m]])
        sample.equal_error_rate(), sample.auc(), sample.d_prime()
        for target in (1e-2, 1e-3):
            sample.fnmr_at(target)
    return plain_scores.equal_error_rate().value


def _child(run: Callable[..., float], size: tuple[int, int, int], pipe: Any) -> None:
    fold, vectors = material(*size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start, cpu = time.perf_counter(), time.process_time()
    eer = run(fold, vectors)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    pipe.send((seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, before, eer))


def measured(run: Callable[..., float], size: tuple[int, int, int]) -> tuple[float, float, float, float, float]:
    """Seconds, seconds of processor time, peak MiB, MiB before, and the EER, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    child = context.Process(target=_child, args=(run, size, theirs))
    child.start()
    theirs.close()
    found = mine.recv()
    child.join()
    return found


def main(*size: int) -> None:
    """Print seconds, memory and ratios."""
    people, images, dim = size
    count = people * images * (people * images - 1) // 2
    runs = (
        [in_blocks]
        if count > MOST
        else [in_memory, without_intervals, in_blocks, plain, no_bootstrap, direct_bootstrap]
    )
    rounds = 1 if count > MOST else ROUNDS
    turns = [{run: measured(run, (people, images, dim)) for run in runs} for _ in range(rounds)]
    print(f"{count:,} comparisons of {people} people, {images} images each, {dim} numbers; {REPEATS} resamples")
    seconds = {run: statistics.median(turn[run][0] for turn in turns) for run in runs}
    for run in runs:
        cpu = statistics.median(turn[run][1] for turn in turns)
        peak = max(turn[run][2] for turn in turns)
        before, eer = turns[0][run][3:]
        print(
            f"{run.__name__:18} {seconds[run]:6.1f} s ({cpu:.1f} s of processor time), peak {peak:.0f} MiB "
            f"({before:.0f} before), EER {eer:.5f}"
        )
    if plain in runs:
        whole, without = seconds[in_memory], seconds[without_intervals]
        print(f"without intervals / plain: {without / seconds[plain]:.2f}")
        print(f"with {REPEATS} resamples / plain: {whole / seconds[plain]:.2f} (aim: <= 10 s, <= 2048 MiB)")
        direct = (seconds[direct_bootstrap] - seconds[no_bootstrap]) / DIRECT
        ours = (whole - without) / REPEATS
        print(f"a resample: direct {direct:.3f} s, ours {ours:.4f} s")


if __name__ == "__main__":
    print(machine())
    given = [int(a) for a in sys.argv[1:]]
    main(*(given + [374, 12, 256][len(given) :]))
