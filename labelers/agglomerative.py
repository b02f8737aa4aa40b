"""Ward's hierarchy (1963), in which only neighbours in the kNN graph are merged."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexers.graph import KnnGraph
from labelers.choose_k import SAMPLE, ladder
from labelers.clusters import Clusters, require
from labelers.silhouette import silhouette


class Agglomerative:
    """Merges the two neighbouring clusters whose variance grows least, until k are left."""

    uses_graph = True
    finds_k = False

    def __init__(self, k: int | None = None, *, seed: int = 0) -> None:
        self.k = k
        self.seed = seed

    def memory(self, n: int, dim: int, neighbors: int) -> int:
        """Return the bytes of the sums of every cluster that is ever merged, and of lists of neighbours."""
        return n * dim * 8 * 3 + n * neighbors * 250

    def cluster(self, X: NDArray[np.float32], graph: KnnGraph | None) -> Clusters:
        """Return k clusters of rows X, or the cut of the tree whose silhouette is best."""
        require(X, self.k)
        if graph is None or len(graph) != X.shape[0]:
            raise ValueError("agglomerative needs the graph of the rows")
        n = X.shape[0]
        rows = np.asarray(X[0:n])
        children = _tree(rows, graph)
        k = self.k or self._best(rows, children)
        return Clusters.of(_cut(children, n, k), k=k)

    def _best(self, rows: NDArray[np.float32], children: NDArray[np.int64]) -> int:
        unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        n = len(rows)
        widths = {
            k: silhouette(unit, _cut(children, n, k), rng=np.random.default_rng(self.seed), sample=SAMPLE)
            for k in ladder(n)
        }
        return max(widths, key=lambda k: (round(widths[k], 6), -k))


def _tree(rows: NDArray[np.float32], graph: KnnGraph) -> NDArray[np.int64]:
    """Return the merges (n − 1, 2), in which node n + i is the i-th that was merged."""
    from sklearn.cluster import ward_tree

    pairs = graph.csr().copy()
    # Its weights say nothing here, and one of 0 would be no edge.
    pairs.data[:] = 1
    with warnings.catch_warnings():
        # Parts of the graph that nothing connects are joined where they are closest, and said so.
        warnings.simplefilter("ignore", UserWarning)
        found: Any = ward_tree(rows, connectivity=pairs.maximum(pairs.T))
    return np.asarray(found[0])


def _cut(children: NDArray[np.int64], n: int, k: int) -> NDArray[np.int32]:
    """Return the cluster of each row when the last k − 1 merges are taken back."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    merged = n - k
    nodes = np.repeat(n + np.arange(merged), 2)
    ones = np.ones(2 * merged, np.int8)
    tree = coo_matrix((ones, (nodes, children[:merged].ravel())), shape=(n + merged, n + merged))
    return connected_components(tree, directed=False)[1][:n].astype(np.int32)
