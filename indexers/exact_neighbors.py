"""Neighbours by comparing every row with every other: blocks of a matrix product, the best of them kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows that are compared at a time: a part of a memory-mapped matrix, or of one that is computed as it is read.
BLOCK_BYTES = 64 * 2**20


class ExactNeighbors:
    """Proposes the k + 1 nearest rows. Bounded memory: no block of scores outlives its selection."""

    params: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, X: NDArray[np.float32], k: int, *, seed: int = 0) -> None:
        self._X = X
        self._wanted = k + 1

    def propose(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return int64 (m, min(k + 1, n)), best first."""
        # Its product and selection are fused and run at the rate of the product alone.
        import faiss

        n, dim = self._X.shape
        Q = np.ascontiguousarray(self._X[rows], np.float32)
        scores, places = np.empty((len(Q), 0), np.float32), np.empty((len(Q), 0), np.int64)
        step = max(1, BLOCK_BYTES // (dim * 4))
        for start in range(0, n, step):
            part = np.ascontiguousarray(self._X[start : start + step], np.float32)
            wanted = min(self._wanted, len(part))
            near, found = faiss.knn(Q, part, wanted, metric=faiss.METRIC_INNER_PRODUCT)
            scores, places = np.hstack([scores, near]), np.hstack([places, found + start])
            best = np.argsort(-scores, axis=1, kind="stable")[:, : self._wanted]
            scores, places = np.take_along_axis(scores, best, 1), np.take_along_axis(places, best, 1)
        return places
