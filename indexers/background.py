"""Background scores: how similar two rows are that nobody paired, and so what a score is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Sampled rows: all pairs of them are 4,498,500 scores, which resolve a false-positive rate of 2.2e-7.
ROWS = 3000
SEED = 0
# The greatest scores that are kept one by one; below them each kept one has at most 1/EXACT more above it.
EXACT = 10_000
BLOCK_ROWS = 256


@dataclass(frozen=True)
class Background:
    """The cosines of `pairs` random pairs: `scores` float32, greatest first, where `ranks` int64 counts from 1.

    `spread` is their standard deviation. Counts are exact down to rank `EXACT` and below it too great by at most one
    part in `EXACT`, so that a false-positive rate is never understated.
    """

    scores: NDArray[np.float32]
    ranks: NDArray[np.int64]
    pairs: int
    spread: float

    def fpr(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return for each score the share of random pairs that reach it: (count + 1) / (pairs + 1).

        The observed score counts as one of the pairs, so that no rate is zero: Phipson & Smyth, "Permutation P-values
        should never be zero", Stat. Appl. Genet. Mol. Biol. 9(1), 2010.
        """
        # Rounded as the kept ones are, or equal cosines that were summed in another order would not be equal.
        rounded = np.asarray(scores, np.float64).astype(np.float32)
        reached = np.searchsorted(-self.scores, -rounded, side="right")
        counts = np.append(self.ranks, self.pairs + 1)[reached] - 1
        return (counts + 1) / (self.pairs + 1)

    def threshold(self, fpr: float) -> float:
        """Return the smallest float32 score whose false-positive rate is at most `fpr`.

        Raises `ValueError` for a rate that is not in (0, 1], is below 1 / (pairs + 1), or that no cosine reaches.
        """
        if not 0 < fpr <= 1:
            raise ValueError(f"a false-positive rate lies in (0, 1], not at {fpr}")
        if fpr < 1 / (self.pairs + 1):
            raise ValueError(
                f"{self.pairs} random pairs resolve a false-positive rate of {1 / (self.pairs + 1):.2g}, not {fpr:.2g}"
            )
        # The rate falls just above each score of the background, and nowhere else.
        steps = np.append(np.nextafter(self.scores, np.float32(np.inf)), np.float32(-1))
        least = float(steps[self.fpr(steps.astype(np.float64)) <= fpr].min())
        if least > 1:
            raise ValueError(
                f"a false-positive rate of {fpr:.2g} is out of reach: {float(self.fpr(np.ones(1))[0]):.2g} of the "
                "random pairs are as good as identical"
            )
        return max(least, -1.0)


def measure(X: NDArray[np.float32], *, rows: int = ROWS, seed: int = SEED) -> Background:
    """Return the background of unit rows `X` (n, dim): all pairs of distinct rows, or of a sample of `rows` of them.

    Pairs of the same class are among them, so a rate is rather over- than understated.
    """
    sample = np.asarray(X[sampled(len(X), rows=rows, seed=seed)], np.float64)
    scores = np.empty(len(sample) * (len(sample) - 1) // 2, np.float32)
    end = 0
    for start in range(0, len(sample), BLOCK_ROWS):
        products = sample[start : start + BLOCK_ROWS] @ sample[start:].T
        above = products[np.triu(np.ones(products.shape, bool), k=1)]
        scores[end : end + len(above)] = above
        end += len(above)
    spread = float(scores.std(dtype=np.float64)) if len(scores) else 0.0
    ranks = kept(len(scores))
    return Background(np.sort(scores)[::-1][ranks - 1], ranks, len(scores), spread)


def sampled(n: int, *, rows: int = ROWS, seed: int = SEED) -> NDArray[np.int64]:
    """Return which of `n` rows are measured, int64 ascending: all, or `rows` of them, always the same."""
    if n <= rows:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, rows, replace=False, shuffle=False))


def kept(pairs: int) -> NDArray[np.int64]:
    """Return the ranks that a background of `pairs` scores keeps: 1, 2, … `EXACT`, then each 1/`EXACT` further."""
    if pairs <= EXACT:
        return np.arange(1, pairs + 1)
    steps = int(np.log(pairs / EXACT) / np.log1p(1 / EXACT))
    tail = np.floor(EXACT * (1 + 1 / EXACT) ** np.arange(1.0, steps + 1)).astype(np.int64)
    return np.unique(np.concatenate([np.arange(1, EXACT + 1), tail, [pairs]]))
