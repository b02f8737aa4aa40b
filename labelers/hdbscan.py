"""Clusters where rows lie densely, the rest is noise: HDBSCAN* (Campello, Moulavi & Sander 2013)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexers.graph import KnnGraph
from labelers.clusters import Clusters, require

MIN_SIZE = 10
# More axes than this and a tree of regions is no faster than all distances.
FEW_AXES = 60
BLOCK = 1024


class HDBSCAN:
    """By Euclidean distance, which orders unit rows as the cosine does. `min_size` is the smallest cluster."""

    uses_graph = False
    finds_k = True

    def __init__(self, *, seed: int = 0, min_size: int = MIN_SIZE) -> None:
        if min_size < 2:
            raise ValueError(f"the smallest cluster has {min_size} rows, must have at least 2")
        # Nothing in it is random.
        self.seed = seed
        self.min_size = min_size

    def memory(self, n: int, dim: int, neighbors: int) -> int:
        """Return the bytes of all distances, with a copy, or of a tree of regions where there are few axes."""
        return n * (dim * 24 + 400) if dim <= FEW_AXES else n * n * 8 * 3

    def cluster(self, X: NDArray[np.float32], graph: KnnGraph | None = None) -> Clusters:
        """Return the clusters that persist over the widest range of densities; `params` has `min_size`."""
        from hdbscan import HDBSCAN as Library

        require(X, None)
        n, dim = X.shape
        rows = np.asarray(X[0:n], np.float64)
        size = min(self.min_size, n)
        if dim <= FEW_AXES:
            found = Library(min_cluster_size=size, core_dist_n_jobs=1).fit(rows)
        else:
            found = Library(min_cluster_size=size, metric="precomputed").fit(_distances(rows))
        return Clusters.of(found.labels_, min_size=self.min_size)


def _distances(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return all Euclidean distances, float64 (n, n)."""
    squares = (rows * rows).sum(axis=1)
    found = np.empty((len(rows), len(rows)))
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        found[part] = np.sqrt(np.maximum(squares[part, None] + squares - 2 * rows[part] @ rows.T, 0))
    np.fill_diagonal(found, 0)
    return found
