"""All pairs of a space that meet a threshold: from its kNN graph, and exactly where they go on behind k."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.neighbors.graph import Graph
from engine.progress import Progress
from engine.retrieval.searcher import Searcher
from indexers.scores import MARGIN

# Grouping takes a pair at a time; more than this is another question.
MOST_PAIRS = 10_000_000
QUERIES = 256
ROWS = 4096


def near_pairs(
    made: Graph, threshold: float, mask: NDArray[np.bool_] | None, progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return every pair of rows (p, 2) that meets the threshold, each once, with its float64 score (p,).

    `mask` (n,) says which rows count. Raises `BadInput` for more than 10 million pairs.
    """
    n, keys = len(made.knn), np.empty(0, np.int64)
    pending: list[NDArray[np.int64]] = []
    for pairs in _candidates(made, threshold, mask, progress):
        # A pair as one number, so that it is met once from both its ends.
        pending.append(np.unique(pairs.min(axis=1) * n + pairs.max(axis=1)))
        if sum(map(len, pending)) > MOST_PAIRS:
            keys, pending = _merged(keys, pending, threshold), []
    keys = _merged(keys, pending, threshold)
    pairs = np.stack([keys // n, keys % n], axis=1)
    scores = cosines(made.vectors.matrix, pairs)
    return pairs[scores >= threshold], scores[scores >= threshold]


def _merged(keys: NDArray[np.int64], more: Sequence[NDArray[np.int64]], threshold: float) -> NDArray[np.int64]:
    merged = np.unique(np.concatenate([keys, *more]))
    if len(merged) > MOST_PAIRS:
        raise BadInput(f"more than {MOST_PAIRS} pairs meet the threshold {threshold}", "raise --threshold")
    return merged


def _candidates(
    made: Graph, threshold: float, mask: NDArray[np.bool_] | None, progress: Progress
) -> Iterator[NDArray[np.int64]]:
    """Yield pairs (p, 2) from the graph, then those of the rows all of whose neighbours in it meet the threshold."""
    knn, low = made.knn, threshold - MARGIN
    keep = np.ones(len(knn), bool) if mask is None else mask
    for start in range(0, len(knn), ROWS):
        row, column = np.nonzero(knn.scores[start : start + ROWS] >= low)
        others = knn.indices[start : start + ROWS][row, column].astype(np.int64)
        pairs = np.stack([row + start, others], axis=1)
        yield pairs[keep[pairs].all(axis=1)]
    if knn.k < len(knn) - 1:
        yield from _behind(made, np.flatnonzero(keep & (knn.scores[:, -1] >= low)), low, mask, progress)


def _behind(
    made: Graph, full: NDArray[np.int64], low: float, mask: NDArray[np.bool_] | None, progress: Progress
) -> Iterator[NDArray[np.int64]]:
    """Yield the pairs of the rows `full`, whose neighbours go on behind those that the graph has."""
    searcher = Searcher(made.vectors)
    progress.begin("images with many near duplicates", len(full))
    for start in range(0, len(full), QUERIES):
        rows = full[start : start + QUERIES]
        found = searcher.range_search(made.vectors.matrix[rows], low, keep=mask)
        first = np.repeat(rows, [len(one) for one in found])
        pairs = np.stack([first, np.concatenate([one.positions for one in found])], axis=1)
        yield pairs[pairs[:, 0] != pairs[:, 1]]
        progress.advance(len(rows))


def cosines(X: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the float64 cosines of pairs (p, 2) of rows; of two that are equal it is 1."""
    scores = np.empty(len(pairs))
    for start in range(0, len(pairs), ROWS):
        one, other = (X[rows].astype(np.float64) for rows in pairs[start : start + ROWS].T)
        lengths = np.sqrt((one * one).sum(axis=1) * (other * other).sum(axis=1))
        scores[start : start + ROWS] = (one * other).sum(axis=1) / lengths
    return scores
