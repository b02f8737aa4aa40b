"""k-means: Lloyd's iterations on growing samples of the rows, then on all of them.

The centres are sown by greedy k-means++ (Arthur & Vassilvitskii 2007). An iteration on a sample costs its share of one
on all rows and moves the centres as far; only what a sample cannot tell is left for the iterations on all (as in
Bradley & Fayyad 1998). `python -m engine bench clusters` measures it beside other ways.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from indexers.graph import KnnGraph
from labelers.choose_k import by_silhouette
from labelers.clusters import Clusters, require

# Rows of a cluster that the centres are sown from, and those of each sample with its iterations.
SOWN = 16
SAMPLES = ((32, 10), (128, 5))
BLOCK = 4096
ITERATIONS = 100
# An iteration that lowers the inertia by a smaller share is the last; few rows, where iterations cost little, get more.
TOLERANCE = 2e-3
FINE = 1e-5
FEW = 100_000

# Where a block starts, the clusters of its rows, their squared distances, and the sums of each cluster's rows.
Part = tuple[int, NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]


class KMeans:
    """Rows go to the nearest centre, centres to the mean of their rows."""

    uses_graph = False
    finds_k = False
    spherical = False

    def __init__(self, k: int | None = None, *, seed: int = 0) -> None:
        self.k = k
        self.seed = seed

    def memory(self, n: int, dim: int, neighbors: int) -> int:
        """Return the bytes of a sample, the centres, their sums, and the blocks that are compared with them."""
        k = self.k or 512
        sample = min(n, max(SOWN, SAMPLES[-1][0]) * k)
        return sample * dim * 4 * 2 + 3 * k * dim * 8 + 2 * _threads() * BLOCK * (k + dim) * 8 + n * 24

    def cluster(self, X: NDArray[np.float32], graph: KnnGraph | None = None) -> Clusters:
        """Return k clusters of rows X (n, dim), or as many as their silhouette is best for.

        `params` has `inertia`, the sum of the squared distances to the centres, and `iterations` on all rows.
        """
        require(X, self.k)
        if self.k is None:
            k = by_silhouette(X, lambda rows, k: type(self)(k, seed=self.seed).cluster(rows).codes, seed=self.seed)
            return type(self)(k, seed=self.seed).cluster(X)
        rng = np.random.default_rng(self.seed)
        means = self._sown(X, rng)
        for per_cluster, iterations in SAMPLES:
            if per_cluster * self.k < X.shape[0]:
                sample = X[_drawn(X.shape[0], per_cluster * self.k, rng)]
                means, _, _, _ = self._lloyd(sample, means, iterations, TOLERANCE)
        tolerance = FINE if X.shape[0] <= FEW else TOLERANCE
        means, codes, inertia, iterations = self._lloyd(X, means, ITERATIONS, tolerance)
        return Clusters.of(codes, k=len(np.unique(codes)), inertia=inertia, iterations=iterations)

    def _sown(self, X: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        from threadpoolctl import threadpool_limits

        n, k = X.shape[0], self.k or 1
        rows = np.ascontiguousarray(X[_drawn(n, SOWN * k, rng)] if SOWN * k < n else X[0:n])
        # Small products, one after the other: threads would wait for each other longer than they work.
        with threadpool_limits(1, "blas"):
            return _sown(rows, k, rng)

    def _lloyd(
        self, X: NDArray[np.float32], means: NDArray[np.float32], iterations: int, tolerance: float
    ) -> tuple[NDArray[np.float32], NDArray[np.int32], float, int]:
        """Return the centres, the codes and inertia of rows that go to them, and how often the centres moved."""
        before = np.inf
        for done in range(iterations + 1):
            codes, distances, sums = _assigned(X, means)
            inertia = float(distances.sum(dtype=np.float64))
            if done == iterations or before - inertia <= tolerance * inertia:
                return means, codes, inertia, done
            before, means = inertia, self._moved(X, codes, distances, sums)
        raise AssertionError("unreachable")

    def _moved(
        self,
        X: NDArray[np.float32],
        codes: NDArray[np.int32],
        distances: NDArray[np.float32],
        sums: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Return the mean of each cluster; one without rows begins anew where a row is served worst."""
        counts = np.bincount(codes, minlength=len(sums))
        empty = np.flatnonzero(counts == 0)
        if len(empty):
            worst = np.argsort(-distances, kind="stable")[: len(empty)]
            sums[empty] = X[worst]
        means = sums / np.maximum(counts, 1)[:, None]
        if self.spherical:
            norms = np.linalg.norm(means, axis=1, keepdims=True)
            means = np.divide(means, norms, out=means, where=norms > 0)
        return means.astype(np.float32)


class SphericalKMeans(KMeans):
    """Centres are of unit length: rows go to the one with the highest cosine (Dhillon & Modha 2001)."""

    spherical = True


def _sown(rows: NDArray[np.float32], k: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return k of the rows, each drawn by its squared distance to those before, the best of a few at each step."""
    squares = (rows * rows).sum(axis=1)
    chosen = [int(rng.integers(len(rows)))]
    trials = 2 + int(np.log(k))
    nearest = _apart(rows, squares, chosen)[0]
    while len(chosen) < k:
        total = np.cumsum(nearest, dtype=np.float64)
        drawn = np.searchsorted(total, rng.random(trials) * total[-1], "right").clip(0, len(rows) - 1)
        each = np.minimum(nearest, _apart(rows, squares, drawn))
        best = int(each.sum(axis=1).argmin())
        chosen.append(int(drawn[best]))
        nearest = each[best]
    return rows[chosen]


def _apart(
    rows: NDArray[np.float32], squares: NDArray[np.float32], some: Sequence[int] | NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the squared distances of `some` rows to all, float32 (len(some), n); 0 to themselves."""
    found = squares[some][:, None] + squares - 2 * (rows[some] @ rows.T)
    found[np.arange(len(some)), some] = 0
    return np.maximum(found, 0, out=found)


def _assigned(
    X: NDArray[np.float32], means: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float64]]:
    """Return for each row the nearest of `means` (k, dim) and its squared distance, and the sum of each one's rows."""
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    n, sums = X.shape[0], np.zeros(means.shape)
    codes, distances = np.empty(n, np.int32), np.empty(n, np.float32)
    half = (means * means).sum(axis=1) / 2

    def work(start: int) -> Part:
        block = np.asarray(X[start : start + BLOCK])
        scores = block @ means.T
        scores -= half
        own = scores.argmax(axis=1).astype(np.int32)
        apart = (block * block).sum(axis=1) - 2 * scores[np.arange(len(own)), own]
        members = csr_matrix((np.ones(len(own), np.float32), (own, np.arange(len(own)))), (len(means), len(own)))
        return start, own, np.maximum(apart, 0), members @ block

    # Blocks side by side, a thread each: what comes after the product has no threads of its own.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(_threads()) as pool:
        for start, own, apart, part in _in_order(pool, work, range(0, n, BLOCK)):
            codes[start : start + BLOCK], distances[start : start + BLOCK] = own, apart
            sums += part
    return codes, distances, sums


def _in_order(pool: ThreadPoolExecutor, work: Callable[[int], Part], starts: Iterable[int]) -> Iterator[Part]:
    """Yield the results in order, a few ahead of what was taken: a sum must not depend on who came first."""
    ahead: deque[Future[Part]] = deque()
    for start in starts:
        ahead.append(pool.submit(work, start))
        if len(ahead) > 2 * _threads():
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _threads() -> int:
    """Return how many cores this process may use; more threads would push each other's blocks out of the caches."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _drawn(n: int, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.sort(rng.choice(n, min(n, rows), replace=False))
