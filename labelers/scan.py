"""Cosines of many rows with some exemplars: a float32 scan, scored again in float64 where the difference decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from indexers.scores import cosines
from labelers.base import Exemplars, Labels, Rows, joined

BLOCK_ROWS = 8192
# Scores held at a time, so that a block's table stays small however many exemplars there are.
BLOCK_SCORES = 2**21
# Pairs of vectors scored again at a time.
PAIRS = 4096
# Up to here one product with a vector after the other is faster than one with a matrix, if the rows stay in the cache
# meanwhile.
FEW, CACHED_ROWS = 6, 512


def blocks(X: Rows, known: Exemplars) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    """Yield (first row, rows (b, dim), cosines float32 (m, b)) of each block of `X` (n, dim).

    A collection without rows has one block without rows. Raises `ValueError` if the shapes do not fit or a row is not
    finite.
    """
    if len(X.shape) != 2 or X.shape[1] != known.matrix.shape[1]:
        raise ValueError(f"vectors have shape {X.shape}, exemplars are {known.matrix.shape[1]}-d")
    size = max(16, min(BLOCK_ROWS, BLOCK_SCORES // len(known.matrix)))
    for start in range(0, max(X.shape[0], 1), size):
        rows = np.asarray(X[start : start + size], np.float32)
        found = _product(known.matrix, rows)
        # One entry that is not finite makes every cosine of its row so.
        bad = np.flatnonzero(~np.isfinite(found[0]))
        if len(bad):
            raise ValueError(f"vector {start + bad[0]} is not finite")
        yield start, rows, found


def _product(matrix: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(matrix) > FEW:
        return matrix @ rows.T
    result = np.empty((len(matrix), len(rows)), np.float32)
    for start in range(0, len(rows), CACHED_ROWS):
        for exemplar, found in zip(matrix, result, strict=True):
            found[start : start + CACHED_ROWS] = rows[start : start + CACHED_ROWS] @ exemplar
    return result


def scan(X: Rows, known: Exemplars, answer: Callable[[NDArray[np.float32], NDArray[np.float32]], Labels]) -> Labels:
    """Return the labels that `answer(rows, cosines)` gives for each block of `X`, joined."""
    return joined([answer(rows, cosines) for _, rows, cosines in blocks(X, known)])


def again(
    scores: NDArray[np.float64], wanted: NDArray[np.bool_], rows: NDArray[np.float32], matrix: NDArray[np.float32]
) -> None:
    """Replace `scores[i, j]` where `wanted`, both (m, b), by the float64 cosine of `matrix[i]` and `rows[j]`.

    Each pair is summed by itself, as `ExactIndex` does: a matrix product would sum it differently as others stand
    beside it.
    """
    exemplars, columns = np.nonzero(wanted)
    for start in range(0, len(columns), PAIRS):
        one, other = exemplars[start : start + PAIRS], columns[start : start + PAIRS]
        scores[one, other] = cosines(rows[other], matrix[one])
