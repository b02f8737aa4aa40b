"""How alike neighbours are: the share of neighbours that two rows have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexers.graph import KnnGraph

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Pairs of neighbours that are compared at a time.
CELLS = 2**22


def shared_neighbours(graph: KnnGraph) -> csr_matrix:
    """Return the graph with the Jaccard similarity of both ends' neighbours as weights, symmetric float64 (n, n).

    Each row counts among its own neighbours, so that every edge weighs something (Levine et al. 2015, PhenoGraph).
    """
    from scipy.sparse import csr_matrix

    n, k = graph.indices.shape
    weights = np.empty((n, k), np.float64)
    step = max(1, CELLS // max(1, k * (k + 1) ** 2))
    for start in range(0, n, step):
        rows = np.arange(start, min(n, start + step))
        weights[rows] = _jaccard(graph.indices, rows)
    starts = np.arange(n + 1, dtype=np.int64) * k
    directed = csr_matrix((weights.ravel(), graph.indices.ravel(), starts), shape=(n, n))
    return directed.maximum(directed.T).tocsr()


def _jaccard(indices: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the similarity of each of `rows` (b,) with its neighbours, (b, k)."""
    k = indices.shape[1]
    own = np.column_stack([rows, indices[rows]])
    others = indices[rows]
    theirs = np.concatenate([others[:, :, None], indices[others]], axis=2)
    shared = (theirs[:, :, :, None] == own[:, None, None, :]).any(axis=3).sum(axis=2)
    return shared / (2 * (k + 1) - shared)
