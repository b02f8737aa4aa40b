"""The kNN graph: for each row its k nearest others.

A method proposes candidates, blocks of rows at a time; whatever proposed them, their scores are taken from the vectors
and the k best are kept. The recall of an approximate graph is measured on a sample of its rows.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexers.exact import ExactIndex
from indexers.flat import FlatIndex
from indexers.metrics import TIE
from indexers.scores import cosines

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

METHODS = {
    "exact": "indexers.exact_neighbors:ExactNeighbors",
    "descent": "indexers.descent_neighbors:DescentNeighbors",
    "ivf": "indexers.ivf_neighbors:IVFNeighbors",
}
# n² · dim multiplications and additions: 20 to 40 seconds of two cores, while NN-descent compiles for as long before it
# begins.
EXACT_FLOPS = 4e12
# What NN-descent may take: its forest and lists are about FOREST bytes a row (119 MiB measured at 100,000 × 512), and
# the vectors must stay in memory, for it visits them in no order.
DESCENT_BYTES = 4 * 2**30
FOREST = 1280
# Candidates whose vectors are gathered at a time.
GATHER_BYTES = 32 * 2**20
SAMPLE = 500


@dataclass(frozen=True)
class KnnGraph:
    """Row i of `indices` int32 (n, k) holds the rows nearest to row i, itself left out, best first; ties by position.

    `scores` float32 (n, k) are their cosines. There are min(k, n − 1) columns: nothing is padded.
    """

    indices: NDArray[np.int32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def k(self) -> int:
        return self.indices.shape[1]

    def csr(self) -> csr_matrix:
        """Return the directed graph as a sparse float32 matrix (n, n) over the same memory."""
        from scipy.sparse import csr_matrix

        n, k = self.indices.shape
        starts = np.arange(n + 1, dtype=np.int64) * k
        if starts[-1] <= np.iinfo(np.int32).max:
            # Indices of another type than theirs would be copied.
            starts = starts.astype(np.int32)
        return csr_matrix((self.scores.reshape(-1), self.indices.reshape(-1), starts), shape=(n, n), copy=False)


class Proposer(Protocol):
    """Names candidates for the neighbours of some `rows` int64 (m,): int64 (m, c), −1 for none, each at most once.

    The row itself may be among them; `k` + 1 candidates or more are wanted. `params` is what was chosen.
    """

    params: dict[str, Any]

    def propose(self, rows: NDArray[np.int64]) -> NDArray[np.int64]: ...


def method(n: int, dim: int) -> str:
    """Return the key of `METHODS` that suits n rows: exact while that costs seconds, then what fits the memory."""
    if 2.0 * n * n * dim <= EXACT_FLOPS:
        return "exact"
    return "descent" if n * (dim * 4 + FOREST) <= DESCENT_BYTES else "ivf"


def proposer(kind: str, X: NDArray[np.float32], k: int, *, seed: int = 0) -> Proposer:
    """Return the proposer of `METHODS[kind]` over unit rows X (n, dim), ready to be asked."""
    module, _, name = METHODS[kind].partition(":")
    made: Proposer = getattr(importlib.import_module(module), name)(X, k, seed=seed)
    return made


def build(X: NDArray[np.float32], k: int, *, kind: str | None = None, seed: int = 0) -> KnnGraph:
    """Return the kNN graph of unit rows X (n, dim) in memory, by `kind` or what suits its size."""
    k = columns(len(X), k)
    source = proposer(kind or method(*X.shape), X, k, seed=seed)
    return neighbors(X, np.arange(len(X)), source, k)


def columns(n: int, k: int) -> int:
    """Return how many neighbours each of n rows has when k are asked for; raise `ValueError` if k is below 1."""
    if k < 1:
        raise ValueError(f"k is {k}, must be at least 1")
    return max(0, min(k, n - 1))


def neighbors(X: NDArray[np.float32], rows: NDArray[np.int64], source: Proposer, k: int) -> KnnGraph:
    """Return the part of the graph that belongs to `rows`; `k` is at most n − 1.

    Where too few were proposed the row is compared with every other. Raises `ValueError` for a vector that is not
    finite.
    """
    found = _others(source.propose(rows), rows)
    short = np.count_nonzero(found >= 0, axis=1) < k
    if short.any():
        exact = _others(proposer("exact", X, k).propose(rows[short]), rows[short])
        filled = np.full((len(rows), max(found.shape[1], exact.shape[1])), -1, np.int64)
        filled[:, : found.shape[1]] = found
        filled[short] = -1
        filled[short, : exact.shape[1]] = exact
        found = filled
    scores = _scores(X, rows, found)
    order = np.lexsort((found, -scores), axis=1)[:, :k]
    kept = np.take_along_axis(scores, order, 1)
    if not np.isfinite(kept).all():
        raise ValueError(f"vector {rows[~np.isfinite(kept).all(axis=1)][0]} or a neighbour of it is not finite")
    return KnnGraph(np.take_along_axis(found, order, 1).astype(np.int32), kept)


def recall(X: NDArray[np.float32], graph: KnnGraph, *, sample: int = SAMPLE, seed: int = 0) -> float:
    """Return the mean share of the true k nearest that the graph holds, over a seeded sample of its rows.

    A neighbour counts if it is as close as the true k-th in float64, so that equal scores are no loss.
    """
    n, k = graph.indices.shape
    if k == 0:
        return 1.0
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:sample])
    # FAISS knows arrays only; a fused matrix is computed.
    exact = FlatIndex(X) if isinstance(X, np.ndarray) else ExactIndex(X)
    hits = 0
    for row, truth in zip(rows, exact.search(X[rows], k + 1), strict=True):
        last = truth.scores[truth.positions != row][k - 1]
        hits += int(np.count_nonzero(cosines(X[graph.indices[row]], X[row]) >= last - TIE))
    return hits / (len(rows) * k)


def _others(candidates: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the candidates without each row itself, which need not come first among its duplicates."""
    return np.where(candidates == rows[:, None], -1, candidates)


def _scores(X: NDArray[np.float32], rows: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the cosines of each row with its candidates, −inf where there is none."""
    scores = np.empty(found.shape, np.float32)
    step = max(1, GATHER_BYTES // max(1, found.shape[1] * X.shape[1] * 4))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        np.einsum("id,icd->ic", X[rows[part]], X[np.maximum(found[part], 0)], out=scores[part])
    scores[found < 0] = -np.inf
    return scores
