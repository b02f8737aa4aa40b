"""The k closest exemplars vote, each with its cosine (distance-weighted k-NN, Dudani 1976)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from indexers.exact import MARGIN as BORDER
from labelers.base import Exemplars, Labels, Rows, at, ranked, require_margin, thresholds
from labelers.scan import again, scan

K = 5
SHARE = 0.5


def label(
    X: Rows, exemplars: Exemplars, *, threshold: ArrayLike, margin: float = 0.0, k: int = K, share: float = SHARE
) -> Labels:
    """Return labels of unit rows `X` (n, dim), decided by their `k` closest exemplars.

    The class with most weight wins; its score is the mean cosine of its supporters, so that a threshold means what it
    means elsewhere. It must also have `share` of all the weight. A negative exemplar takes its place among the k and
    its weight from its class. Whoever is as close as the k-th votes too; negative cosines have no weight. A `margin`
    is a distance of mean cosines; without one the votes alone decide. `conflict` also tells of too small a share.
    Raises `ValueError` as `nearest` does, and for k < 1 or a share outside [0, 1].
    """
    known = exemplars.in_order()
    least = thresholds(threshold, known.classes)
    require_margin(margin)
    if k < 1 or not 0 <= share <= 1:
        raise ValueError(f"k is {k} and share is {share}, must be at least 1 and in [0, 1]")
    last = max(len(known.codes) - k, 0)

    def answer(rows: NDArray[np.float32], cosines: NDArray[np.float32]) -> Labels:
        scores = cosines.astype(np.float64)
        # A mean is at most the highest cosine.
        deciding = cosines.max(axis=0) >= least.min() - BORDER
        again(scores, (cosines >= _border(cosines, last) - 2 * BORDER) & deciding, rows, known.matrix)
        votes, means, total = _count(scores, scores >= _border(scores, last), known)
        return _elect(votes, means, share * total, least, margin, known.classes)

    return scan(X, known, answer)


def _border(cosines: NDArray[np.floating], last: int) -> NDArray[np.floating]:
    """Return the k-th highest cosine of each column, the one at `last` in ascending order."""
    return np.partition(cosines, last, axis=0)[last]


def _count(
    scores: NDArray[np.float64], voting: NDArray[np.bool_], known: Exemplars
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return each class's weight and the mean cosine of its supporters (classes, b), −inf for none; all weight (b,)."""
    weights = np.where(voting, np.maximum(scores, 0), 0)
    positives = int(np.count_nonzero(known.polarity))
    starts = np.searchsorted(known.codes[:positives], np.arange(len(known.classes)))
    supporters = np.add.reduceat(voting[:positives], starts, axis=0, dtype=np.int64)
    sums = np.add.reduceat(np.where(voting, scores, 0)[:positives], starts, axis=0)
    votes = np.add.reduceat(weights[:positives], starts, axis=0)
    # One after the other: a class may have several negative exemplars.
    np.subtract.at(votes, known.codes[positives:], weights[positives:])
    means = np.divide(sums, supporters, out=np.full_like(sums, -np.inf), where=supporters > 0)
    return np.where(supporters > 0, votes, -np.inf), means, weights.sum(axis=0)


def _elect(
    votes: NDArray[np.float64],
    means: NDArray[np.float64],
    needed: NDArray[np.float64],
    least: NDArray[np.float64],
    margin: float,
    classes: tuple[str, ...],
) -> Labels:
    best, second = ranked(votes)
    score, runner_up = at(means, best), at(means, second)
    met = (best >= 0) & (score >= least[best])
    gap = np.subtract(score, runner_up, out=np.zeros_like(score), where=best >= 0)
    won = (at(votes, best) > at(votes, second)) & (at(votes, best) >= needed)
    clear = won & ((gap >= margin) | (margin == 0))
    codes = np.where(met & clear, best, -1).astype(np.int32)
    return Labels(classes, codes, best, score, runner_up, met & ~clear)
