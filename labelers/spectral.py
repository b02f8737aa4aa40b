"""Spectral clustering of the kNN graph (Ng, Jordan & Weiss 2001)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexers.graph import KnnGraph
from labelers.affinity import shared_neighbours
from labelers.clusters import Clusters, require
from labelers.kmeans import KMeans

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Without a number the first so many gaps between eigenvalues are looked at.
MOST = 100
TOLERANCE = 1e-4
# So many rows have many clusters, and the first eigenvalues lie too close for Lanczos' method to part them. All vectors
# are sought at once then: which of those with nearly one eigenvalue are found matters little to k-means.
LARGE = 200_000
COARSE, ROUNDS, WARM = 1e-2, 30, 5


class Spectral:
    """k-means on the unit rows of the first k eigenvectors of the normalised graph of shared neighbours."""

    uses_graph = True
    finds_k = False
    most = MOST

    def __init__(self, k: int | None = None, *, seed: int = 0) -> None:
        self.k = k
        self.seed = seed

    def memory(self, n: int, dim: int, neighbors: int) -> int:
        """Return the bytes of the graph and of the vectors that the eigenvectors are found from."""
        k = self.k or MOST
        return n * neighbors * 72 + (n * k * 56 if n >= LARGE else n * (4 * k + 25) * 8)

    def cluster(self, X: NDArray[np.float32], graph: KnnGraph | None) -> Clusters:
        """Return k clusters of the graph, or as many as come before the largest gap between two eigenvalues."""
        require(X, self.k)
        if graph is None or len(graph) != X.shape[0]:
            raise ValueError("spectral needs the graph of the rows")
        n = len(graph)
        if self.k == 1:
            return Clusters.of(np.zeros(n, np.int32), k=1)
        values, vectors = _eigenvectors(graph, min(n, self.k or MOST + 1), self.seed)
        # The gap behind the k-th, k from 2 on; the first of several that are as wide.
        k = self.k or 2 + int(np.argmax(np.round(-np.diff(values)[1:], 9))) if len(values) > 2 else len(values)
        rows = vectors[:, :k]
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        unit = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0).astype(np.float32)
        return Clusters.of(KMeans(k, seed=self.seed).cluster(unit).codes, k=k, eigenvalue=float(values[k - 1]))


def _eigenvectors(graph: KnnGraph, count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the `count` largest eigenvalues of D^−½ W D^−½, falling, with their vectors (n, count)."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import eigsh

    weights = shared_neighbours(graph)
    root = diags(1 / np.sqrt(np.asarray(weights.sum(axis=1)).ravel()))
    matrix = root @ weights @ root
    n = len(graph)
    rng = np.random.default_rng(seed)
    if count >= n - 1 or n <= 200:
        values, vectors = np.linalg.eigh(matrix.toarray())
    elif n >= LARGE and 5 * count < n:
        del weights
        values, vectors = _all_at_once(matrix.astype(np.float32), rng.standard_normal((n, count), np.float32))
    else:
        start = rng.standard_normal(n)
        values, vectors = eigsh(matrix, count, which="LA", v0=start, tol=TOLERANCE, ncv=min(n, 2 * count + 20))
    order = np.argsort(-values, kind="stable")[:count]
    return values[order], vectors[:, order]


def _all_at_once(matrix: csr_matrix, start: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return eigenvalues and vectors by LOBPCG (Knyazev 2001) from `start` (n, count), residuals about 1e-2."""
    from scipy.sparse.linalg import lobpcg

    for _ in range(WARM):
        start = matrix @ start
    with warnings.catch_warnings():
        # It warns of residuals above the tolerance after the last round; the partition is good enough before.
        warnings.simplefilter("ignore", UserWarning)
        values, vectors = lobpcg(matrix, start, largest=True, tol=COARSE, maxiter=ROUNDS)
    return values, vectors
