"""The exact index: every row is compared. The oracle for all others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from indexers.base import Neighbors

# Two ways of computing a dot product of unit vectors differ by less than this in float32; what lies that close to
# the border is scored again in float64.
MARGIN = 1e-5


# Rows that are scored again at a time, so that an answer of many rows needs no copy of them all.
BLOCK_ROWS = 4096


class ExactIndex:
    """Compares each query with every row: float32 scan, float64 scores for what is answered.

    An answer does not depend on the order of summation, on threads, or on the queries it was asked with. Ties go to
    the row that was added first. Raises `ValueError` for another shape and for a query or a row that is not finite.
    """

    def __init__(self, X: NDArray[np.float32] | None = None) -> None:
        self._X: NDArray[np.float32] | None = None
        if X is not None:
            self.add(X)

    def add(self, X: NDArray[np.float32]) -> None:
        """Append unit rows; the first call keeps float32 `X` itself, so that a memory map stays one."""
        if X.ndim != 2:
            raise ValueError(f"vectors have shape {X.shape}, not (n, dim)")
        if X.dtype != np.float32:
            X = X.astype(np.float32)
        if self._X is not None and X.shape[1] != self._X.shape[1]:
            raise ValueError(f"vectors have shape {X.shape}, those before are {self._X.shape[1]}-d")
        self._X = X if self._X is None else np.concatenate([self._X, X])

    def search(self, Q: NDArray[np.float32], k: int, *, keep: NDArray[np.bool_] | None = None) -> list[Neighbors]:
        """Return the min(k, rows kept) best rows for each query of `Q` (q, dim)."""
        if k < 1:
            raise ValueError(f"k is {k}, must be at least 1")

        def candidates(scores: NDArray[np.float32], kept: int) -> NDArray[np.int64]:
            if kept <= k:
                return np.arange(len(scores))
            border = np.partition(scores, len(scores) - k)[len(scores) - k]
            return np.flatnonzero(scores >= border - MARGIN)

        return [Neighbors(found.positions[:k], found.scores[:k]) for found in self._scan(Q, keep, candidates)]

    def range_search(
        self, Q: NDArray[np.float32], threshold: float, *, keep: NDArray[np.bool_] | None = None
    ) -> list[Neighbors]:
        """Return every row with `score >= threshold` for each query of `Q` (q, dim)."""
        found = self._scan(Q, keep, lambda scores, _: np.flatnonzero(scores >= threshold - MARGIN))
        counts = [int(np.count_nonzero(one.scores >= threshold)) for one in found]
        return [Neighbors(one.positions[:n], one.scores[:n]) for one, n in zip(found, counts, strict=True)]

    def _scan(
        self,
        Q: NDArray[np.float32],
        keep: NDArray[np.bool_] | None,
        candidates: Callable[[NDArray[np.float32], int], NDArray[np.int64]],
    ) -> list[Neighbors]:
        if Q.ndim != 2:
            raise ValueError(f"queries have shape {Q.shape}, not (q, dim)")
        X = self._X if self._X is not None else np.empty((0, Q.shape[1]), np.float32)
        if Q.shape[1] != X.shape[1]:
            raise ValueError(f"queries have shape {Q.shape}, vectors are {X.shape[1]}-d")
        if keep is not None and (keep.shape != (len(X),) or keep.dtype != bool):
            raise ValueError(f"keep is {keep.dtype} {keep.shape}, not a mask ({len(X)},)")
        if not np.isfinite(Q).all():
            raise ValueError("a query is not finite")
        kept = len(X) if keep is None else int(np.count_nonzero(keep))
        if kept == 0:
            return [Neighbors(np.empty(0, np.int64), np.empty(0)) for _ in Q]
        answers = []
        for query in Q.astype(np.float32, copy=False):
            scores = X @ query
            if not np.isfinite(scores).all():
                raise ValueError(f"vector {np.flatnonzero(~np.isfinite(scores))[0]} is not finite")
            if keep is not None:
                scores[~keep] = -np.inf
            found = candidates(scores, kept)
            found = found[np.isfinite(scores[found])]
            exact = _cosines(X, found, query.astype(np.float64))
            order = np.lexsort((found, -exact))
            answers.append(Neighbors(found[order], exact[order]))
        return answers


def _cosines(X: NDArray[np.float32], rows: NDArray[np.int64], query: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return float64 scores of some rows. A matrix product would sum a row differently as others stand beside it."""
    scores = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK_ROWS):
        part = np.ascontiguousarray(X[rows[start : start + BLOCK_ROWS]], np.float64)
        scores[start : start + BLOCK_ROWS] = (part * query).sum(axis=1)
    return scores
