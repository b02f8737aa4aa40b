"""What every clusterer takes and gives."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexers.graph import KnnGraph

ROWS = 8192

# Each is a class made as Class(k, seed=…, **its own) with the methods of `Clusterer`.
CLUSTERERS = {
    "kmeans": "labelers.kmeans:KMeans",
    "spherical": "labelers.kmeans:SphericalKMeans",
    "leiden": "labelers.leiden:Leiden",
    "spectral": "labelers.spectral:Spectral",
    "agglomerative": "labelers.agglomerative:Agglomerative",
    "hdbscan": "labelers.hdbscan:HDBSCAN",
}


@dataclass(frozen=True)
class Clusters:
    """A cluster for each of n rows: `codes` int32 (n,), 0 the largest, −1 for noise. `params` is what was chosen."""

    codes: NDArray[np.int32]
    params: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, codes: NDArray[Any], **params: Any) -> Clusters:
        """Return clusters numbered by falling size, ties by their first row; any code below 0 is noise."""
        names, first, places, sizes = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
        order = np.lexsort((first, -sizes))
        order = order[names[order] >= 0]
        numbers = np.full(len(names), -1, np.int32)
        numbers[order] = np.arange(len(order))
        return cls(numbers[places], params)

    @property
    def k(self) -> int:
        return int(self.codes.max(initial=-1)) + 1

    @property
    def noise(self) -> int:
        return int(np.count_nonzero(self.codes < 0))

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.bincount(self.codes[self.codes >= 0], minlength=self.k)


class Clusterer(Protocol):
    """Finds clusters. `uses_graph` asks for the kNN graph of the rows; `finds_k` says that no number can be given.

    `memory` is the bytes that n rows of `dim` axes with `neighbors` in the graph take beside the rows themselves.
    `cluster` raises `ValueError` for what cannot be clustered.
    """

    uses_graph: bool
    finds_k: bool

    def memory(self, n: int, dim: int, neighbors: int) -> int: ...

    def cluster(self, X: NDArray[np.float32], graph: KnnGraph | None) -> Clusters: ...


def clusterer(method: str, k: int | None, *, seed: int = 0, **own: Any) -> Clusterer:
    """Return the clusterer of `CLUSTERERS[method]` for `k` clusters, None for as many as it finds; it does no work yet.

    `own` are the options of that method alone. Raises `ValueError` for k below 1, or where the method finds it itself.
    """
    module, _, name = CLUSTERERS[method].partition(":")
    made = getattr(importlib.import_module(module), name)
    if k is not None and made.finds_k:
        raise ValueError(f"{method} finds the number of clusters itself")
    if k is not None and k < 1:
        raise ValueError(f"k is {k}, must be at least 1")
    clusters: Clusterer = made(seed=seed, **own) if made.finds_k else made(k, seed=seed, **own)
    return clusters


def require(X: NDArray[np.float32], k: int | None) -> None:
    """Raise `ValueError` unless rows X (n, dim) are finite and `k` of them differ; without k two must."""
    n = X.shape[0]
    if k is not None and not 1 <= k <= n:
        raise ValueError(f"{k} clusters of {n} rows: k goes from 1 to {n}")
    if n < 2 and k is None:
        raise ValueError(f"{n} rows: there is nothing to tell apart")
    # Rows that differ have different products with a random direction, but for a chance of nothing.
    direction = np.random.default_rng(0).standard_normal((X.shape[1],))
    products = np.concatenate([_product(X[start : start + ROWS], direction) for start in range(0, n, ROWS)])
    different = len(np.unique(products))
    if different < (k or 2):
        raise ValueError(f"{n} rows, but only {different} that differ: too few for {k or 2} clusters")


def _product(block: NDArray[np.float32], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    # One row at a time: a product of matrices may round equal rows differently.
    products = np.einsum("ij,j->i", block, direction)
    if not np.isfinite(products).all():
        raise ValueError("a vector is not finite")
    return products


def centres(X: NDArray[np.float32], codes: NDArray[np.int32], k: int) -> NDArray[np.float64]:
    """Return the mean direction of each cluster of unit rows, float64 (k, dim), of unit length where it has one."""
    from scipy.sparse import csr_matrix

    sums = np.zeros((k, X.shape[1]))
    for start in range(0, X.shape[0], ROWS):
        block, own = X[start : start + ROWS], codes[start : start + ROWS]
        rows = np.flatnonzero(own >= 0)
        sums += csr_matrix((np.ones(len(rows)), (own[rows], rows)), shape=(k, len(own))) @ block.astype(np.float64)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, norms, out=np.zeros_like(sums), where=norms > 0)


def typical(X: NDArray[np.float32], codes: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the cosine of each unit row with the mean of its cluster, float64 (n,), nan for noise; and the medoids.

    A medoid, int64 (k,), is the row of its cluster with the highest: the one whose mean cosine with all is highest.
    """
    k = int(codes.max(initial=-1)) + 1
    means, scores = centres(X, codes, k), np.full(len(codes), np.nan)
    if k == 0:
        return scores, np.empty(0, np.int64)
    for start in range(0, len(codes), ROWS):
        own = codes[start : start + ROWS]
        block = (X[start : start + ROWS].astype(np.float64) * means[own]).sum(axis=1)
        scores[start : start + ROWS] = np.where(own >= 0, block, np.nan)
    order = np.lexsort((np.arange(len(codes)), -scores, codes))
    first = np.searchsorted(codes[order], np.arange(k))
    return scores, order[first].astype(np.int64)
