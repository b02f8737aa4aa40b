"""How good an approximate answer is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexers.base import Neighbors

# Scores are float64 sums over the same rows: what differs by less is equal.
TIE = 1e-9


def recall(found: Sequence[Neighbors], truth: Sequence[Neighbors], k: int) -> float:
    """Return the share of the true `k` best that were found, in 0 … 1; NaN without queries that have an answer.

    A hit counts if its score reaches that of the true k-th, so that of rows that tie there any will do, as in
    Aumüller, Bernhardsson and Faithfull, ANN-Benchmarks, arXiv:1807.05614. Where the truth has fewer than k rows, those
    are what there is to find. Raises `ValueError` if the two do not answer the same number of queries.
    """
    if len(found) != len(truth):
        raise ValueError(f"{len(found)} answers beside {len(truth)} true ones")
    if k < 1:
        raise ValueError(f"k is {k}, must be at least 1")
    there = sum(min(k, len(true)) for true in truth)
    hits = sum(_hits(one, true, k) for one, true in zip(found, truth, strict=True))
    return hits / there if there else float("nan")


def _hits(found: Neighbors, truth: Neighbors, k: int) -> int:
    if len(truth) == 0:
        return 0
    last = truth.scores[min(k, len(truth)) - 1]
    return int(np.count_nonzero(found.scores[: min(k, len(truth))] >= last - TIE))
