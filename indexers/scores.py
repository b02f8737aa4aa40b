"""Scores of candidates, taken again in float64, and the best of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexers.base import Neighbors
from indexers.rows import BLOCK_ROWS, Rows

# Two ways of computing a dot product of unit vectors differ by less than this in float32; what lies that close to
# the border is scored again in float64.
MARGIN = 1e-5

NONE = Neighbors(np.empty(0, np.int64), np.empty(0))


def border(scores: NDArray[np.float32], k: int) -> float:
    """Return the k-th best score less the margin: whatever is among the true k best lies above."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k]) - MARGIN if len(scores) > k else -np.inf


def ranked(rows: Rows, positions: NDArray[np.int64], query: NDArray[np.float32], *, k: int | None = None) -> Neighbors:
    """Return rows with float64 scores, best first, ties by position; the best `k` of them, or all."""
    scores = np.empty(len(positions))
    for start in range(0, len(positions), BLOCK_ROWS):
        scores[start : start + BLOCK_ROWS] = cosines(rows.take(positions[start : start + BLOCK_ROWS]), query)
    return _sorted(positions, scores, k)


def best(rows: Rows, positions: NDArray[np.int64], query: NDArray[np.float32], k: int) -> Neighbors:
    """Return the true `k` best of many candidates: float32 finds those near the border, float64 decides."""
    if len(positions) <= 2 * k:
        return ranked(rows, positions, query, k=k)
    if len(positions) > BLOCK_ROWS:
        scores = rows.products(query, positions)
        return ranked(rows, positions[scores >= border(scores, k)], query, k=k)
    # Fetched once: rows that lie scattered in memory cost more to fetch than to score.
    taken = rows.take(positions)
    scores = taken @ query
    near = scores >= border(scores, k)
    return _sorted(positions[near], cosines(taken[near], query), k)


def _sorted(positions: NDArray[np.int64], scores: NDArray[np.float64], k: int | None) -> Neighbors:
    order = np.lexsort((positions, -scores))[:k]
    return Neighbors(positions[order], scores[order])


def cosines(part: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return float64 scores (m,) of rows (m, dim) with a query (dim,), or each with its own (m, dim).

    A dot product a row: a matrix product would sum a row differently beside others.

    In float32 a unit row is of length 1 to seven digits only. Both lengths are divided by, so that a row's score with
    itself is 1: the root of a square is exact.
    """
    rows, point = part.astype(np.float64), query.astype(np.float64)
    lengths = np.sqrt(np.vecdot(rows, rows) * np.vecdot(point, point))
    return np.vecdot(rows, point) / np.where(lengths == 0, 1, lengths)
